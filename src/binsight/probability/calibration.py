"""Make confidences mean what they say, and choose what is accepted without review.

Everything here is fitted on a validation split. To say how well it works, the same split is used by cross-fitting
(`binsight.probability.folds`): fitted on four fifths, applied to the fifth, in turn; so no photo is judged by what it
helped to choose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.probability.decision import ReviewThresholds, sigmoid, softmax
from binsight.probability.scores import NetworkScores
from binsight.probability.thresholds import choose_threshold
from binsight.probability.unfamiliarity import UnfamiliarityScale

__all__ = [
    "Calibration",
    "ReviewTargets",
    "ScaledCalibration",
    "calibrate",
    "fit_binary_temperature",
    "fit_temperature",
]

_TEMPERATURE_BOUNDS = (0.05, 20.0)
_GOLDEN = (5**0.5 - 1) / 2
_TOLERANCE = 1e-6  # of the temperature's logarithm
_SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class ReviewTargets:
    """When an item goes to a person.

    Attributes:
        precision: the share of right predictions wanted among the accepted ones, in (0, 1].
        disagreement_share: the share of rightly classified photos that may go to review because the heads disagree.
        unfamiliar_share: likewise, because they look unlike the training data.
        certainty: with which the precision is to be met, in (0, 1).
    """

    precision: float = 0.993
    disagreement_share: float = 0.005
    unfamiliar_share: float = 0.02
    certainty: float = 0.95


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns scores into confidences and decisions: a bundle's manifest holds it.

    Attributes:
        temperature: of the categories.
        biodegradable_temperature: of the second head; None without it.
        review: when an item goes to a person.
        shown_precision: what is shown of the precision of what is accepted; see `ThresholdChoice`.
    """

    temperature: float
    biodegradable_temperature: float | None
    review: ReviewThresholds
    shown_precision: float = 0.0


@dataclass(frozen=True, slots=True)
class ScaledCalibration:
    """What turns scores into confidences and decisions.

    Attributes:
        fitted: what the manifest holds.
        scale: of the unfamiliarity; the network holds it. None: unfamiliarity is the energy.
    """

    fitted: Calibration
    scale: UnfamiliarityScale | None = None


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.intp]) -> float:
    """The T > 0 that makes `softmax(logits / T)` most likely to produce the labels.

    Args:
        logits: `(n, C)`.
        labels: `(n,)`, 0 to C - 1.

    References:
        Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599, section 4.2.
    """
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        chosen = softmax(logits, temperature=temperature)[rows, labels]
        return float(-np.log(np.maximum(chosen, _SMALLEST_PROBABILITY)).mean())

    return _minimise(loss)


def fit_binary_temperature(logits: NDArray[np.floating], labels: NDArray[np.bool_]) -> float:
    """The T > 0 that makes `sigmoid(logits / T)` most likely to produce the `(n,)` labels, from `(n,)` logits."""

    def loss(temperature: float) -> float:
        p = sigmoid(logits, temperature=temperature)
        return float(-np.log(np.maximum(np.where(labels, p, 1 - p), _SMALLEST_PROBABILITY)).mean())

    return _minimise(loss)


def calibrate(
    scores: NetworkScores,
    labels: NDArray[np.intp],
    targets: ReviewTargets,
    *,
    groups: NDArray[np.intp] | None = None,
) -> Calibration:
    """Fit temperatures and review thresholds.

    One confidence threshold serves all classes: confidences are calibrated, and a class has too few mistakes for one of
    its own. It is chosen on the photos that neither of the other two reasons sends to review, since it is the precision
    of what is accepted in the end that is wanted.

    Args:
        scores: of n photos that the network did not learn from.
        labels: `(n,)`, what they show.
        targets: what may be sent to review.
        groups: `(n,)`, copies of one photo have the same number; None: there are no copies.
    """
    temperature = fit_temperature(scores.logits, labels)
    probabilities = softmax(scores.logits, temperature=temperature)
    correct = probabilities.argmax(axis=1) == labels
    second, gap, disagreement = None, None, None
    if scores.biodegradable is not None and scores.mask is not None:
        second = fit_binary_temperature(scores.biodegradable, scores.mask[labels])
        by_class = probabilities[:, scores.mask].sum(axis=1)
        gap = np.abs(by_class - sigmoid(scores.biodegradable, temperature=second))
        disagreement = _upper(gap[correct], targets.disagreement_share)
    unfamiliarity = None
    if scores.unfamiliarity is not None:
        unfamiliarity = _upper(scores.unfamiliarity[correct], targets.unfamiliar_share)
    passes = np.ones(len(labels), bool)
    for values, limit in ((gap, disagreement), (scores.unfamiliarity, unfamiliarity)):
        if values is not None and limit is not None:
            passes &= values <= limit
    chosen = choose_threshold(
        probabilities.max(axis=1)[passes],
        correct[passes],
        target_precision=targets.precision,
        certainty=targets.certainty,
        groups=None if groups is None else groups[passes],
    )
    confidence = (chosen.threshold,) * scores.logits.shape[1]
    review = ReviewThresholds(confidence, disagreement, unfamiliarity)
    return Calibration(temperature, second, review, chosen.shown_precision)


def _minimise(loss: Callable[[float], float]) -> float:
    """Golden-section search: the loss is convex in 1 / T, so it has one valley over T.

    References:
        Kiefer 1953, Sequential Minimax Search for a Maximum.
    """
    # Temperatures act by ratio, so the search runs over their logarithm.
    low, high = (float(np.log(bound)) for bound in _TEMPERATURE_BOUNDS)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = (loss(float(np.exp(log_t))) for log_t in (left, right))
    while high - low > _TOLERANCE:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(float(np.exp(left)))
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(float(np.exp(right)))
    return float(np.exp((low + high) / 2))


def _upper(values: NDArray[np.float64], share: float) -> float | None:
    """The value that only this share exceeds; None where there are none to tell from."""
    return float(np.quantile(values, 1 - share)) if len(values) else None
