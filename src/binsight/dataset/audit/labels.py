"""Labels that are probably wrong, by confident learning.

A model is fitted on the other photos; a photo whose own label gets little probability while another class gets as much
as that class's own photos usually do is probably labelled wrong. One whose label is merely improbable may be.

References:
    Northcutt, Jiang, Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Suggestion", "suggest_labels"]

_IMPROBABLE = 0.25


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A label that may be wrong.

    Attributes:
        position: of the photo.
        label: the class it has.
        suggested: the class it seems to be.
        label_probability: of the class it has.
        suggested_probability: of the other.
        is_confident: whether the other class is as probable as it is for its own photos.
    """

    position: int
    label: int
    suggested: int
    label_probability: float
    suggested_probability: float
    is_confident: bool


def suggest_labels(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[Suggestion]:
    """The photos whose label is probably wrong, the least probable label first.

    Class `c` is claimed with confidence where its probability reaches `t_c`, the mean of it over the photos labelled
    `c`. A photo is suspect when another class is more probable than its label, and that class is claimed with
    confidence or the label has less than 0.25.

    Args:
        probabilities: `(n, C)`, each from a model that was not fitted on the photo.
        labels: `(n,)`.
    """
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    thresholds = np.array(
        [own[labels == c].mean() if (labels == c).any() else 1.0 for c in range(probabilities.shape[1])]
    )
    best = probabilities.argmax(axis=1)
    confident = probabilities[rows, best] >= thresholds[best]
    order = np.flatnonzero((best != labels) & (confident | (own < _IMPROBABLE)))
    order = order[np.argsort(own[order], kind="stable")]
    return [
        Suggestion(
            int(i), int(labels[i]), int(best[i]), float(own[i]), float(probabilities[i, best[i]]), bool(confident[i])
        )
        for i in order
    ]
