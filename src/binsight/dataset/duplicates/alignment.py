"""Whether two thumbnails show the same shot: lay one over the other, then compare detail by detail.

A crop or a rescale moves and stretches a picture along its two axes: four parameters, found by Gauss-Newton steps on
the difference of the normalised pictures. What is then compared is not the picture as a whole, in which the outline of
a dark object on a plain ground decides everything, but small windows: two photos of different objects agree in the
outline and disagree inside it.

References:
    Evangelidis, Psarakis 2008, Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization.
    Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity (the structure term).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["shot_similarity"]

Floats = NDArray[np.float32]

_COARSE_SIDE = 24
_COARSE_STEPS, _FINE_STEPS = 3, 3
# Of 1,112 pairs of copies one agrees less than this when aligned coarsely; of other candidates nine in ten do.
_HOPELESS = 0.6
_LIMIT = 0.16  # of scale and, in half sides, of shift: beyond any crop that still counts as a copy
_STEP_LIMIT = 0.06
_SURROUNDINGS = 3  # pixels to each side, of 48
_WINDOW = 3  # pixels to each side: 7 x 7
_FLAT = 0.01  # in standard deviations of the picture: what JPEG noise leaves in a plain ground
_LIMIT_LEVEL, _BRIGHTER = 250, 1.25
_DETAIL_CAP = 0.25  # a strong edge weighs no more than this, so that outlines do not drown what they surround


def shot_similarity(first: NDArray[np.float16], second: NDArray[np.float16]) -> Floats:
    """How well each pair of thumbnails agrees in its details once aligned.

    Brightness, contrast, a shift or scale of up to 16 % along either axis do not count; orientation does.

    Args:
        first: `(n, 48, 48)`, in 8-bit levels.
        second: likewise.

    Returns:
        `(n,)` float32 in [-1, 1]: 1 for the same picture; 0 also where the search for an alignment was given up.
    """
    side = first.shape[-1]
    a, b = first.astype(np.float32), second.astype(np.float32)
    small_a, small_b = _shrink(a), _shrink(b)
    placement = np.tile(np.array([1, 0, 1, 0], np.float32), (len(a), 1))
    placement = _align(small_a, small_b, placement, _COARSE_STEPS)
    hopeful = np.flatnonzero(_detail_agreement(small_a, *_move(small_b, placement)) > _HOPELESS)
    result = np.zeros(len(a), np.float32)
    if len(hopeful):
        a, b = a[hopeful], b[hopeful]
        zoom = np.array([1, side / _COARSE_SIDE] * 2, np.float32)
        placement = _align(a, b, placement[hopeful] * zoom, _FINE_STEPS)
        b, inside = _move(b, placement)
        result[hopeful] = _window_agreement(a, b, inside.weight * _unclipped(a, b))
    return result


@dataclass(frozen=True, slots=True)
class _Inside:
    """Which rows and columns of n moved pictures lie inside what they were taken from: `(n, side)` each, 0 or 1."""

    rows: Floats
    columns: Floats

    @property
    def weight(self) -> Floats:
        """1 for each pixel inside, `(n, side, side)`."""
        return self.rows[:, :, None] * self.columns[:, None, :]


def _align(first: Floats, second: Floats, placement: Floats, steps: int) -> Floats:
    """Improve `placement` `(n, 4)`: scale and shift in pixels along x, then along y."""
    side = first.shape[-1]
    place = np.arange(side, dtype=np.float32) - (side - 1) / 2
    bounds = np.array([_LIMIT, _LIMIT * side / 2] * 2, np.float32)
    identity = np.array([1, 0, 1, 0], np.float32)
    step_limit = np.array([_STEP_LIMIT, _STEP_LIMIT * side] * 2, np.float32)
    # How the picture changes with each parameter, the picture itself, and the one it shall match.
    planes = np.zeros((len(first), 6, side, side), np.float32)
    for _ in range(steps):
        moved, inside = _move(second, placement)
        weight = inside.weight
        _normalise_inside(moved, inside, weight, out=planes[:, 4])
        _normalise_inside(first, inside, weight, out=planes[:, 5])
        _slope(planes[:, 4], inside, planes[:, 1], planes[:, 3])
        np.multiply(planes[:, 1], place, out=planes[:, 0])
        np.multiply(planes[:, 3], place[:, None], out=planes[:, 2])
        flat = planes.reshape(len(first), 6, -1)
        gram = flat @ flat.transpose(0, 2, 1)
        # What goes along the picture itself is taken out: a change of contrast is no misplacement.
        along = gram[:, :4, 4]
        normal = gram[:, :4, :4] - along[:, :, None] * along[:, None, :]
        residual = gram[:, :4, 5] - along * gram[:, 4, 5, None]
        # Damping keeps the system solvable for pictures that do not vary along one axis.
        normal += (1e-3 * np.einsum("nii->ni", normal)[:, :, None] + 1e-9) * np.eye(4, dtype=np.float32)
        step = np.linalg.solve(normal, residual[:, :, None])[:, :, 0]
        placement = placement + np.clip(step, -step_limit, step_limit)
        placement = np.clip(placement, identity - bounds, identity + bounds).astype(np.float32)
    return placement


def _move(images: Floats, placement: Floats) -> tuple[Floats, _Inside]:
    """Each picture sampled at its placement (bilinear), and what of that lies inside the picture."""
    across, columns = _sampling(placement[:, 0], placement[:, 1], images.shape[-1])
    down, rows = _sampling(placement[:, 2], placement[:, 3], images.shape[-1])
    moved: Any = down @ images @ across.transpose(0, 2, 1)  # mypy takes a product of three for float64
    return moved, _Inside(rows, columns)


def _sampling(scale: Floats, shift: Floats, side: int) -> tuple[Floats, Floats]:
    place = np.arange(side, dtype=np.float32)
    middle = np.float32((side - 1) / 2)
    wanted = (place - middle)[None, :] * scale[:, None] + middle + shift[:, None]
    inside = ((wanted >= -0.25) & (wanted <= side - 0.75)).astype(np.float32)
    weights: Floats = np.clip(wanted, 0, side - 1)[:, :, None] - place
    np.abs(weights, out=weights)
    np.subtract(1, weights, out=weights)
    np.maximum(weights, 0, out=weights)
    return weights, inside


def _normalise_inside(images: Floats, inside: _Inside, weight: Floats, out: Floats) -> None:
    """Put into `out` the pictures with mean 0 and length 1 each, and 0 outside."""
    count = inside.rows.sum(axis=1) * inside.columns.sum(axis=1)
    by_row = (images @ inside.columns[:, :, None])[:, :, 0]
    mean = np.einsum("ni,ni->n", by_row, inside.rows) / count
    np.subtract(images, mean[:, None, None], out=out)
    out *= weight
    out /= np.sqrt(np.einsum("nij,nij->n", out, out))[:, None, None] + 1e-6


def _slope(images: Floats, inside: _Inside, along_x: Floats, along_y: Floats) -> None:
    """Central differences along x and y, 0 outside and next to the border of what is inside; `images` are 0 outside."""
    columns = inside.columns[:, None, 2:] * inside.columns[:, None, :-2] / 2
    rows = inside.rows[:, 2:, None] * inside.rows[:, :-2, None] / 2
    np.subtract(images[:, :, 2:], images[:, :, :-2], out=along_x[:, :, 1:-1])
    along_x[:, :, 1:-1] *= columns
    np.subtract(images[:, 2:], images[:, :-2], out=along_y[:, 1:-1])
    along_y[:, 1:-1] *= rows


def _normalise(images: Floats, weight: Floats) -> Floats:
    """Weighted, with mean 0 and length 1 each."""
    mean = (images * weight).sum(axis=(1, 2), keepdims=True) / weight.sum(axis=(1, 2), keepdims=True)
    centred = (images - mean) * weight
    result: Floats = centred / (np.sqrt(np.square(centred).sum(axis=(1, 2), keepdims=True)) + 1e-6)
    return result


def _detail_agreement(first: Floats, second: Floats, inside: _Inside) -> Floats:
    """The correlation of what a blur takes away, `(n,)`."""
    weight = inside.weight
    a = _normalise(_detail(first, weight), weight)
    b = _normalise(_detail(second, weight), weight)
    result: Floats = np.einsum("nij,nij->n", a, b)
    return result


def _window_agreement(first: Floats, second: Floats, weight: Floats) -> Floats:
    """The mean correlation of details over small windows, weighted by how much there is to see in them, `(n,)`."""
    blur = _blur_matrix(first.shape[-1], _WINDOW)
    to_unit_variance = np.sqrt(weight.sum(axis=(1, 2), keepdims=True))
    a = _detail(_normalise(first, weight) * to_unit_variance, weight)
    b = _detail(_normalise(second, weight) * to_unit_variance, weight)
    mean_a, mean_b = blur @ a @ blur.T, blur @ b @ blur.T
    spread_a = np.sqrt(np.maximum(blur @ (a * a) @ blur.T - mean_a * mean_a, 0))
    spread_b = np.sqrt(np.maximum(blur @ (b * b) @ blur.T - mean_b * mean_b, 0))
    agreement = (blur @ (a * b) @ blur.T - mean_a * mean_b) / (spread_a * spread_b + _FLAT**2)
    importance = np.minimum(np.maximum(spread_a, spread_b), _DETAIL_CAP) * weight
    result: Floats = (agreement * importance).sum(axis=(1, 2)) / (importance.sum(axis=(1, 2)) + 1e-6)
    return result


def _unclipped(first: Floats, second: Floats) -> Floats:
    """Nearly 0 where one picture is at the limit and the other may have been before it was made lighter."""
    clipped: NDArray[np.bool_] = (np.maximum(first, second) >= _LIMIT_LEVEL) & (
        np.minimum(first, second) >= _LIMIT_LEVEL / _BRIGHTER
    )
    return np.where(clipped, np.float32(0.05), np.float32(1))


def _detail(images: Floats, weight: Floats) -> Floats:
    """What differs from the mean around it: soft shadows on a plain ground, which many photos share, vanish."""
    blur = _blur_matrix(images.shape[-1], _SURROUNDINGS * images.shape[-1] // 48)
    surroundings: Any = (blur @ (images * weight) @ blur.T) / (blur @ weight @ blur.T + 1e-6)
    result: Floats = (images - surroundings) * weight
    return result


def _blur_matrix(side: int, reach: int) -> Floats:
    """The mean over `2 * reach + 1` neighbours, those inside the picture only: `(side, side)`."""
    place = np.arange(side)
    near = (np.abs(place[:, None] - place[None, :]) <= reach).astype(np.float32)
    result: Floats = near / near.sum(axis=1, keepdims=True)
    return result


def _shrink(images: Floats) -> Floats:
    """Averages of squares, `(n, 24, 24)`."""
    factor = images.shape[-1] // _COARSE_SIDE
    result = np.zeros((len(images), _COARSE_SIDE, _COARSE_SIDE), np.float32)
    for i, j in np.ndindex(factor, factor):
        result += images[:, i::factor, j::factor]
    result /= factor**2
    return result
