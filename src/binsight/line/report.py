"""What a line did in a time: purity per lane, ends and their reasons, classes, shifts, latency, alarms, the audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from binsight.line.config import LineConfig
from binsight.line.lane_purity import LanePurity, purity_of_counts
from binsight.line.ledger.audit import AuditProgress, read_progress
from binsight.line.ledger.reading import Count, Event, Span, count_pieces, latency_percentiles, read_events, total
from binsight.line.messages import utc_text
from binsight.line.purity import Purity
from binsight.line.records import ENDS
from binsight.taxonomy import Taxonomy

__all__ = ["COLUMNS", "LineReport", "make_report"]

SHARES = ("target", "non_target", "non_recyclable", "by_weight")
COLUMNS = (
    "line", "since", "until", "shift", "lane", "name", "pieces", "per_minute", "audited", "wrong", "purity_target",
    *(f"{share}{end}" for share in SHARES for end in ("", "_low", "_high")),
)  # fmt: skip


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
    alarms: Sequence[Event]

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
        reached = self.by("reached")
        span = {
            "line": self.span.line,
            "since": utc_text(self.span.since),
            "until": utc_text(self.span.until),
            "shift": self.span.shift,
        }
        return [
            {
                **span,
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
            "line": self.span.line,
            "since": utc_text(self.span.since),
            "until": utc_text(self.span.until),
            "shift": self.span.shift,
            "pieces": self.pieces,
            "per_minute": round(self.per_minute(self.pieces), 3),
            "lanes": [
                {key: value for key, value in row.items() if key not in {"line", "since", "until", "shift"}}
                for row in self.rows()
            ],
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


def _columns(name: str, share: Purity | None) -> dict[str, float | None]:
    if share is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    value = None if share.purity is None else round(share.purity, 4)
    return {name: value, f"{name}_low": round(share.low, 4), f"{name}_high": round(share.high, 4)}
