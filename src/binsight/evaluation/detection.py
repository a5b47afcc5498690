"""Telling what a model does not know from what it does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["detection_areas", "miss_rate_at"]

_CELLS_AT_ONCE = 4_000_000


def detection_areas(w: NDArray[np.float64], score: NDArray[np.float64], known: int) -> NDArray[np.float64]:
    """How often an unknown photo has a larger score than a known one, ties half: the area under the ROC curve.

    `AUROC = P(s_u > s_k) + P(s_u = s_k) / 2`; 1 is perfect, 0.5 is chance. Not-a-number counts as the largest score.

    Args:
        w: `(r, n)`, how often each photo counts.
        score: `(n,)`, large for unknown ones; the known photos come first.
        known: how many of the n are known.

    Returns:
        `(r,)`.

    References:
        Hanley and McNeil 1982, The Meaning and Use of the Area under a ROC Curve.
    """
    # NumPy sorts not-a-number behind everything else, and `equal_nan` makes one value of all of them.
    level = np.unique(score, return_inverse=True, equal_nan=True)[1]
    order = np.argsort(level, kind="stable")
    last = np.append(np.flatnonzero(np.diff(level[order])), len(order) - 1)
    is_known = order < known
    rows = max(1, _CELLS_AT_ONCE // len(score))
    parts = [_areas(part[:, order], is_known, last) for part in np.split(w, range(rows, len(w), rows))]
    return np.concatenate(parts)


def _areas(w: NDArray[np.float64], is_known: NDArray[np.bool_], last: NDArray[np.intp]) -> NDArray[np.float64]:
    known, unknown = (np.cumsum(w * mask, axis=1)[:, last] for mask in (is_known, ~is_known))
    unknown_here = np.diff(unknown, axis=1, prepend=0)
    known_here = np.diff(known, axis=1, prepend=0)
    below = known - known_here / 2
    result: NDArray[np.float64] = (unknown_here * below).sum(axis=1) / (known[:, -1] * unknown[:, -1])
    return result


def miss_rate_at(score: NDArray[np.float64], known: int) -> float:
    """The share of unknown photos whose score is no larger than what 95 % of the known ones stay within.

    Also called the false positive rate at 95 % true positives (FPR95).
    """
    limit = np.quantile(np.nan_to_num(score[:known], nan=np.inf), 0.95, method="higher")
    return float(np.mean(score[known:] <= limit))
