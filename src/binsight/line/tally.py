"""What is counted of pieces that have their ends: lanes, categories, reviews, latency."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from binsight.line.ledger.reading import Count
from binsight.line.records import Piece

__all__ = ["Tally"]

_LATENCY_BOUNDS_MS = (10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0, 2000.0)
_LAST_LATENCIES = 1000  # of which percentiles are taken
_RATE_S = 60.0


class Tally:
    """Counts of a period.

    Args:
        since_s: when it began, by the line's clock; rates before a minute has passed are those of the time since.
    """

    def __init__(self, since_s: float) -> None:
        self._since_s = since_s
        self.ends: Counter[tuple[int, str]] = Counter()  # by the lane where it was sent, and status
        self.reached: Counter[int | None] = Counter()  # by the lane where it lies; None: nobody knows
        self.categories: Counter[str | None] = Counter()
        self.decisions: Counter[tuple[str | None, str | None]] = Counter()  # with the reason of a review
        self.latency_counts = [0] * (len(_LATENCY_BOUNDS_MS) + 1)  # by bound; the last is beyond all of them
        self.latency_sum_ms = 0.0
        self.earlier_ms: dict[float, float] = {}  # percentiles of pieces of which only the sum is known
        self._latencies: deque[float] = deque(maxlen=_LAST_LATENCIES)
        self._recent: deque[tuple[float, int | None]] = deque()

    @property
    def pieces(self) -> int:
        """How many ended."""
        return self.ends.total()

    @property
    def reviewed(self) -> int:
        """How many of them went to review."""
        return sum(count for (decision, _), count in self.decisions.items() if decision == "review")

    @property
    def by_status(self) -> dict[str, int]:
        """Pieces by their ends."""
        sums: Counter[str] = Counter()
        for (_, status), count in self.ends.items():
            sums[status] += count
        return dict(sums)

    def add(self, piece: Piece, at_s: float) -> None:
        """Take a piece that has its end at `at_s`; each one once."""
        count = Count(
            piece.seen_at, piece.status, piece.reason, piece.decision, piece.lane, piece.category, piece.shift, None, 1
        )
        self.add_count(count)
        self._recent.append((at_s, count.reached))
        if piece.latency_ms is not None:
            self.latency_counts[bisect_left(_LATENCY_BOUNDS_MS, piece.latency_ms)] += 1
            self.latency_sum_ms += piece.latency_ms
            self._latencies.append(piece.latency_ms)

    def add_count(self, count: Count) -> None:
        """Take pieces of which only the sum is known."""
        self.ends[count.lane, count.status] += count.pieces
        self.reached[count.reached] += count.pieces
        self.categories[count.category] += count.pieces
        reason = count.reason if count.decision == "review" else None
        self.decisions[count.decision, reason] += count.pieces

    def figures(self) -> dict[str, Any]:
        """For metrics.

        `pieces` by (lane, status), `decisions` by (decision, reason), `categories` by category, `latency_s` as (counts
        by bound, bounds, sum).
        """
        bounds = [bound / 1000 for bound in _LATENCY_BOUNDS_MS]
        return {
            "pieces": dict(self.ends),
            "decisions": dict(self.decisions),
            "categories": dict(self.categories),
            "latency_s": (list(self.latency_counts), bounds, self.latency_sum_ms / 1000),
        }

    def per_minute(self, now_s: float) -> Counter[int | None]:
        """Pieces a minute, by the lane where they lie, over the last minute."""
        while self._recent and self._recent[0][0] < now_s - _RATE_S:
            self._recent.popleft()
        span_s = min(_RATE_S, max(10.0, now_s - self._since_s))
        counts = Counter(lane for _, lane in self._recent)
        return Counter({lane: round(count * 60 / span_s) for lane, count in counts.items()})

    def latency_percentiles(self, percents: Sequence[float] = (50, 95, 99)) -> dict[str, float | None]:
        """`p50`, … in milliseconds over the last thousand pieces; before there was one, of earlier ones, or None."""
        if not self._latencies:
            return {f"p{percent:g}": self.earlier_ms.get(percent) for percent in percents}
        values = np.percentile(np.array(self._latencies), percents)
        return {f"p{percent:g}": round(float(value), 1) for percent, value in zip(percents, values, strict=True)}
