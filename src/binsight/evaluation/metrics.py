"""Classification metrics, with the uncertainty of a finite sample.

`n` is the number of photos, `C` of classes. Labels are positions in the taxonomy, 0 to C - 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Interval",
    "accuracy",
    "balanced_accuracy",
    "bootstrap_interval",
    "confusion_matrix",
    "expected_calibration_error",
    "macro_f1",
]

Labels = NDArray[np.intp]
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A metric's value on the sample at hand, and the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def accuracy(labels: Labels, predicted: Labels) -> float:
    """The share of `(n,)` predictions that equal their label."""
    return float(np.mean(labels == predicted))


def confusion_matrix(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """How often each true class (row) was taken for each class (column), `(C, C)`."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def balanced_accuracy(labels: Labels, predicted: Labels, classes: int) -> float:
    """The mean recall of the classes that occur among the labels."""
    matrix = confusion_matrix(labels, predicted, classes)
    totals = matrix.sum(axis=1)
    return float(np.mean(np.diag(matrix)[totals > 0] / totals[totals > 0]))


def macro_f1(labels: Labels, predicted: Labels, classes: int) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN); classes neither present nor predicted are left out."""
    matrix = confusion_matrix(labels, predicted, classes)
    denominator = matrix.sum(axis=0) + matrix.sum(axis=1)
    present = denominator > 0
    return float(np.mean(2 * np.diag(matrix)[present] / denominator[present]))


def expected_calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_], *, bins: int = 15) -> float:
    """The mean distance between confidence and accuracy, over bins of equal width, weighted by their photos.

    `ECE = sum_b (n_b / n) |accuracy_b - confidence_b|`; 0 is perfect.

    Args:
        confidence: `(n,)` in [0, 1], of the predicted class.
        correct: `(n,)`, whether the prediction was right.
        bins: how many equal parts of [0, 1].

    References:
        Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599, equation 3 (15 bins).
    """
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def bootstrap_interval(
    metric: Callable[[NDArray[np.intp]], float], n: int, *, seed: int = 0, resamples: int = _RESAMPLES
) -> Interval:
    """A metric with its 95 % percentile bootstrap interval.

    Args:
        metric: takes positions `(n,)` of photos, drawn with replacement, and gives the metric on them.
        n: how many photos there are.
        seed: of the draws; the same seed gives the same interval.
        resamples: how many draws.

    References:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    generator = np.random.default_rng(seed)
    draws = [metric(generator.integers(0, n, n)) for _ in range(resamples)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(metric(np.arange(n)), float(low), float(high))
