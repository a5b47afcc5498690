"""What is fitted on a validation split after the training, and how good the network then is, as a bundle says it.

`n` is the number of photos, `C` of classes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Metric, SplitMetrics
from binsight.evaluation.figures import measure_scores
from binsight.evaluation.measures import CROSS_FITTED
from binsight.evaluation.scoring import Scores, cross_fit, judge
from binsight.probability.calibration import ReviewTargets, ScaledCalibration
from binsight.probability.calibration import calibrate as calibrate_network
from binsight.probability.intervals import Interval, share_interval
from binsight.probability.scores import HeadScores
from binsight.probability.unfamiliarity import energy, fit_scale
from binsight.taxonomy import Taxonomy

__all__ = ["calibrate", "judge_cross_fitted", "measure", "measure_strangers", "state_metrics"]

_STATED = ("accuracy", "balanced_accuracy", "macro_f1", "top2_accuracy", "biodegradable_accuracy",
           "biodegradable_head_accuracy", "accepted_share", "accepted_accuracy", "calibration_error")  # fmt: skip


def calibrate(
    scores: HeadScores, labels: NDArray[np.intp], targets: ReviewTargets, *, groups: NDArray[np.intp] | None = None
) -> ScaledCalibration:
    """Fit the scale of the unfamiliarity, temperatures and review thresholds.

    The parameters are those of `binsight.probability.calibration.calibrate`.
    """
    known = scores.take(np.flatnonzero(scores.logits.argmax(axis=1) == labels))
    scale = None if known.strangeness is None else fit_scale(energy(known.logits), known.strangeness)
    return ScaledCalibration(calibrate_network(scores.exported(scale), labels, targets, groups=groups), scale)


def judge_cross_fitted(
    scores: HeadScores,
    labels: NDArray[np.intp],
    targets: ReviewTargets,
    calibration: ScaledCalibration,
    *,
    groups: NDArray[np.intp] | None = None,
) -> Scores | None:
    """Confidences and decisions, of each photo by a calibration fitted on others, copies among neither.

    None where all photos are copies of each other.
    """

    def judge_fold(fit: NDArray[np.intp], fold: NDArray[np.intp]) -> Scores:
        fitted = calibrate(scores.take(fit), labels[fit], targets, groups=None if groups is None else groups[fit])
        return judge(scores.take(fold), fitted)

    return cross_fit(judge(scores, calibration), labels, judge_fold, copies=groups)


def measure(
    scores: HeadScores,
    labels: NDArray[np.intp],
    taxonomy: Taxonomy,
    calibration: ScaledCalibration,
    *,
    groups: NDArray[np.intp] | None = None,
    fitted_for: ReviewTargets | None = None,
) -> SplitMetrics:
    """Metrics of one split with 95 % intervals, as the bundle's temperatures and thresholds give them.

    Args:
        scores: of the split's n photos.
        labels: `(n,)`.
        taxonomy: of the classes.
        calibration: the bundle's.
        groups: `(n,)`, copies of one photo have the same number; None: there are no copies.
        fitted_for: what the calibration was fitted for on these very photos; None where it was fitted on others. The
            metrics that depend on it are then given a second time as `…_cross_fitted`: each photo judged by what was
            fitted on four fifths without it.
    """
    copies = np.arange(len(labels)) if groups is None else groups
    crossed = None
    if fitted_for is not None:
        crossed = judge_cross_fitted(scores, labels, fitted_for, calibration, groups=copies)
    return state_metrics(judge(scores, calibration), crossed, labels, taxonomy, copies)


def state_metrics(
    judged: Scores,
    crossed: Scores | None,
    labels: NDArray[np.intp],
    taxonomy: Taxonomy,
    copies: NDArray[np.intp],
) -> SplitMetrics:
    """The metrics that a manifest states of photos, those that depend on the calibration by `crossed` too."""
    found = _stated(measure_scores(judged, labels, taxonomy, copies))
    if crossed is not None:
        other = _stated(measure_scores(crossed, labels, taxonomy, copies))
        found |= {CROSS_FITTED[name]: value for name, value in other.items() if name in CROSS_FITTED}
    return SplitMetrics(len(labels), {name: Metric.of(value) for name, value in found.items()})


def measure_strangers(judged: Scores) -> SplitMetrics:
    """The share of photos of none of the classes that is sent to review."""
    return SplitMetrics(len(judged), {"reviewed_share": Metric.of(share_interval(~judged.accepted))})


def _stated(found: dict[str, Interval]) -> dict[str, Interval]:
    return {name: found[name] for name in _STATED if name in found and not math.isnan(found[name].value)}
