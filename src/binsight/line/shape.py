"""Whether the outline of a blob is that of one piece, or of several that touch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from binsight.line.components import count_components

__all__ = ["fill_of_hull", "looks_like_several"]

_LEAST_FILL = 0.76  # of the convex hull: the corner between two pieces at an angle leaves more of it empty
_CORE_DEPTHS = (0.3, 0.5, 0.65)  # shares of the greatest thickness at which a bridge is looked for
_CORE_SHARE = 0.2  # of what is left must be in each core


def looks_like_several(mask: NDArray[np.bool_]) -> bool:
    """Whether a blob is far from convex, or falls apart when a part of its thickness is taken off all round.

    Args:
        mask: `(h, w)` bool, true inside the blob.
    """
    # The hull is at most the box: a blob that fills its box needs no hull.
    bent = mask.mean() < _LEAST_FILL and fill_of_hull(mask) < _LEAST_FILL
    return bent or _falls_apart(mask)


def fill_of_hull(mask: NDArray[np.bool_]) -> float:
    """The blob's share of its convex hull, in (0, 1]; the hull is taken around the corners of the pixels.

    References:
        Andrew 1979, Another efficient algorithm for convex hulls in two dimensions.
    """
    width = mask.shape[1]
    filled = mask.any(axis=1)
    left = np.where(filled, mask.argmax(axis=1), width)
    right = np.where(filled, width - mask[:, ::-1].argmax(axis=1), 0)
    # At the height of each edge between two rows, the further of the two.
    left, right = np.minimum([*left, width], [width, *left]), np.maximum([*right, 0], [0, *right])
    heights = np.flatnonzero(right)
    area = -_area_beside(heights, left[heights]) - _area_beside(heights, -right[heights])
    return float(mask.sum()) / area


def _area_beside(heights: NDArray[np.intp], sides: NDArray[np.intp]) -> float:
    """The area between an axis and the convex chain that runs at or before the points `(sides, heights)`."""
    chain: list[tuple[int, int]] = []
    for x, y in zip(sides.tolist(), heights.tolist(), strict=True):
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2:]
            if (bx - ax) * (y - ay) < (x - ax) * (by - ay):
                break
            chain.pop()
        chain.append((x, y))
    return sum((x0 + x1) * (y1 - y0) for (x0, y0), (x1, y1) in pairwise(chain)) / 2


def _falls_apart(mask: NDArray[np.bool_]) -> bool:
    depth = _depth(mask)
    for share in _CORE_DEPTHS:
        core = depth > share * depth.max()
        if count_components(core, min_area=max(4, round(_CORE_SHARE * core.sum()))) > 1:
            return True
    return False


def _depth(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """How often a pixel outlasts the taking off of all that has a neighbour outside on one of four sides, plus 1."""
    core = np.pad(mask, 1)
    inner, up, down, left, right = core[1:-1, 1:-1], core[:-2, 1:-1], core[2:, 1:-1], core[1:-1, :-2], core[1:-1, 2:]
    depth = np.zeros(mask.shape, dtype=np.int32)
    while inner.any():
        depth += inner
        rest = inner & up
        for side in (down, left, right):
            rest &= side
        inner[:] = rest
    return depth
