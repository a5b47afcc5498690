"""A cumulative sum that notices when a share has risen: the review rate of a camera, say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from binsight.probability.intervals import clopper_pearson_upper

__all__ = ["BernoulliCusum", "bernoulli_weights", "cusum_threshold"]

_MOST_SHARE = 0.45  # what is above has no double


def bernoulli_weights(p0: float, p1: float) -> tuple[float, float]:
    """What a hit and a miss add to the sum: `ln(p1 / p0)` and `ln((1 - p1) / (1 - p0))`.

    Args:
        p0: the share as it should be, in (0, 1).
        p1: the share to be noticed, in (p0, 1).
    """
    return math.log(p1 / p0), math.log((1 - p1) / (1 - p0))


def cusum_threshold(p0: float, p1: float, run_length: float) -> float:
    """The height `h` at which false alarms come, on average, after at least `run_length` items of the share `p0`.

    `h = ln(run_length * I)` with `I = -E[log likelihood ratio]` under `p0`. The average run length is about
    `exp(h + overshoot) / I` (Siegmund 1985, II.6); without the overshoot `h` is a little high, and alarms are rarer.

    Args:
        p0: the share as it should be, in (0, 1).
        p1: the share to be noticed, in (p0, 1).
        run_length: items between two false alarms.
    """
    hit, miss = bernoulli_weights(p0, p1)
    return math.log(run_length * -(p0 * hit + (1 - p0) * miss))


class BernoulliCusum:
    """`S ← max(0, S + log likelihood ratio)` of a share that has doubled; drift where `S` reaches `threshold`.

    The base `p0` is the share's exact upper bound, 90 % certain, over the first `baseline` items: until then nothing is
    said. The threshold follows from it, so that false alarms are equally rare whatever is usual. After an alarm it goes
    on; `drifted` holds until the sum has come back to 0.

    Args:
        run_length: items between false alarms, at least, where the share is `p0`.
        baseline: items that show what is usual.

    References:
        Page 1954, Continuous Inspection Schemes; Siegmund 1985, Sequential Analysis, section II.6; Reynolds and
        Stoumbos 1999, A CUSUM Chart for Monitoring a Proportion When Inspecting Continuously.
    """

    def __init__(self, *, run_length: float = 176_000, baseline: int = 1000) -> None:
        self._run_length, self._baseline = run_length, baseline
        self._hits = self._count = 0
        self._weights: tuple[float, float] | None = None
        self.threshold = math.inf
        self.p0: float | None = None
        self.sum = 0.0
        self.drifted = False

    def state(self) -> dict[str, float | int | bool | None]:
        """All that it knows, to be kept over a restart; `restore` takes it."""
        return {"hits": self._hits, "count": self._count, "p0": self.p0, "sum": self.sum, "drifted": self.drifted}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._hits, self._count, self.p0 = state["hits"], state["count"], state["p0"]
        self.sum, self.drifted = state["sum"], state["drifted"]
        if self.p0 is not None:
            self._watch(self.p0)

    def add(self, hit: bool) -> bool:
        """Take one more; whether the share has drifted upwards."""
        if self._weights is None:
            self._learn(hit)
            return False
        self.sum = max(0.0, self.sum + self._weights[0 if hit else 1])
        self.drifted = self.sum >= self.threshold or (self.drifted and self.sum > 0)
        self.sum = min(self.sum, 2 * self.threshold)  # so that it comes back in time once all is well
        return self.drifted

    def _learn(self, hit: bool) -> None:
        self._hits += hit
        self._count += 1
        if self._count >= self._baseline:
            self.p0 = min(_MOST_SHARE, clopper_pearson_upper(self._hits, self._count, confidence=0.9))
            self._watch(self.p0)

    def _watch(self, p0: float) -> None:
        self._weights = bernoulli_weights(p0, 2 * p0)
        self.threshold = cusum_threshold(p0, 2 * p0, self._run_length)
