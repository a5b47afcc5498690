"""What is fitted on a validation split after the training: temperatures and review thresholds.

`n` is the number of photos, `C` of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.evaluation.calibration import confidence_thresholds, fit_binary_temperature, fit_temperature
from binsight.pipeline.unfamiliarity import UnfamiliarityScale, energy, fit_scale
from binsight.probability import ReviewThresholds, decide, sigmoid, softmax

__all__ = ["Calibration", "ReviewTargets", "Scores", "accept", "calibrate"]


@dataclass(frozen=True)
class Scores:
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

    def take(self, positions: NDArray[np.intp]) -> Scores:
        """The scores of some photos."""
        second = None if self.biodegradable is None else self.biodegradable[positions]
        residual = None if self.residual is None else self.residual[positions]
        return Scores(self.logits[positions], second, self.mask, residual)

    def unfamiliarity(self, scale: UnfamiliarityScale | None) -> NDArray[np.float64]:
        """What the exported network gives as `unfamiliarity`, `(n,)`: the energy, where there is no scale."""
        strange = energy(self.logits)
        return strange if scale is None or self.residual is None else scale.of(strange, self.residual)


@dataclass(frozen=True, slots=True)
class ReviewTargets:
    """When an item goes to a person.

    Attributes:
        precision: the share of right predictions wanted among the accepted ones, in (0, 1].
        disagreement_share: the share of rightly classified photos that may go to review because the heads disagree.
        unfamiliar_share: likewise, because they look unlike the training data.
    """

    precision: float = 0.993
    disagreement_share: float = 0.005
    unfamiliar_share: float = 0.02


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns scores into confidences and decisions: the manifest holds it, but for the scale.

    Attributes:
        temperature: of the categories.
        biodegradable_temperature: of the second head; None without it.
        review: when an item goes to a person.
        scale: of the unfamiliarity; the network holds it. None: unfamiliarity is the energy.
    """

    temperature: float
    biodegradable_temperature: float | None
    review: ReviewThresholds
    scale: UnfamiliarityScale | None = None


def calibrate(scores: Scores, labels: NDArray[np.intp], targets: ReviewTargets) -> Calibration:
    """Fit temperatures and review thresholds.

    Args:
        scores: of photos that the network did not learn from.
        labels: `(n,)`, what they show.
        targets: what may be sent to review.
    """
    temperature = fit_temperature(scores.logits, labels)
    probabilities = softmax(scores.logits, temperature=temperature)
    predicted = probabilities.argmax(axis=1)
    correct = predicted == labels
    confidence = confidence_thresholds(
        probabilities.max(axis=1),
        predicted,
        correct,
        classes=scores.logits.shape[1],
        target_precision=targets.precision,
    )
    second, disagreement = _calibrate_second(scores, labels, probabilities, correct, targets)
    known = scores.take(np.flatnonzero(correct))
    scale = None if known.residual is None else fit_scale(energy(known.logits), known.residual)
    unfamiliarity = _upper(known.unfamiliarity(scale), targets.unfamiliar_share)
    return Calibration(temperature, second, ReviewThresholds(confidence, disagreement, unfamiliarity), scale)


def accept(scores: Scores, calibration: Calibration) -> NDArray[np.bool_]:
    """Which photos are accepted, `(n,)`; the others are for review."""
    probabilities = softmax(scores.logits, temperature=calibration.temperature)
    heads = None
    if scores.biodegradable is not None and calibration.biodegradable_temperature is not None:
        heads = sigmoid(scores.biodegradable, temperature=calibration.biodegradable_temperature)
    strange = scores.unfamiliarity(calibration.scale)
    decisions = [
        decide(
            probabilities[i],
            calibration.review,
            biodegradable_mask=() if scores.mask is None else scores.mask.tolist(),
            biodegradable_probability=None if heads is None else float(heads[i]),
            unfamiliarity=float(strange[i]),
        )
        for i in range(len(scores))
    ]
    return np.array([decision.decision == "accept" for decision in decisions], dtype=bool)


def _calibrate_second(
    scores: Scores,
    labels: NDArray[np.intp],
    probabilities: NDArray[np.float64],
    correct: NDArray[np.bool_],
    targets: ReviewTargets,
) -> tuple[float | None, float | None]:
    """The second head's temperature, and the largest disagreement that is accepted; None, None without that head."""
    if scores.biodegradable is None or scores.mask is None:
        return None, None
    temperature = fit_binary_temperature(scores.biodegradable, scores.mask[labels])
    by_class = probabilities[:, scores.mask].sum(axis=1)
    gap = np.abs(by_class - sigmoid(scores.biodegradable, temperature=temperature))
    return temperature, _upper(gap[correct], targets.disagreement_share)


def _upper(values: NDArray[np.float64], share: float) -> float | None:
    """The value that only this share exceeds; None where there are none to tell from."""
    return float(np.quantile(values, 1 - share)) if len(values) else None
