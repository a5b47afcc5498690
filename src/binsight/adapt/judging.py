"""Temperatures, thresholds and unfamiliarity of a taught head, and how good it is: each photo judged by others.

`n` is the number of the camera's photos, `C` of classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from binsight.errors import BundleError
from binsight.evaluation.scoring import judge
from binsight.probability.calibration import ReviewTargets, ScaledCalibration, calibrate
from binsight.probability.folds import cross_fit_folds
from binsight.probability.scores import HeadScores
from binsight.probability.thresholds import choose_threshold
from binsight.probability.unfamiliarity import UnfamiliarityScale, energy, fit_scale

__all__ = ["Judged", "RawScores", "decide_cross_fitted", "fit_decisions"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RawScores(HeadScores):
    """What heads say of n photos that they were not fitted on.

    Attributes:
        labels: `(n,)`; -1 for a photo of none of the classes.
        groups: `(n,)`, copies have the same number.
    """

    labels: NDArray[np.int64]
    groups: NDArray[np.intp]

    def followed_by(self, others: RawScores) -> RawScores:
        """These and then the others, which are copies of none of these."""
        return RawScores(
            np.concatenate([self.logits, others.logits]),
            _both(self.biodegradable, others.biodegradable),
            self.mask,
            _both(self.strangeness, others.strangeness),
            labels=np.concatenate([self.labels, others.labels]),
            groups=np.concatenate([self.groups, others.groups + self.groups.max(initial=-1) + 1]),
        )

    def correct(self) -> NDArray[np.bool_]:
        """`(n,)`: the most probable class is the right one."""
        result: NDArray[np.bool_] = self.logits.argmax(axis=1) == self.labels
        return result


@dataclass(frozen=True, eq=False)
class Judged:
    """Confidences `(n, C)`, and which of the n photos are accepted."""

    probabilities: NDArray[np.float64]
    accepted: NDArray[np.bool_]


def fit_decisions(camera: RawScores, known: RawScores, targets: ReviewTargets) -> ScaledCalibration:
    """Fit temperatures, unfamiliarity and thresholds on the camera's photos and those the model was calibrated on.

    Temperatures are those of all of them. What is familiar on the camera or was before stays familiar. The confidence
    from which on a photo is accepted is the stricter of two: that of all photos, and that of the camera's alone, where
    an empty place that is accepted counts as a mistake. Classes that none of the camera's photos was taken for need the
    first only, unless the camera shows new classes, which may be taken for any.
    """
    items = camera.take(camera.labels >= 0)
    both = items.followed_by(known)
    scale = _scale(items, known)
    scores = both.exported(scale)
    fitted = calibrate(scores, both.labels.astype(np.intp), targets, groups=both.groups)
    limit = _strangest([items, known], scale, targets.unfamiliar_share)
    review = replace(fitted.review, unfamiliarity=limit)
    lax = replace(review, confidence=(0.0,) * camera.logits.shape[1])
    judged = judge(camera, ScaledCalibration(replace(fitted, review=lax), scale))
    passes = judged.accepted
    chosen = choose_threshold(
        judged.confidence[passes],
        camera.correct()[passes],
        target_precision=targets.precision,
        certainty=targets.certainty,
        groups=camera.groups[passes],
    )
    usual = fitted.review.confidence[0]
    taken_for = np.isin(np.arange(camera.logits.shape[1]), camera.logits.argmax(axis=1))
    is_told = taken_for | ~np.isin(items.labels, known.labels).all()
    confidence = np.where(is_told, max(chosen.threshold, usual), usual)
    review = replace(review, confidence=tuple(confidence.tolist()))
    shown = min(chosen.shown_precision, fitted.shown_precision)
    return ScaledCalibration(replace(fitted, review=review, shown_precision=shown), scale)


def decide_cross_fitted(camera: RawScores, known: RawScores, targets: ReviewTargets) -> Judged:
    """What is accepted of the camera's photos, each judged by what was fitted on others, copies among neither."""
    strata = (camera.labels + 1).astype(np.intp)
    accepted = np.zeros(len(strata), bool)
    probabilities = np.zeros(camera.logits.shape)
    for fit, fold in cross_fit_folds(strata, camera.groups):
        judged = judge(camera.take(fold), fit_decisions(camera.take(fit), known, targets))
        accepted[fold], probabilities[fold] = judged.accepted, judged.probabilities
    return Judged(probabilities, accepted)


def _scale(items: RawScores, known: RawScores) -> UnfamiliarityScale | None:
    """The scale on which the rim is that of the known photos or of the camera's, whichever lies further out."""
    found = []
    for scores in (known, items):
        right = scores.take(scores.correct())
        scale = None if right.strangeness is None else fit_scale(energy(right.logits), right.strangeness)
        if scale is not None:
            found.append(scale)
    if not found:
        if known.strangeness is not None:  # the network has a scale, and no other would be left to give it
            raise BundleError("too few of its old photos are told rightly to calibrate on; train it again")
        return None
    rims = np.max([np.add(scale.centres, scale.spreads) for scale in found], axis=0)
    return UnfamiliarityScale(found[0].centres, tuple((rims - found[0].centres).tolist()))


def _strangest(parts: list[RawScores], scale: UnfamiliarityScale | None, share: float) -> float | None:
    limits = []
    for scores in parts:
        right = scores.take(scores.correct())
        if len(right.labels):
            strange = right.exported(scale).unfamiliarity
            limits.append(float(np.quantile(strange, 1 - share)))  # type: ignore[arg-type]  # always given here
    return max(limits, default=None)


def _both(first: NDArray[np.float64] | None, second: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    return None if first is None or second is None else np.concatenate([first, second])
