"""Make confidences mean what they say, and choose from which confidence on a prediction is accepted.

Everything here is fitted on a validation split. To say how well it works, the same split is used by cross-fitting:
fitted on four fifths, applied to the fifth, in turn; so no photo is judged by parameters that it helped to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from binsight.probability import sigmoid, softmax

__all__ = [
    "confidence_thresholds",
    "cross_fit_folds",
    "fit_binary_temperature",
    "fit_temperature",
]

_TEMPERATURE_BOUNDS = (0.05, 20.0)
_GOLDEN = (5**0.5 - 1) / 2
_TOLERANCE = 1e-6  # of the temperature's logarithm
_SMALLEST_PROBABILITY = 1e-12
# A class needs this many mistakes of its own before a threshold of its own means anything.
_MIN_MISTAKES = 5
# Below one half a prediction is more likely wrong than right, whatever precision the others reach.
_LEAST_CONFIDENCE = 0.5


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


def confidence_thresholds(
    confidence: NDArray[np.float64],
    predicted: NDArray[np.intp],
    correct: NDArray[np.bool_],
    *,
    classes: int,
    target_precision: float,
) -> tuple[float, ...]:
    """For each class the least confidence at which its predictions are accepted.

    It is the smallest value of at least 0.5 above which the share of right predictions reaches the target. A class
    with fewer than 5 mistakes takes the value that is right for all classes together.

    Args:
        confidence: `(n,)` in [0, 1], calibrated, of the predicted class.
        predicted: `(n,)`, the predicted class.
        correct: `(n,)`, whether it was right.
        classes: C.
        target_precision: in (0, 1], the wanted share of right ones among the accepted.

    Returns:
        C numbers in [0.5, 1].
    """
    overall = _threshold(confidence, correct, target_precision)
    thresholds = []
    for c in range(classes):
        own = predicted == c
        enough = np.count_nonzero(~correct[own]) >= _MIN_MISTAKES
        thresholds.append(_threshold(confidence[own], correct[own], target_precision) if enough else overall)
    return tuple(max(threshold, _LEAST_CONFIDENCE) for threshold in thresholds)


def cross_fit_folds(
    labels: NDArray[np.intp], *, folds: int = 5, seed: int = 0
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Split photos into folds of the same class proportions; for each fold the positions to fit on and to judge on."""
    generator = np.random.default_rng(seed)
    fold_of = np.empty(len(labels), dtype=np.intp)
    for c in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == c))
        fold_of[members] = (np.arange(len(members)) + generator.integers(folds)) % folds
    for fold in range(folds):
        yield np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)


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


def _threshold(confidence: NDArray[np.float64], correct: NDArray[np.bool_], target_precision: float) -> float:
    """The smallest confidence from which on at least the target share is right; 1 where there is none."""
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # No threshold can part equally confident ones.
    can_end = np.append(np.diff(confidence[order]) < 0, True)[: len(order)]
    good = np.flatnonzero(can_end & (precision >= target_precision))
    if len(good) == 0:
        return 1.0
    last = good[-1]
    if last == len(order) - 1:
        return 0.0
    # Halfway to the next one below, which is no longer accepted.
    return float((confidence[order[last]] + confidence[order[last + 1]]) / 2)
