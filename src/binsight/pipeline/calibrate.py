"""What is fitted on a validation split after the training: temperatures, review thresholds, scale of the unfamiliarity.

`n` is the number of photos, `C` of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.evaluation.scoring import Scores, cross_fit
from binsight.probability.calibration import Calibration, NetworkScores, ReviewTargets
from binsight.probability.calibration import calibrate as calibrate_network
from binsight.probability.unfamiliarity import UnfamiliarityScale, energy, fit_scale, unfamiliarity

__all__ = ["HeadScores", "ReviewTargets", "ScaledCalibration", "calibrate", "judge", "judge_cross_fitted"]


@dataclass(frozen=True)
class HeadScores:
    """What a network says of n photos.

    Attributes:
        logits: `(n, C)`.
        biodegradable: `(n,)` logits of the second head; None where the taxonomy leaves it open.
        mask: `(C,)`, which classes are biodegradable; None likewise.
        residual: `(n,)`, how far the features lie outside those of training photos; None: unfamiliarity is the energy.
    """

    logits: NDArray[np.float64]
    biodegradable: NDArray[np.float64] | None = None
    mask: NDArray[np.bool_] | None = None
    residual: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    def take(self, positions: NDArray[np.intp]) -> HeadScores:
        """The scores of some photos."""
        second = None if self.biodegradable is None else self.biodegradable[positions]
        residual = None if self.residual is None else self.residual[positions]
        return HeadScores(self.logits[positions], second, self.mask, residual)

    def exported(self, scale: UnfamiliarityScale | None) -> NetworkScores:
        """What the exported network gives; its `unfamiliarity` is the energy, where there is no scale."""
        strange = unfamiliarity(self.logits, self.residual, scale)
        return NetworkScores(self.logits, self.biodegradable, self.mask, strange)


@dataclass(frozen=True, slots=True)
class ScaledCalibration:
    """What turns scores into confidences and decisions.

    Attributes:
        fitted: what the manifest holds.
        scale: of the unfamiliarity; the network holds it. None: unfamiliarity is the energy.
    """

    fitted: Calibration
    scale: UnfamiliarityScale | None = None


def calibrate(
    scores: HeadScores, labels: NDArray[np.intp], targets: ReviewTargets, *, groups: NDArray[np.intp] | None = None
) -> ScaledCalibration:
    """Fit the scale of the unfamiliarity, temperatures and review thresholds.

    The parameters are those of `binsight.probability.calibration.calibrate`.
    """
    known = scores.take(np.flatnonzero(scores.logits.argmax(axis=1) == labels))
    scale = None if known.residual is None else fit_scale(energy(known.logits), known.residual)
    return ScaledCalibration(calibrate_network(scores.exported(scale), labels, targets, groups=groups), scale)


def judge(scores: HeadScores, calibration: ScaledCalibration) -> Scores:
    """Confidences and decisions as the bundle gives them."""
    return Scores.of(scores.exported(calibration.scale), calibration.fitted)


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
