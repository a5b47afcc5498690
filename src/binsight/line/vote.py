"""From several looks at a piece to one decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from binsight.line.records import View
from binsight.line.views import select_voters
from binsight.predictor import Prediction
from binsight.probability import ReviewThresholds, decide

__all__ = ["Vote", "VoteReason", "vote"]

VoteReason = Literal[
    "no_view",
    "several",
    "views_disagree",
    "two_categories",
    "unfamiliar",
    "low_confidence",
    "heads_disagree",
    "new_camera",
    "strange_camera",
]
_SECOND = 0.3  # a second category this probable in one view: there may be two things in it


@dataclass(frozen=True, slots=True)
class Vote:
    """What a piece is, by all its views.

    Attributes:
        decision: accept the category, or leave the piece to a person.
        reason: why to review; None when accepted.
        category: the most probable class; None where no view counts.
        confidence: its averaged probability in [0, 1].
        scores: class id → averaged probability, in label order.
        views: those that counted, in order.
    """

    decision: Literal["accept", "review"]
    reason: VoteReason | None
    category: str | None = None
    confidence: float | None = None
    scores: Mapping[str, float] | None = None
    views: tuple[View, ...] = ()


def vote(
    views: Sequence[View],
    thresholds: ReviewThresholds,
    *,
    biodegradable_mask: Sequence[bool] = (),
    several: bool = False,
) -> Vote:
    """Average the calibrated scores of the views that count, and decide by the model's own review rule.

    The averaged scores go through `probability.decide` with the bundle's thresholds. Before that, a piece is left to a
    person when its outline is that of several, when half of its views are unlike all training data, when one view shows
    two categories, or when two views are each sure of another category.

    Args:
        views: of one piece, with their predictions; those that are blurred, cut off or not judged do not count.
        thresholds: of the model's bundle.
        biodegradable_mask: which classes are biodegradable, in label order.
        several: the tracker takes the piece for several that touch.
    """
    counted = select_voters(views)
    predictions = [view.prediction for view in counted if view.prediction is not None]
    if not predictions:
        return Vote("review", "no_view")
    ids = list(predictions[0].scores)
    table = np.array([list(prediction.scores.values()) for prediction in predictions])
    mean = table.mean(axis=0)
    seconds = [p.biodegradable_probability for p in predictions if p.biodegradable_probability is not None]
    verdict = decide(
        mean,
        thresholds,
        biodegradable_mask=biodegradable_mask,
        biodegradable_probability=float(np.mean(seconds)) if seconds else None,
    )
    reason: VoteReason | None = "several" if several else _doubt(predictions, table, thresholds) or verdict.reason
    best = int(mean.argmax())
    scores = dict(zip(ids, mean.tolist(), strict=True))
    return Vote("review" if reason else "accept", reason, ids[best], float(mean[best]), scores, tuple(counted))


def _doubt(
    predictions: Sequence[Prediction], table: NDArray[np.float64], thresholds: ReviewThresholds
) -> VoteReason | None:
    """What the average would hide."""
    if 2 * sum(prediction.reason == "unfamiliar" for prediction in predictions) >= len(predictions):
        return "unfamiliar"
    if (np.sort(table, axis=1)[:, -2:-1] >= _SECOND).any():
        return "two_categories"
    best = table.argmax(axis=1)
    sure = table.max(axis=1) >= np.asarray(thresholds.confidence)[best]
    return "views_disagree" if len(set(best[sure].tolist())) > 1 else None
