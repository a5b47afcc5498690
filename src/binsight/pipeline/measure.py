"""How good a network is on labelled photos, as a bundle's manifest and card say it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Metric, SplitMetrics
from binsight.evaluation.figures import measure_scores
from binsight.evaluation.measures import CROSS_FITTED
from binsight.evaluation.scoring import Scores, judge
from binsight.pipeline.calibrate import judge_cross_fitted
from binsight.probability.calibration import ReviewTargets, ScaledCalibration
from binsight.probability.intervals import Interval, share_interval
from binsight.probability.scores import HeadScores
from binsight.taxonomy import Taxonomy

__all__ = ["measure", "measure_strangers", "state_metrics"]

_STATED = ("accuracy", "balanced_accuracy", "macro_f1", "top2_accuracy", "biodegradable_accuracy",
           "biodegradable_head_accuracy", "accepted_share", "accepted_accuracy", "calibration_error")  # fmt: skip


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
