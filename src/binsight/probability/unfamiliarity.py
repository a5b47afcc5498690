"""How unlike the training photos a photo looks: the largest of up to three measures that miss different things.

The energy of the logits is high where no class claims the photo: clothes, plain colours, gradients, stripes. Noise it
does not see, which some class or other may claim loudly. The residual, how far a photo's features lie outside the
subspace of those of training photos, sees noise and little else. Where there were photos of none of the classes to
learn from, the probability of an outlier sees what is like these: glass, which the classes claim as cans and bottles.
A probability, not a logit, since cans are more like glass than leaves are, and are to look no stranger for it.

`n` is the number of photos, `C` of classes, `d` of features, `k` of directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.probability.decision import sigmoid

__all__ = ["MEASURES", "Familiarity", "UnfamiliarityScale", "energy", "fit_familiarity", "fit_scale", "unfamiliarity"]

MEASURES = {"energy": 0.98, "residual": 0.995, "outlier": 0.98}
"""The measures in their order, and the share of known photos that lies inside.

The residual is for what nothing else sees, and close-ups of rough surfaces have a large one too: its rim lies further
out.
"""
_DIRECTIONS = 64
_PHOTOS_PER_DIRECTION = 4  # fewer, and the directions are those of single photos


@dataclass(frozen=True, slots=True)
class UnfamiliarityScale:
    """What makes the measures comparable: `(value - centre) / spread` is 0 where known photos have their median.

    It is 1 where the strangest of them begin, as `MEASURES` has it.

    Attributes:
        centres: of each measure, two or three.
        spreads: likewise, above 0.
    """

    centres: tuple[float, ...]
    spreads: tuple[float, ...]

    def of(self, energy: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest of the measures of each photo, `(n,)`; see `unfamiliarity`."""
        scaled = (np.column_stack([energy, others]) - self.centres) / self.spreads
        largest: NDArray[np.float64] = scaled.max(axis=1)
        return largest


def energy(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """`-log(sum_c exp(logit_c))` of `(n, C)` logits, `(n,)`.

    References:
        Liu et al. 2020, Energy-based Out-of-distribution Detection, arXiv 2010.03759, equation 4 with T = 1.
    """
    peak = logits.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = -(peak[:, 0] + np.log(np.exp(logits - peak).sum(axis=1)))
    return result


def unfamiliarity(
    logits: NDArray[np.float64], others: NDArray[np.float64] | None, scale: UnfamiliarityScale | None
) -> NDArray[np.float64]:
    """What the exported network gives, `(n,)`.

    Args:
        logits: `(n, C)`.
        others: `(n, 1 or 2)`, the measures beside the energy; None: the energy is all there is.
        scale: of the measures; None likewise.
    """
    strange = energy(logits)
    return strange if scale is None or others is None else scale.of(strange, others)


def fit_scale(energy: NDArray[np.float64], others: NDArray[np.float64]) -> UnfamiliarityScale | None:
    """Fit the scale on photos that the network classifies rightly and did not learn from: `(n,)` and `(n, 1 or 2)`.

    None where there are none, or all are alike.
    """
    if not len(energy):
        return None
    pairs = zip(np.column_stack([energy, others]).T, MEASURES.values(), strict=False)
    centres, rims = np.array([np.quantile(values, [0.5, rim]) for values, rim in pairs]).T
    if not (rims > centres).all():
        return None
    return UnfamiliarityScale(tuple(centres.tolist()), tuple((rims - centres).tolist()))


@dataclass(frozen=True, eq=False)
class Familiarity:
    """What tells the features of known photos from others.

    Attributes:
        mean: `(d,)` float64, of known photos.
        directions: `(d, k)` float64, orthonormal, the k principal components of the largest variance.
        outlier: weight `(d, 1)` and bias `(1,)`, float64, of the logit that a photo is of none of the classes; None
            where there were no such photos to learn from.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    outlier: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def measures(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """The measures of `(n, d)` features beside the energy: residual, 0 or more, and probability of an outlier.

        The residual is how long the part of the features is that no direction explains, `|x - P Pᵀ x|` with
        `x = features - mean` and P the directions: that of Wang et al. 2022, ViM: Out-Of-Distribution with
        Virtual-logit Matching, arXiv 2203.10807, section 3.2, around the mean.
        """
        centred = features - self.mean
        inside = centred @ self.directions
        squares = (centred**2).sum(axis=1, keepdims=True) - (inside**2).sum(axis=1, keepdims=True)
        residual: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
        if self.outlier is None:
            return residual
        weight, bias = self.outlier
        return np.concatenate([residual, sigmoid(features @ weight + bias)], axis=1)


def fit_familiarity(features: NDArray[np.floating]) -> Familiarity:
    """What training photos' features have in common, `(n, d)` with n ≥ 1.

    There are 64 directions, or as many as there are four photos for. On waste8, 64 tell noise from photos. One at least
    is left out: of what all together do not explain, there is nothing but rounding.
    """
    photos, depth = features.shape
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    count = min(_DIRECTIONS, photos // _PHOTOS_PER_DIRECTION, depth - 1)
    _, vectors = np.linalg.eigh(centred.T @ centred)  # from the smallest variance to the largest
    return Familiarity(mean, np.ascontiguousarray(vectors[:, ::-1][:, :count]))
