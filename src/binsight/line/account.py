"""A line's ledger as JSON-ready dictionaries: pieces, one piece with all that is known of it, shifts, alarms, audit."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast

import sqlalchemy as sa

from binsight.errors import BinsightError, InputError
from binsight.line.alarms import Alarm
from binsight.line.config import LineConfig
from binsight.line.lane_purity import LanePurity, lane_purities, purity_of_counts
from binsight.line.ledger.audit import Label, label_piece, next_for_audit, read_progress
from binsight.line.ledger.reading import (
    Count,
    Span,
    count_pieces,
    find_pieces,
    latencies_between,
    read_events,
    read_piece,
    total,
)
from binsight.line.messages import piece_message, purity_message, utc_text
from binsight.line.records import FAIL_SAFE_LANE, Piece
from binsight.line.shifts import Period, last_periods
from binsight.taxonomy import Taxonomy

__all__ = ["LedgerAwayError", "LineAccount", "piece_entry"]

Question = TypeVar("Question", bound=Callable[..., Any])

_log = logging.getLogger(__name__)
_VIEW = ("frame", "at", "box", "sharpness", "voted", "category", "decision", "reason", "unfamiliarity")
_PERCENTS = (50, 95, 99)
_EVER = dt.timedelta(days=36_500)


class LedgerAwayError(BinsightError, OSError):
    """The database does not answer."""

    code: ClassVar[str] = "ledger_away"


def _asks(question: Question) -> Question:
    """Errors of the database become one of ours; what they say may name hosts and users, and is for the log only."""

    @wraps(question)
    def ask(*args: Any, **kwargs: Any) -> Any:
        try:
            return question(*args, **kwargs)
        except sa.exc.SQLAlchemyError as error:
            _log.warning("the ledger cannot be read: %s", str(error).splitlines()[0])
            raise LedgerAwayError("the ledger cannot be reached now") from error

    return cast("Question", ask)


class LineAccount:
    """Answers questions about one line from its ledger, and takes what auditors say; from any thread."""

    def __init__(self, config: LineConfig, database: sa.Engine, taxonomy: Taxonomy) -> None:
        self.config, self.database, self.taxonomy = config, database, taxonomy
        self._line = config.line.name

    # Pieces.

    @_asks
    def pieces(
        self, *, limit: int, before: str | None = None, lane: int | None = None, statuses: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The newest pieces, of one lane or with certain statuses if wanted.

        `next` is what `before` must be for those that follow: an id; None at the end.

        Raises:
            InputError: there is no piece `before`.
        """
        last = None if before is None else read_piece(self.database, before)
        if before is not None and last is None:
            raise InputError(f"before: expected the id of a piece in the ledger, got {before!r}")
        found = find_pieces(
            self.database,
            self._always(),
            limit=limit + 1,
            before=None if last is None else last[0],
            lane=lane,
            statuses=statuses,
        )
        shown = found[:limit]
        return {"pieces": [piece_entry(piece) for piece in shown], "next": shown[-1].id if len(found) > limit else None}

    @_asks
    def piece(self, piece_id: str) -> dict[str, Any] | None:
        """All about one piece; None where there is none of that id."""
        found = read_piece(self.database, piece_id)
        if found is None or found[0].line != self._line:
            return None
        piece, film = found
        views = () if film is None else (view_entry(view) for view in film.views)
        return _whole_piece(piece) | {"picture": film is not None, "views": list(views)}

    @_asks
    def picture(self, piece_id: str, view: int | None = None) -> bytes | None:
        """The stored JPEG of a piece, or of one of its views, from 1; None where none is kept."""
        found = read_piece(self.database, piece_id)
        if found is None or found[0].line != self._line or found[1] is None:
            return None
        return found[1].thumbnail if view is None else found[1].frame(view)

    # Sums.

    @_asks
    def shifts(self, count: int, now: dt.datetime) -> dict[str, Any]:
        """Sums for the last shifts, or days, the newest first; those without a piece are left out."""
        periods = last_periods(self.config.shifts, now, count)
        times = [*(period.began for period in reversed(periods)), periods[0].ended]
        span = Span(self._line, times[0], times[-1])
        counts = count_pieces(self.database, span, times[1:-1])
        latencies = latencies_between(self.database, span, times, _PERCENTS)
        found = []
        for period, latency in zip(periods, reversed(latencies), strict=True):
            inside = [count for count in counts if period.began <= count.at < period.ended]
            if inside:
                found.append(self._shift(period, inside, latency or {}))
        return {"shifts": found}

    @_asks
    def purities(self, period: Period) -> dict[int, LanePurity]:
        """Each lane's purity over a time, by its number."""
        return lane_purities(self.database, self._line, period.began, period.ended, self.config, self.taxonomy)

    @_asks
    def events(self, limit: int) -> dict[str, Any]:
        """Alarms that came or went, the newest first."""
        span = self._always()
        found = read_events(self.database, self._line, span.since, span.until, limit=limit)
        return {"events": [event_entry(event) for event in found]}

    def _shift(self, period: Period, counts: list[Count], percentiles: dict[float, float]) -> dict[str, Any]:
        pieces = sum(count.pieces for count in counts)
        reviewed = sum(count.pieces for count in counts if count.decision == "review")
        lanes = total(counts, "reached")
        purities = purity_of_counts(counts, self.config, self.taxonomy)
        return {
            "name": period.name,
            "began": utc_text(period.began),
            "pieces": pieces,
            "review_share": reviewed / pieces,
            "latency_ms": {f"p{percent:g}": percentiles.get(percent) for percent in _PERCENTS},
            "ends": dict(total(counts, "status")),
            "lanes": [
                {"number": number, "pieces": lanes[number], "purity": _target(purities, number)}
                for number in (*(lane.number for lane in self.config.lanes), FAIL_SAFE_LANE)
            ],
        }

    # The audit.

    @_asks
    def next_to_audit(self, auditor: str, skip: Sequence[str] = ()) -> dict[str, Any]:
        """A piece that was drawn and not labelled yet, without a word of what the model said; and how many are left."""
        progress = read_progress(self.database, self._line)
        items = next_for_audit(self.database, self._line, auditor=auditor, skip=skip)
        return {
            "id": items[0].id if items else None,
            "open": progress.open,
            "labelled": progress.labelled,
            "without_picture": progress.without_picture,
        }

    @_asks
    def label(self, piece_id: str, category: str, auditor: str, now: dt.datetime) -> dict[str, int]:
        """Take what a person said a piece is; how many are labelled and open with it.

        Raises:
            LabelError: it cannot be taken, or `AlreadyLabelledError`: somebody was faster.
        """
        label_piece(self.database, Label(piece_id, category, auditor), at=now, taxonomy=self.taxonomy)
        progress = read_progress(self.database, self._line)
        return {"open": progress.open, "labelled": progress.labelled}

    def _always(self) -> Span:
        now = dt.datetime.now(dt.UTC)
        return Span(self._line, now - _EVER, now + _EVER)


def piece_entry(piece: Piece) -> dict[str, Any]:
    """A piece in a list."""
    return {
        **piece_message(piece),
        "latency_ms": None if piece.latency_ms is None else round(piece.latency_ms, 1),
        "picture": piece.thumbnail is not None,
    }


def event_entry(event: Alarm) -> dict[str, Any]:
    """An alarm that came or went."""
    return {"code": event.code, "active": event.active, "detail": event.detail, "at": utc_text(event.at)}


def _target(purities: dict[int, LanePurity], number: int) -> dict[str, Any] | None:
    return purity_message(purities[number].target) if number in purities else None


def _whole_piece(piece: Piece) -> dict[str, Any]:
    scores = sorted((piece.scores or {}).items(), key=lambda score: -score[1])
    return {
        **piece_entry(piece),
        "scores": [{"category": category, "probability": round(share, 6)} for category, share in scores],
        "target": piece.target,
        "ack_result": piece.ack_result,
        "confirm_result": piece.confirm_result,
        "model": None if piece.model_name is None else f"{piece.model_name} {piece.model_version}",
        "shift": piece.shift,
        "times": _times(piece),
        "audit": {
            "probability": piece.audit_probability,
            "true_category": piece.true_category,
            "at": None if piece.audited_at is None else utc_text(piece.audited_at),
            "by": piece.audited_by,
        },
    }


def view_entry(view: dict[str, Any]) -> dict[str, Any]:
    """A view that was judged: what the model said of it alone."""
    scores = sorted(view.get("scores", {}).items(), key=lambda score: -score[1])
    return {
        **{name: view.get(name) for name in _VIEW},
        "scores": [{"category": category, "probability": share} for category, share in scores],
    }


def _times(piece: Piece) -> list[dict[str, Any]]:
    """Each step of its life with the milliseconds from capture; what did not happen is left out."""
    captured = piece.captured_at or piece.seen_at  # earlier versions did not note it
    steps = {
        "captured": captured,
        "seen": piece.seen_at,
        "decided": piece.decided_at,
        "commanded": piece.commanded_at,
        "acknowledged": piece.acknowledged_at,
        "confirmed": piece.confirmed_at,
    }
    return [
        {"step": step, "at": utc_text(at), "after_ms": round((at - captured).total_seconds() * 1000, 1)}
        for step, at in steps.items()
        if at is not None
    ]
