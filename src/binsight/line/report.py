"""What a line did in a time: purity per lane, ends and their reasons, classes, shifts, latency, alarms, the audit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from binsight.line.alarms import Alarm
from binsight.line.config import LineConfig
from binsight.line.lane_purity import LanePurity, purity_of_counts
from binsight.line.ledger.audit import AuditProgress, read_progress
from binsight.line.ledger.reading import Count, Span, count_pieces, latency_percentiles, read_events, total
from binsight.line.messages import utc_text
from binsight.line.purity import Purity
from binsight.line.records import ENDS
from binsight.pages import render_template
from binsight.taxonomy import Taxonomy

__all__ = ["COLUMNS", "LineReport", "make_report", "render_page"]

SHARES = ("target", "non_target", "non_recyclable", "by_weight")
COLUMNS = (
    "line", "since", "until", "shift", "lane", "name", "pieces", "per_minute", "audited", "wrong", "purity_target",
    *(f"{share}{end}" for share in SHARES for end in ("", "_low", "_high")),
)  # fmt: skip
_STEP = 0.05  # a page's axis of purities begins at a multiple of 5 %


@dataclass(frozen=True, slots=True)
class LineReport:
    """See the module.

    Attributes:
        span: which pieces.
        counts: of them, by hour and all that `Count` names.
        lanes: by number; empty where it is not known what belongs in them.
        latency_ms: percentile → milliseconds from capture to command; None where nothing was commanded.
        audit: how far it has come.
        alarms: that came or went, the newest first.
    """

    span: Span
    counts: Sequence[Count]
    lanes: dict[int, LanePurity]
    latency_ms: dict[float, float] | None
    audit: AuditProgress
    alarms: Sequence[Alarm]

    @property
    def pieces(self) -> int:
        """All pieces seen."""
        return sum(count.pieces for count in self.counts)

    def by(self, *names: str) -> Counter[Any]:
        """Pieces by attributes of `Count`."""
        return total(self.counts, *names)

    @property
    def review_rate(self) -> float | None:
        """Share of the decided pieces that went to review; None where none was decided."""
        decisions = self.by("decision")
        decided = decisions["accept"] + decisions["review"]
        return decisions["review"] / decided if decided else None

    @property
    def unfinished(self) -> int:
        """Pieces without an end yet; acknowledged ones have theirs where the equipment confirms nothing."""
        statuses = self.by("status")
        return sum(number for status, number in statuses.items() if status not in {*ENDS, "acknowledged"})

    def per_minute(self, pieces: int) -> float:
        """A number of pieces as a rate, from the hour of the first piece: before it, nothing ran."""
        began = max(self.span.since, self.counts[0].at) if self.counts else self.span.since
        return pieces / max(1.0, (self.span.until - began).total_seconds() / 60)

    def rows(self) -> list[dict[str, Any]]:
        """One row per lane under `COLUMNS`: target, non-target and non-recyclable, as authorities ask for them."""
        return [self._which() | lane for lane in self._lanes()]

    def _which(self) -> dict[str, Any]:
        span = self.span
        return {"line": span.line, "since": utc_text(span.since), "until": utc_text(span.until), "shift": span.shift}

    def _lanes(self) -> list[dict[str, Any]]:
        reached = self.by("reached")
        return [
            {
                "lane": number,
                "name": lane.name,
                "pieces": reached[number],
                "per_minute": round(self.per_minute(reached[number]), 3),
                "audited": lane.target.audited,
                "wrong": lane.target.wrong,
                "purity_target": lane.purity_target,
                **{key: value for share in SHARES for key, value in _columns(share, getattr(lane, share)).items()},
            }
            for number, lane in self.lanes.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        ends = self.by("status", "reason").items()
        return {
            **self._which(),
            "pieces": self.pieces,
            "per_minute": round(self.per_minute(self.pieces), 3),
            "lanes": self._lanes(),
            "unknown_lane": self.by("reached")[None],
            "ends": [{"status": status, "reason": reason, "pieces": number} for (status, reason), number in ends],
            "unfinished": self.unfinished,
            "categories": {str(name): number for name, number in self.by("category").items() if name is not None},
            "review_rate": self.review_rate,
            "shifts": {str(name): number for name, number in self.by("shift").items() if name is not None},
            "latency_ms": None if self.latency_ms is None else {f"p{p:g}": v for p, v in self.latency_ms.items()},
            "audit": asdict(self.audit),
            "alarms": [{**asdict(event), "at": utc_text(event.at)} for event in self.alarms],
        }


def make_report(
    database: sa.Engine, span: Span, *, config: LineConfig | None = None, taxonomy: Taxonomy | None = None
) -> LineReport:
    """Read a report; without configuration and taxonomy it has no purity, for nobody knows what belongs where."""
    counts = count_pieces(database, span)
    known = config is not None and taxonomy is not None
    return LineReport(
        span,
        counts,
        purity_of_counts(counts, config, taxonomy) if known and config and taxonomy else {},
        latency_percentiles(database, span),
        read_progress(database, span.line, since=span.since, until=span.until),
        read_events(database, span.line, span.since, span.until),
    )


def render_page(report: LineReport) -> str:
    """The page, in the style of the reports on models; light or dark as the reader's machine is.

    Raises:
        MissingExtraError: the template engine is not installed.
    """
    lanes = [lane for number, lane in report.lanes.items() if number and lane.target.audited]
    ends = [end for lane in lanes for end in (lane.target.low, lane.purity_target) if end is not None]
    scale = min([1 - _STEP, *(math.floor(end / _STEP) * _STEP for end in ends)])
    return render_template(
        "report.html.j2",
        "line",
        extra="line",
        filters={"percent": _percent, "local": lambda at: f"{at.astimezone():%Y-%m-%d %H:%M}"},
        report=report,
        bars=lanes,
        place=lambda share: round(100 * (share - scale) / (1 - scale), 2),
        scale=scale,
        hours=report.by("at"),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _columns(name: str, share: Purity | None) -> dict[str, float | None]:
    if share is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    value = None if share.purity is None else round(share.purity, 4)
    return {name: value, f"{name}_low": round(share.low, 4), f"{name}_high": round(share.high, 4)}
