"""From which confidence on predictions are accepted, so that a wanted share of them is right: with confidence."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.probability.intervals import binomial_cdf, clopper_pearson_upper

__all__ = ["ThresholdChoice", "choose_threshold"]

# Below one half a prediction is more likely wrong than right, whatever precision the others reach.
_LEAST_CONFIDENCE = 0.5
_NOTHING = 1.0


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """A confidence threshold, and what is known of it.

    Attributes:
        threshold: the least confidence accepted, in [0.5, 1].
        accepted: how many photos it accepts, copies counted once.
        wrong: how many of them are wrong, or have a copy that is.
        shown_precision: what is shown of the share of right ones among the accepted: it is at least this, with the
            confidence asked for. The target, where that could be shown, otherwise less; 0 where nothing is accepted.
    """

    threshold: float
    accepted: int
    wrong: int
    shown_precision: float


def choose_threshold(
    confidence: NDArray[np.float64],
    correct: NDArray[np.bool_],
    *,
    target_precision: float,
    certainty: float = 0.95,
    groups: NDArray[np.intp] | None = None,
) -> ThresholdChoice:
    """The least threshold of which it is shown that at least the target share of what it accepts is right.

    A threshold passes when its mistakes would be too few for a share of wrong ones above `1 - target_precision`, that
    is, when the Clopper-Pearson upper bound is not above it. Thresholds are tried from strict to lax until the first
    that does not pass (fixed sequence testing), so trying many costs no certainty. The first accepts half of the
    photos, or as many as show the target with one mistake (0.993 takes 676), where there are so many: one wrong label
    among the surest ends nothing. With thousands of photos further sequences begin at a quarter, an eighth and so on,
    each with its part of the risk of being wrong: mistakes among the surest then spoil one sequence, not all.

    Where nothing passes, the target may still be met on these photos, which are too few to show it (0.993 takes 427
    accepted photos without a mistake). Then the threshold with the lowest upper bound is taken among those that meet
    the target here, and `shown_precision` says what it is worth. Where none meets it, nothing is accepted.

    Args:
        confidence: `(n,)` in [0, 1], of the predicted class, calibrated; photos that go to review for another reason
            are left out.
        correct: `(n,)`, whether the prediction was right.
        target_precision: in (0, 1].
        certainty: in (0, 1), with which the target is to be met.
        groups: `(n,)`, copies of one photo have the same number and count once: as wrong, where one of them is.

    References:
        Clopper and Pearson 1934; Angelopoulos, Bates, Candès, Jordan and Lei 2021, Learn then Test, arXiv 2110.01052,
        section 3 (fixed sequence testing with several starts); for selective classification with the same bound:
        Geifman and El-Yaniv 2017, arXiv 1705.08500.
    """
    steps = _Steps.of(confidence, correct, groups)
    error, risk = 1 - target_precision, 1 - certainty
    starts = list(_starts(int(steps.accepted[-1]), error, risk)) if len(steps.accepted) else []
    reached = max((_walk(steps, start, error, risk / len(starts)) for start in starts), default=-1)
    if reached >= 0:
        return steps.choice(reached, target_precision)
    met = np.flatnonzero(steps.accepted - steps.wrong >= target_precision * steps.accepted)
    # Of equally many wrong ones the last has the most photos and so the lowest bound.
    last = [met[i] for i in range(len(met)) if i + 1 == len(met) or steps.wrong[met[i]] < steps.wrong[met[i + 1]]]
    if not last:
        return ThresholdChoice(_NOTHING, 0, 0, 0.0)
    # One of many is picked by its mistakes: its bound has to hold for all of them at once (Bonferroni).
    sure = 1 - risk / len(steps.accepted)
    bounds = [clopper_pearson_upper(int(steps.wrong[i]), int(steps.accepted[i]), confidence=sure) for i in last]
    best = int(np.argmin(bounds))
    return steps.choice(int(last[best]), min(1 - bounds[best], math.nextafter(target_precision, 0)))


@dataclass(frozen=True)
class _Steps:
    """The thresholds that can be told apart, from strict to lax: `(k,)` each."""

    threshold: NDArray[np.float64]
    accepted: NDArray[np.intp]
    wrong: NDArray[np.intp]

    @classmethod
    def of(cls, confidence: NDArray[np.float64], correct: NDArray[np.bool_], groups: NDArray[np.intp] | None) -> _Steps:
        order = np.argsort(-confidence, kind="stable")
        group = np.arange(len(order)) if groups is None else np.asarray(groups)[order]
        sure, mistaken = confidence[order], ~correct[order]
        accepted, wrong = np.cumsum(_is_first(group), dtype=np.intp), np.zeros(len(order), np.intp)
        wrong[np.flatnonzero(mistaken)[_is_first(group[mistaken])]] = 1
        # No threshold can part equally confident ones. It lies halfway to the next, which is no longer accepted.
        below = np.append(sure[1:], 0.0)
        ends = (below < sure) & (sure >= _LEAST_CONFIDENCE)
        halfway = np.maximum((sure + below) / 2, _LEAST_CONFIDENCE)
        return cls(halfway[ends], accepted[ends], np.cumsum(wrong)[ends])

    def choice(self, position: int, shown: float) -> ThresholdChoice:
        return ThresholdChoice(
            float(self.threshold[position]), int(self.accepted[position]), int(self.wrong[position]), shown
        )


def _is_first(group: NDArray[np.intp]) -> NDArray[np.bool_]:
    first = np.zeros(len(group), bool)
    first[np.unique(group, return_index=True)[1]] = True
    return first


def _starts(photos: int, error: float, risk: float) -> Iterator[int]:
    """How many photos the first threshold of each sequence accepts."""
    if error <= 0:
        return  # no number of photos shows perfection
    least = np.log(risk) / np.log1p(-error)  # photos that show the target without a mistake
    if photos < least:
        return
    enough = bisect_left(range(photos + 1), True, key=lambda n: binomial_cdf(1, n, error) <= risk)
    start = photos // 2
    yield max(start, enough if enough <= photos else int(np.ceil(least)))
    while (start := start // 2) >= 2 * least:
        yield start


def _walk(steps: _Steps, start: int, error: float, risk: float) -> int:
    """The last position of a sequence that passes; -1 where its first does not."""
    first = int(np.searchsorted(steps.accepted, start))
    for i in range(first, len(steps.accepted)):
        if binomial_cdf(int(steps.wrong[i]), int(steps.accepted[i]), error) > risk:
            return i - 1 if i > first else -1
    return len(steps.accepted) - 1 if first < len(steps.accepted) else -1
