"""Parts of labelled photos to fit and to judge in turn, so that no photo is judged by what it helped to fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["cross_fit_folds", "spread_folds"]

_FOLDS = 5


def spread_folds(
    labels: NDArray[np.integer], groups: ArrayLike, *, folds: int = _FOLDS, seed: int = 0
) -> NDArray[np.int64]:
    """A fold for each sample: all of a group in one, and each class spread as evenly as groups allow.

    Args:
        labels: `(n,)` class numbers.
        groups: n group numbers.
        folds: how many.
        seed: for the order in which groups are dealt out.

    Returns:
        `(n,)` in 0 to `folds - 1`.
    """
    group_numbers, first, inverse = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    counts = np.zeros((folds, int(labels.max()) + 1 if len(labels) else 0), np.int64)
    sizes = np.bincount(inverse)
    fold_of_group = np.zeros(len(group_numbers), np.int64)
    order = np.random.default_rng(seed).permutation(len(group_numbers))
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        label = labels[first[group]]
        fold = int(np.lexsort((counts.sum(axis=1), counts[:, label]))[0])
        fold_of_group[group] = fold
        counts[fold, label] += sizes[group]
    return fold_of_group[inverse]


def cross_fit_folds(
    labels: NDArray[np.intp], groups: ArrayLike | None = None, *, folds: int = _FOLDS, seed: int = 0
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For each fold of `spread_folds` the positions to fit on and those to judge; nothing where one fold holds all.

    Args:
        labels: `(n,)` class numbers.
        groups: n group numbers; None: no photo is a copy of another.
        folds: how many.
        seed: of the dealing.
    """
    fold_of = spread_folds(labels, np.arange(len(labels)) if groups is None else groups, folds=folds, seed=seed)
    if not fold_of.any():
        return  # all are copies of each other
    for fold in np.unique(fold_of):
        yield np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
