"""Whether the outline of a blob is that of one piece, or of several that touch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from binsight.line.components import find_components

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
    rows = np.flatnonzero(mask.any(axis=1))
    left = mask[rows].argmax(axis=1)
    right = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    lower = np.concatenate([rows, rows + 1])
    points = sorted(set(zip(np.concatenate([left, left, right, right]).tolist(), [*lower.tolist()] * 2, strict=True)))
    hull = [*_chain(points), *_chain(points[::-1])]
    twice = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(hull, hull[1:] + hull[:1], strict=True))
    return 2 * float(mask.sum()) / abs(twice)


def _chain(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """One half of the hull, without its last point."""
    chain: list[tuple[int, int]] = []
    for x, y in points:
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2:]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain[:-1]


def _falls_apart(mask: NDArray[np.bool_]) -> bool:
    core = np.pad(mask, 1)
    depth = np.zeros(core.shape, dtype=np.int32)
    while core.any():
        depth += core
        core = _erode(core)
    for share in _CORE_DEPTHS:
        core = depth > share * depth.max()
        if len(find_components(core, min_area=max(4, round(_CORE_SHARE * core.sum())))) > 1:
            return True
    return False


def _erode(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the pixels that have a neighbour outside on one of four sides; the border is taken as outside."""
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return inner
