"""Whether confidences mean what they say: calibration errors, proper scores, and the bins of a reliability plot.

`n` is the number of photos, `C` of classes, `w` weights `(r, n)` as in `binsight.evaluation.bootstrap`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.probability import softmax
from binsight.probability.calibration import fit_temperature
from binsight.probability.folds import cross_fit_folds
from binsight.probability.intervals import Interval, wilson_interval

__all__ = [
    "ReliabilityBin",
    "brier_scores",
    "calibration_errors",
    "cross_fitted_confidence",
    "equal_mass_bins",
    "equal_width_bins",
    "expected_error_if_calibrated",
    "log_losses",
    "reliability_bins",
]

_SMALLEST_PROBABILITY = 1e-12
_SIMULATIONS = 1000


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The photos whose confidence lies in one part of [0, 1].

    Attributes:
        low: the least confidence of the bin.
        high: the largest.
        photos: how many there are.
        confidence: their mean confidence; not-a-number for an empty bin.
        accuracy: the share of right ones, with its 95 % score interval.
    """

    low: float
    high: float
    photos: int
    confidence: float
    accuracy: Interval


def equal_width_bins(confidence: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    """For each photo in which of `bins` equal parts of [0, 1] its confidence lies: `(n,)`."""
    return np.clip((confidence * bins).astype(np.intp), 0, bins - 1)


def equal_mass_bins(confidence: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    """For each photo which of `bins` parts of equally many photos, ordered by confidence, it belongs to: `(n,)`.

    References:
        Nixon et al. 2019, Measuring Calibration in Deep Learning, arXiv 1904.01685, section 3.2.
    """
    rank = np.empty(len(confidence), np.intp)
    rank[np.argsort(confidence, kind="stable")] = np.arange(len(confidence))
    return rank * bins // max(1, len(confidence))


def calibration_errors(
    w: NDArray[np.float64], confidence: NDArray[np.float64], correct: NDArray[np.bool_], bin_of: NDArray[np.intp]
) -> NDArray[np.float64]:
    """`sum_b (n_b / n) |accuracy_b - confidence_b|` for each of the r resamples; 0 is perfect.

    Args:
        w: `(r, n)`.
        confidence: `(n,)`, of the predicted class.
        correct: `(n,)`.
        bin_of: `(n,)`, from one of the two functions above.

    Returns:
        `(r,)`.

    References:
        Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599, equation 3.
    """
    gaps = np.zeros((len(confidence), int(bin_of.max()) + 1))
    gaps[np.arange(len(confidence)), bin_of] = correct - confidence
    result: NDArray[np.float64] = np.abs(w @ gaps).sum(axis=1) / w.sum(axis=1)
    return result


def expected_error_if_calibrated(
    confidence: NDArray[np.float64], bin_of: NDArray[np.intp], *, seed: int = 0
) -> Interval:
    """The calibration error that a perfectly calibrated model with these confidences would show on so many photos.

    The error of a finite sample is never 0; this says how much of it is chance. The bounds hold 95 % of 1,000 draws.

    References:
        Bröcker and Smith 2007, Increasing the Reliability of Reliability Diagrams (consistency resampling).
    """
    generator = np.random.default_rng(seed)
    bins = int(bin_of.max()) + 1
    errors = []
    for _ in range(_SIMULATIONS):
        correct = generator.random(len(confidence)) < confidence
        gaps = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
        errors.append(float(np.abs(gaps).sum() / len(confidence)))
    low, high = np.percentile(errors, [2.5, 97.5])
    return Interval(float(np.mean(errors)), float(low), float(high))


def brier_scores(probabilities: NDArray[np.float64], labels: NDArray[np.intp]) -> NDArray[np.float64]:
    """For each photo `sum_c (p_c - y_c)^2`, from 0 to 2: `(n,)`.

    References:
        Brier 1950, Verification of Forecasts Expressed in Terms of Probability.
    """
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(labels)), labels] = 1
    result: NDArray[np.float64] = ((probabilities - truth) ** 2).sum(axis=1)
    return result


def log_losses(probabilities: NDArray[np.float64], labels: NDArray[np.intp]) -> NDArray[np.float64]:
    """For each photo `-ln p` of its true class; a probability below 1e-12 counts as that: `(n,)`."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.maximum(chosen, _SMALLEST_PROBABILITY))


def reliability_bins(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], bin_of: NDArray[np.intp], *, bins: int
) -> tuple[ReliabilityBin, ...]:
    """The bins of equal width with what is in them, for a plot."""
    found = []
    for b in range(bins):
        inside = bin_of == b
        count = int(np.count_nonzero(inside))
        mean = float(confidence[inside].mean()) if count else float("nan")
        right = wilson_interval(int(np.count_nonzero(correct[inside])), count)
        found.append(ReliabilityBin(b / bins, (b + 1) / bins, count, mean, right))
    return tuple(found)


def cross_fitted_confidence(
    logits: NDArray[np.float64], labels: NDArray[np.intp], *, copies: NDArray[np.intp] | None = None, seed: int = 0
) -> NDArray[np.float64]:
    """The confidence of each photo with a temperature that was fitted on other photos, in five folds: `(n,)`.

    Not-a-number where all photos are copies of each other.
    """
    confidence = np.full(len(labels), np.nan)
    for fit, judge in cross_fit_folds(labels, copies, seed=seed):
        temperature = fit_temperature(logits[fit], labels[fit])
        confidence[judge] = softmax(logits[judge], temperature=temperature).max(axis=1)
    return confidence
