"""How far the belt really came between two frames, by the pieces on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from binsight.line.association import Boxes, common_widths

__all__ = ["fit_shift"]

_TOLERANCE_MM = 15.0  # an edge that is off by so much is another one
_END_MM = 8.0  # nearer than this to an end of the field it is no edge: the piece is cut off there
_GAIN = 0.2  # edges by which a shift must fit better than what was expected
_SAME_STRIP = 0.5  # least share of the narrower of two boxes, across the belt, that is in the other


def fit_shift(
    known: Boxes, seen: Boxes, low: float, high: float, *, step_mm: float, length_mm: float
) -> tuple[float, float]:
    """How much further than expected the belt has come, in millimetres within `[low, high]`.

    All pieces lie on one belt: of the shifts that bring an edge onto one that is seen, the one is taken at which most
    edges meet and fewest are left over, on either side. An edge counts 1 where it is met, less in proportion where it
    is off. What lies beyond an end of the field, or may just have come in, is not missed.

    Args:
        known: `(n, 4)`, the boxes where they are expected, also outside of the field; NaN for a trailing edge that
            has not come in.
        seen: `(m, 4)`, inside the field.
        low: the least shift.
        high: the greatest.
        step_mm: how far the belt has come, as far as is expected.
        length_mm: of the field.

    Returns:
        The shift, 0 where none fits clearly better; and how many edges are met at it, in `[0, 2n]`. Both are 0 where
        more of what is seen is left over than met: it is something else.
    """
    if not len(known) or not len(seen):
        return 0.0, 0.0
    ends = seen[:, :2]
    off = np.where(_same_strip(known, seen) & _inside(ends, length_mm), ends - known[:, None, :2], np.nan)
    shifts = np.append(np.unique(off[(off >= low) & (off <= high)].round(1)), 0.0)[:, None, None]
    close = np.fmax(1 - np.abs(off - shifts[..., None]) / _TOLERANCE_MM, 0)  # (shift, known, seen, edge)
    shown = _inside(known[:, :2] + shifts, length_mm)
    met = (close.max(axis=2) * shown).sum(axis=(1, 2))
    old = _inside(ends, length_mm) & (ends > step_mm + shifts + _TOLERANCE_MM)
    strange = ((1 - close.max(axis=1)) * old).sum(axis=(1, 2))
    score = 2 * met - shown.sum(axis=(1, 2)) - strange
    best = int(np.argmax(score - 1e-4 * np.abs(shifts.ravel())))
    if score[best] < score[-1] + _GAIN:
        best = len(shifts) - 1
    return (float(shifts.flat[best]), float(met[best])) if met[best] > strange[best] else (0.0, 0.0)


def _same_strip(known: Boxes, seen: Boxes) -> NDArray[np.bool_]:
    """`(known, seen, 1)`: whether they may be one piece, as far as is known across the belt."""
    narrower = np.minimum((known[:, 3] - known[:, 2])[:, None], seen[:, 3] - seen[:, 2])
    return (common_widths(known, seen) >= _SAME_STRIP * narrower)[..., None]


def _inside(places: NDArray[np.float64], length_mm: float) -> NDArray[np.bool_]:
    return (places > _END_MM) & (places < length_mm - _END_MM)
