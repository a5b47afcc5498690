"""Connected components of a mask, in NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Component", "find_components"]


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

    Runs of each row are joined with those of the next row that they touch (8-connected), by union-find over runs:
    the work in Python grows with the number of runs, not of pixels.

    Args:
        mask: `(h, w)` bool.
        min_area: smaller ones are left out.
    """
    rows, starts, ends = _runs(mask)
    if not len(rows):
        return []
    labels = _join(rows, starts, ends, stride=mask.shape[1] + 2)
    components = []
    for label in dict.fromkeys(labels.tolist()):
        member = labels == label
        r, s, e = rows[member], starts[member], ends[member]
        area = int((e - s).sum())
        if area < min_area:
            continue
        top, left, bottom, right = int(r[0]), int(s.min()), int(r[-1]) + 1, int(e.max())
        own = np.zeros((bottom - top, right - left), dtype=bool)
        for row, start, end in zip((r - top).tolist(), (s - left).tolist(), (e - left).tolist(), strict=True):
            own[row, start:end] = True
        components.append(Component(top, left, bottom, right, own, area))
    return components


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Row, start and end of each run of true pixels, in reading order."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    ends = np.nonzero(change == -1)[1]
    return rows, starts, ends


def _join(rows: NDArray[np.intp], starts: NDArray[np.intp], ends: NDArray[np.intp], *, stride: int) -> NDArray[np.intp]:
    """A label for each run, the same for runs that hang together."""
    below = (rows + 1) * stride
    first = np.searchsorted(rows * stride + ends, below + starts, side="left")
    last = np.searchsorted(rows * stride + starts, below + ends, side="right")
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    for run, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        for other in range(low, high):
            a, b = root(run), root(other)
            if a < b:
                parent[b] = a
            else:
                parent[a] = b
    return np.array([root(run) for run in range(len(rows))], dtype=np.intp)
