"""The photos a model gets wrong, the most confident first: they say most about it, or about a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from binsight.evaluation.labelled import LabelledSet
from binsight.evaluation.pictures import Pictures, draw_pictures
from binsight.evaluation.scoring import Scores
from binsight.predictor import Predictor, run_in_order
from binsight.probability import top_k
from binsight.progress import Progress, unheard
from binsight.taxonomy import Taxonomy

__all__ = ["Confusion", "Mistake", "add_pictures", "confusions", "find_mistakes"]

_TOP = 3


@dataclass(frozen=True, slots=True)
class Mistake:
    """A photo whose prediction differs from its label.

    Attributes:
        position: in the labelled set.
        path: as it is shown.
        label: the class id it is labelled with.
        predicted: the class id that was predicted.
        confidence: of the prediction.
        label_probability: what the model gives the label.
        decision: `accept` (it would have slipped through) or `review`.
        reason: why it goes to review.
        top: the most probable classes with their probabilities.
        pictures: photo and heat map, where they were asked for and could be drawn.
    """

    position: int
    path: str
    label: str
    predicted: str
    confidence: float
    label_probability: float
    decision: str
    reason: str | None
    top: tuple[tuple[str, float], ...]
    pictures: Pictures | None = None


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often one class was taken for another.

    Attributes:
        label: the true class id.
        predicted: what it was taken for.
        count: how often.
        accepted: how many of these would have slipped through.
    """

    label: str
    predicted: str
    count: int
    accepted: int


def find_mistakes(
    scores: Scores, photos: LabelledSet, kept: NDArray[np.intp], taxonomy: Taxonomy
) -> tuple[Mistake, ...]:
    """The wrong predictions, the most confident first.

    Args:
        scores: of the photos at `kept`.
        photos: all photos.
        kept: positions of those that could be read.
        taxonomy: what the classes are called.
    """
    labels = photos.labels[kept]
    wrong = np.flatnonzero(scores.predicted != labels)
    order = wrong[np.argsort(-scores.confidence[wrong], kind="stable")]
    return tuple(_mistake(scores, int(i), int(kept[i]), int(labels[i]), photos, taxonomy) for i in order)


def add_pictures(
    mistakes: Sequence[Mistake],
    predictor: Predictor,
    photos: LabelledSet,
    *,
    workers: int | None,
    progress: Progress = unheard,
) -> tuple[Mistake, ...]:
    """The mistakes with photo and heat map as small pictures."""

    def draw(mistake: Mistake) -> Mistake:
        return replace(mistake, pictures=draw_pictures(predictor, photos.paths[mistake.position]))

    return tuple(run_in_order(draw, mistakes, workers=workers, progress=progress))


def confusions(mistakes: Sequence[Mistake]) -> tuple[Confusion, ...]:
    """The pairs of classes that are confused, the most frequent first."""
    pairs = Counter((m.label, m.predicted) for m in mistakes)
    accepted = Counter((m.label, m.predicted) for m in mistakes if m.decision == "accept")
    return tuple(Confusion(*pair, count, accepted[pair]) for pair, count in pairs.most_common())


def _mistake(scores: Scores, row: int, position: int, label: int, photos: LabelledSet, taxonomy: Taxonomy) -> Mistake:
    probabilities, verdict = scores.probabilities[row], scores.verdicts[row]
    best = top_k(probabilities, _TOP)
    return Mistake(
        position=position,
        path=photos.name(position),
        label=taxonomy.ids[label],
        predicted=taxonomy.ids[int(best[0])],
        confidence=float(probabilities[best[0]]),
        label_probability=float(probabilities[label]),
        decision=verdict.decision,
        reason=verdict.reason,
        top=tuple((taxonomy.ids[int(c)], float(probabilities[c])) for c in best),
    )
