"""What the features of training photos have in common, and how far a photo's features lie outside of it.

`n` is the number of photos, `d` of features, `k` of directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FeatureSubspace", "fit_subspace"]

_DIRECTIONS = 64
_PHOTOS_PER_DIRECTION = 4  # fewer, and the directions are those of single photos


@dataclass(frozen=True)
class FeatureSubspace:
    """The directions in which the features of known photos differ from each other.

    Attributes:
        mean: `(d,)` float64, of the features.
        directions: `(d, k)` float64, orthonormal, the k principal components of the largest variance.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]

    def residual(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """How long the part of `(n, d)` features is that no direction explains, `(n,)`; 0 or more.

        `|x - P Pᵀ x|` with `x = features - mean` and P the directions: the residual of Wang et al. 2022, ViM:
        Out-Of-Distribution with Virtual-logit Matching, arXiv 2203.10807, section 3.2, around the mean.
        """
        centred = features - self.mean
        inside = centred @ self.directions
        squares = (centred**2).sum(axis=1) - (inside**2).sum(axis=1)
        result: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
        return result


def fit_subspace(features: NDArray[np.floating]) -> FeatureSubspace:
    """Find the subspace of the features of training photos, `(n, d)` with n ≥ 1.

    It has 64 directions, or as many as there are four photos for. On waste8, 64 tell noise from photos. One at least is
    left out: of what all together do not explain, there is nothing but rounding.
    """
    photos, depth = features.shape
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    count = min(_DIRECTIONS, photos // _PHOTOS_PER_DIRECTION, depth - 1)
    _, vectors = np.linalg.eigh(centred.T @ centred)  # from the smallest variance to the largest
    return FeatureSubspace(mean, np.ascontiguousarray(vectors[:, ::-1][:, :count]))
