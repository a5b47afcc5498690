"""How unlike the training photos a photo looks: the larger of two measures that miss different things.

The energy of the logits is high where no class claims the photo: clothes, plain colours, gradients, stripes. Noise it
does not see, which some class or other may claim loudly. The residual, how far a photo's features lie outside the
subspace of those of training photos, sees noise and little else.

`n` is the number of photos, `C` of classes, `d` of features, `k` of directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FeatureSubspace", "UnfamiliarityScale", "energy", "fit_scale", "fit_subspace", "unfamiliarity"]

# The share of the known photos that lies inside. The residual is for what nothing else sees, and close-ups of rough
# surfaces have a large one too: its rim lies further out.
_ENERGY_RIM, _RESIDUAL_RIM = 0.98, 0.995
_DIRECTIONS = 64
_PHOTOS_PER_DIRECTION = 4  # fewer, and the directions are those of single photos


@dataclass(frozen=True, slots=True)
class UnfamiliarityScale:
    """What makes the two measures comparable: `(value - centre) / spread` is 0 where known photos have their median.

    It is 1 where the strangest of them begin: 2 % by the energy, 0.5 % by the residual.

    Attributes:
        energy_centre: of the energy.
        energy_spread: likewise, above 0.
        residual_centre: of the residual.
        residual_spread: likewise, above 0.
    """

    energy_centre: float
    energy_spread: float
    residual_centre: float
    residual_spread: float

    def of(self, energy: NDArray[np.float64], residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """The larger of the two measures of each photo, `(n,)`."""
        larger: NDArray[np.float64] = np.maximum(
            (energy - self.energy_centre) / self.energy_spread, (residual - self.residual_centre) / self.residual_spread
        )
        return larger


def energy(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """`-log(sum_c exp(logit_c))` of `(n, C)` logits, `(n,)`.

    References:
        Liu et al. 2020, Energy-based Out-of-distribution Detection, arXiv 2010.03759, equation 4 with T = 1.
    """
    peak = logits.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = -(peak[:, 0] + np.log(np.exp(logits - peak).sum(axis=1)))
    return result


def unfamiliarity(
    logits: NDArray[np.float64], residual: NDArray[np.float64] | None, scale: UnfamiliarityScale | None
) -> NDArray[np.float64]:
    """What the exported network gives for `(n, C)` logits, `(n,)`: the energy, where there is no residual or scale."""
    strange = energy(logits)
    return strange if scale is None or residual is None else scale.of(strange, residual)


def fit_scale(energy: NDArray[np.float64], residual: NDArray[np.float64]) -> UnfamiliarityScale | None:
    """Fit the scale on both measures of photos that the network classifies rightly and did not learn from, `(n,)` each.

    None where there are none, or all are alike.
    """
    if not len(energy):
        return None
    (centre, rim), (inner, outer) = np.quantile(energy, [0.5, _ENERGY_RIM]), np.quantile(residual, [0.5, _RESIDUAL_RIM])
    if not (rim > centre and outer > inner):
        return None
    return UnfamiliarityScale(float(centre), float(rim - centre), float(inner), float(outer - inner))


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
