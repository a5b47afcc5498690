"""Which of the things seen are which of the pieces known: boxes on a belt, matched without overtaking.

A box is a row `[tail, head, side, other side]` in millimetres along and across the belt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Association", "Boxes", "associate", "common_widths"]

Boxes = NDArray[np.float64]  # (n, 4)

_GATE = 0.3  # of the smaller of two boxes lies in the other: they may be the same piece
_INSIDE = 0.6  # of a box lies in another: it may be a part of it


@dataclass(frozen=True, slots=True)
class Association:
    """Who has what, by position in the two lists.

    Attributes:
        sights: of each known piece that was seen: what belongs to it, the best first.
        owners: of each sight that was recognised: the pieces it shows; several when they merged in the picture.
    """

    sights: dict[int, list[int]]
    owners: dict[int, list[int]]


def associate(known: Boxes, seen: Boxes) -> Association:
    """Match each known piece with what is seen of it.

    First one to one, the greatest intersection over union first, never so that a piece overtakes another on the same
    strip of belt. Then a sight that is left over and lies in a piece is a fragment of it, and a piece that is left over
    and lies in a sight has merged with others in the picture.

    Args:
        known: `(n, 4)`, the boxes at which the pieces are expected, as far as they can be seen.
        seen: `(m, 4)`.
    """
    result = Association({}, {})
    if not len(known) or not len(seen):
        return result
    overlap = _intersections(known, seen)
    known_area, seen_area = _areas(known)[:, None], _areas(seen)[None, :]
    union = known_area + seen_area - overlap
    likely = overlap >= _GATE * np.minimum(known_area, seen_area)
    order = np.argsort(-np.where(likely, overlap / union, 0.0), axis=None, kind="stable")
    pairs = [divmod(int(i), len(seen)) for i in order if likely.flat[i]]
    for k, s in pairs:
        if k not in result.sights and s not in result.owners and not _overtakes(k, s, result, known, seen):
            result.sights[k], result.owners[s] = [s], [k]
    for k, s in pairs:
        if s not in result.owners and overlap[k, s] >= _INSIDE * seen_area[0, s]:
            result.sights.setdefault(k, []).append(s)
            result.owners[s] = [k]
        elif k not in result.sights and overlap[k, s] >= _INSIDE * known_area[k, 0]:
            result.sights[k] = [s]
            result.owners.setdefault(s, []).append(k)
    return result


def common_widths(known: Boxes, seen: Boxes) -> NDArray[np.float64]:
    """`(known, seen)`: how far each two overlap across the belt, in millimetres; below 0 the distance between them."""
    result: NDArray[np.float64] = np.minimum(known[:, None, 3], seen[None, :, 3]) - np.maximum(
        known[:, None, 2], seen[None, :, 2]
    )
    return result


def _overtakes(k: int, s: int, so_far: Association, known: Boxes, seen: Boxes) -> bool:
    for other, (sight, *_) in so_far.sights.items():
        same_strip = min(seen[s, 3], seen[sight, 3]) > max(seen[s, 2], seen[sight, 2])
        before = known[k, :2].sum() - known[other, :2].sum()
        after = seen[s, :2].sum() - seen[sight, :2].sum()
        if same_strip and before * after < 0:
            return True
    return False


def _intersections(known: Boxes, seen: Boxes) -> NDArray[np.float64]:
    along = np.minimum(known[:, None, 1], seen[None, :, 1]) - np.maximum(known[:, None, 0], seen[None, :, 0])
    result: NDArray[np.float64] = np.maximum(along, 0) * np.maximum(common_widths(known, seen), 0)
    return result


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.maximum((boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2]), 1e-6)
    return result
