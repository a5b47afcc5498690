"""Connected components of a mask, in NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Component", "count_components", "find_components"]


@dataclass(frozen=True, slots=True)
class Component:
    """Pixels that hang together over sides or corners.

    Attributes:
        top, left, bottom, right: the box; bottom and right do not belong to it.
        mask: `(bottom - top, right - left)` bool, true where the pixels are.
        area: how many there are.
    """

    top: int
    left: int
    bottom: int
    right: int
    mask: NDArray[np.bool_]
    area: int


def find_components(mask: NDArray[np.bool_], *, min_area: int = 1) -> list[Component]:
    """The components of at least `min_area` pixels, in the order of their topmost, then leftmost run.

    Runs of each row are joined with those of the row above that they touch (8-connected), by union-find over runs:
    the work in Python grows with the number of runs, not of pixels.

    Args:
        mask: `(h, w)` bool.
        min_area: smaller ones are left out.
    """
    rows, starts, ends = _runs(mask)
    if not len(rows):
        return []
    labels, areas = _join(rows, starts, ends, stride=mask.shape[1] + 2)
    picture = np.full(mask.shape, -1, dtype=np.int32)
    picture[mask] = np.repeat(labels, ends - starts)
    components = []
    for label in np.flatnonzero(areas >= max(1, min_area)).tolist():
        member = np.flatnonzero(labels == label)
        top, bottom = int(rows[member[0]]), int(rows[member[-1]]) + 1
        left, right = int(starts[member].min()), int(ends[member].max())
        own = picture[top:bottom, left:right] == label
        components.append(Component(top, left, bottom, right, own, int(areas[label])))
    return components


def count_components(mask: NDArray[np.bool_], *, min_area: int = 1) -> int:
    """How many components of at least `min_area` pixels a mask `(h, w)` has."""
    rows, starts, ends = _runs(mask)
    if not len(rows):
        return 0
    return int(np.count_nonzero(_join(rows, starts, ends, stride=mask.shape[1] + 2)[1] >= max(1, min_area)))


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Row, start and end of each run of true pixels, in reading order."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), dtype=bool)
    padded[:, 1:-1] = mask
    rows, edges = np.nonzero(padded[:, 1:] != padded[:, :-1])  # where a run starts or ends, by turns
    return rows[::2], edges[::2], edges[1::2]


def _join(
    rows: NDArray[np.intp], starts: NDArray[np.intp], ends: NDArray[np.intp], *, stride: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """A label for each run, which is the number of the first run that hangs together with it; and pixels by label."""
    above = (rows - 1) * stride
    first = np.searchsorted(rows * stride + ends, above + starts, side="left")
    last = np.searchsorted(rows * stride + starts, above + ends, side="right")
    parent: list[int] = []
    for run, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        root = run
        parent.append(run)
        for touched in range(low, high):
            other = touched
            while parent[other] != other:
                other = parent[other]
            parent[touched] = other
            root, child = (other, root) if other < root else (root, other)
            parent[child] = root
    for run, up in enumerate(parent):  # no parent stands behind its child
        parent[run] = parent[up]
    labels = np.array(parent, dtype=np.intp)
    return labels, np.bincount(labels, weights=ends - starts).astype(np.intp)
