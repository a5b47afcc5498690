"""What is fitted on a validation split after the training: temperatures, review thresholds, scale of the unfamiliarity.

`n` is the number of photos, `C` of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from binsight.evaluation.scoring import Scores, cross_fit, judge
from binsight.probability.calibration import ReviewTargets, ScaledCalibration
from binsight.probability.calibration import calibrate as calibrate_network
from binsight.probability.scores import HeadScores
from binsight.probability.unfamiliarity import energy, fit_scale

__all__ = ["calibrate", "judge_cross_fitted"]


def calibrate(
    scores: HeadScores, labels: NDArray[np.intp], targets: ReviewTargets, *, groups: NDArray[np.intp] | None = None
) -> ScaledCalibration:
    """Fit the scale of the unfamiliarity, temperatures and review thresholds.

    The parameters are those of `binsight.probability.calibration.calibrate`.
    """
    known = scores.take(np.flatnonzero(scores.logits.argmax(axis=1) == labels))
    scale = None if known.residual is None else fit_scale(energy(known.logits), known.residual)
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
