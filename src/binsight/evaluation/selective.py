"""Accepting some predictions and sending the rest to review: what is left to do, and what slips through.

Coverage is the share of photos that are accepted, risk the share of wrong ones among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from binsight.evaluation.scoring import Scores
from binsight.probability import ReviewThresholds
from binsight.probability.folds import cross_fit_folds
from binsight.probability.thresholds import ThresholdChoice, choose_threshold

__all__ = ["OperatingPoint", "RiskCoverage", "TargetThresholds", "operating_point", "risk_areas", "risk_coverage",
           "target_thresholds"]  # fmt: skip

_CURVE_POINTS = 400


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """The curve of accepting from a confidence on, for every confidence; from the surest photo to all of them.

    Attributes:
        threshold: from which confidence on is accepted, falling.
        coverage: in (0, 1], rising.
        risk: in [0, 1].
    """

    threshold: tuple[float, ...]
    coverage: tuple[float, ...]
    risk: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What certain thresholds accept, and how good it is.

    Attributes:
        coverage: the share accepted.
        risk: the share of wrong ones among them; not-a-number when nothing is accepted.
        reasons: why the others go to review → how many.
    """

    coverage: float
    risk: float
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class TargetThresholds:
    """The review threshold that a wanted precision asks for.

    Attributes:
        target_precision: the wanted share of right ones among the accepted.
        shown_precision: what is shown of it with 95 % confidence; see `binsight.probability.thresholds`.
        thresholds: for each class the same, chosen on all the photos.
        on_same_photos: what they accept on the photos they were chosen on.
        cross_fitted: what thresholds chosen on four fifths of the photos accept in the fifth: to be expected of others.
    """

    target_precision: float
    shown_precision: float
    thresholds: tuple[float, ...]
    on_same_photos: OperatingPoint
    cross_fitted: OperatingPoint


def risk_coverage(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> RiskCoverage:
    """The risk-coverage curve of n photos; equally confident ones are accepted together.

    References:
        El-Yaniv and Wiener 2010, On the Foundations of Noise-free Selective Classification.
    """
    order, last = _tie_groups(confidence)
    accepted = last + 1
    wrong = np.cumsum(~correct[order])[last]
    # Enough for any screen, and always with both ends.
    shown = np.unique(np.linspace(0, len(last) - 1, min(len(last), _CURVE_POINTS)).round().astype(np.intp))
    return RiskCoverage(
        tuple(confidence[order][last][shown].tolist()),
        tuple((accepted / len(confidence))[shown].tolist()),
        tuple((wrong / accepted)[shown].tolist()),
    )


def risk_areas(
    w: NDArray[np.float64], confidence: NDArray[np.float64], correct: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The area under the risk-coverage curve (AURC): the mean risk over all photos taken as the threshold; `(r,)`.

    Args:
        w: `(r, n)`, how often each photo counts.
        confidence: `(n,)`.
        correct: `(n,)`.

    References:
        Geifman, Uziel and El-Yaniv 2019, Bias-Reduced Uncertainty Estimation, arXiv 1805.08206, equation 4.
    """
    order, last = _tie_groups(confidence)
    sorted_w = w[:, order]
    accepted = np.cumsum(sorted_w, axis=1)[:, last]
    wrong = np.cumsum(sorted_w * ~correct[order], axis=1)[:, last]
    in_group = np.diff(accepted, axis=1, prepend=0)
    # A resample may begin with photos it does not have.
    risk = np.divide(wrong, accepted, out=np.zeros_like(wrong), where=accepted > 0)
    result: NDArray[np.float64] = (in_group * risk).sum(axis=1) / accepted[:, -1]
    return result


def operating_point(scores: Scores, correct: NDArray[np.bool_]) -> OperatingPoint:
    """What the bundle's own thresholds accept."""
    return _point([v.reason for v in scores.verdicts], correct)


def target_thresholds(
    scores: Scores,
    labels: NDArray[np.intp],
    review: ReviewThresholds,
    *,
    target_precision: float,
    copies: NDArray[np.intp],
    seed: int = 0,
) -> TargetThresholds:
    """The confidence threshold that reaches a precision; the other two reasons for review stay as the bundle has them.

    Args:
        scores: of n photos.
        labels: `(n,)`.
        review: the bundle's thresholds.
        target_precision: in (0, 1].
        copies: `(n,)`, copies of one photo have the same number.
        seed: of the folds.
    """
    correct, classes = scores.predicted == labels, len(review.confidence)
    lax = scores.decide(replace(review, confidence=(0.0,) * classes))
    passes = np.array([verdict.decision == "accept" for verdict in lax])

    def choose(positions: NDArray[np.intp]) -> ThresholdChoice:
        fit = positions[passes[positions]]
        return choose_threshold(
            scores.confidence[fit], correct[fit], target_precision=target_precision, groups=copies[fit]
        )

    def reasons(threshold: float) -> list[str | None]:
        return [v.reason for v in scores.decide(replace(review, confidence=(threshold,) * classes))]

    chosen = choose(np.arange(len(labels)))
    same = reasons(chosen.threshold)
    crossed = list(same)
    for fit, judge in cross_fit_folds(labels, copies, seed=seed):
        found = reasons(choose(fit).threshold)
        for i in judge:
            crossed[i] = found[i]
    return TargetThresholds(
        target_precision,
        chosen.shown_precision,
        (chosen.threshold,) * classes,
        _point(same, correct),
        _point(crossed, correct),
    )


def _point(reasons: Sequence[str | None], correct: NDArray[np.bool_]) -> OperatingPoint:
    accepted = np.array([reason is None for reason in reasons])
    risk = float((~correct[accepted]).mean()) if accepted.any() else float("nan")
    return OperatingPoint(
        float(accepted.mean()), risk, dict(Counter(r for r in reasons if r is not None).most_common())
    )


def _tie_groups(confidence: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The order from sure to unsure, and in it the last position of each run of equal confidences."""
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.diff(confidence[order])) if len(order) > 1 else np.array([], np.intp)
    return order, np.append(ends, len(order) - 1).astype(np.intp)
