"""Whether two samples of features come from the same distribution, whatever the mix of classes in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shift", "compare_samples"]

_COMPONENTS = 64
_PERMUTATIONS = 999


@dataclass(frozen=True, slots=True)
class Shift:
    """How far two samples lie apart.

    Attributes:
        distance: the squared maximum mean discrepancy.
        p: how often chance alone gives as much: the permutation test's p-value, in (0, 1].
    """

    distance: float
    p: float


def compare_samples(
    before: NDArray[np.floating],
    now: NDArray[np.floating],
    classes_before: NDArray[np.integer],
    classes_now: NDArray[np.integer],
    *,
    permutations: int = _PERMUTATIONS,
    seed: int = 0,
) -> Shift:
    """Compare two samples by the maximum mean discrepancy on 64 principal components, matched to the classes of `now`.

    `MMD^2 = a' K a`, where `a` is `1 / n` for a photo of now and `-m_c / (n n_c)` for one of before, of whose class
    there are m_c now and n_c before: so both weigh the classes alike. K is the Gaussian kernel, its width the median
    distance. For the p-value photos of one class change places between the samples: with no shift within the classes
    all such exchanges are equally likely, and `p <= x` has at most the probability x, however few photos there are.
    Classes that one of the samples lacks do not count.

    Args:
        before: `(m, d)` features.
        now: `(n, d)`.
        classes_before: `(m,)` predicted classes.
        classes_now: `(n,)`.
        permutations: how many exchanges to try.
        seed: of these.

    Returns:
        p is 1 where the samples have no class in common.

    References:
        Gretton et al. 2012, A Kernel Two-Sample Test, JMLR 13; Phipson and Smyth 2010, Permutation P-values Should
        Never Be Zero.
    """
    shared = np.intersect1d(classes_before, classes_now)
    kept = [np.isin(classes_before, shared), np.isin(classes_now, shared)]
    labels = np.concatenate([classes_before[kept[0]], classes_now[kept[1]]])
    features = np.concatenate([before[kept[0]], now[kept[1]]]).astype(np.float64)
    is_now = np.repeat([False, True], [int(kept[0].sum()), int(kept[1].sum())])
    if not len(shared):
        return Shift(0.0, 1.0)
    kernel = _kernel(_reduce(features))
    rng = np.random.default_rng(seed)
    roles = np.empty((permutations + 1, len(labels)), bool)
    roles[0] = is_now
    for label in shared:
        rows = np.flatnonzero(labels == label)
        drawn = rng.permuted(np.tile(is_now[rows], (permutations, 1)), axis=1)
        roles[1:, rows] = drawn
    weights = np.where(roles, 1.0, 0.0)
    for label in shared:
        rows = labels == label
        count = int(is_now[rows].sum())
        weights[:, rows] -= np.where(roles[:, rows], 0.0, count / (int(rows.sum()) - count))
    weights /= is_now.sum()
    found = ((weights @ kernel) * weights).sum(axis=1)
    # What is the same but for rounding counts as equal.
    as_much = int((found[1:] >= found[0] * (1 - 1e-12)).sum())
    return Shift(float(found[0]), (1 + as_much) / (1 + permutations))


def _reduce(features: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = features - features.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    reduced: NDArray[np.float64] = centred @ directions[:_COMPONENTS].T
    return reduced


def _kernel(points: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = np.square(points).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * (points @ points.T), 0)
    between = distances[np.triu_indices(len(points), 1)]
    width = float(np.median(between)) if len(between) else 0.0
    kernel: NDArray[np.float64] = np.exp(-distances / (width or 1.0))
    return kernel
