"""Out-of-fold class probabilities by linear discriminant analysis: closed form, no iterations, no parameters to tune.

Classes are taken as Gaussians with means m_c and one covariance S, shrunk towards its diagonal mean; the scores
`x S^-1 m_c - m_c S^-1 m_c / 2 + log prior_c` become probabilities by a softmax with a fitted temperature. Sums are
added up once for each fold, so five folds cost little more than one. On frozen features this finds as many swapped
labels as logistic regression, in a tenth of the time (docs/audit.md).

References:
    Friedman 1989, Regularized Discriminant Analysis, equations 10 and 18.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.probability import softmax

__all__ = ["OutOfFold", "out_of_fold", "spread_folds"]

_FOLDS = 5
_BLOCK = 4096
_TEMPERATURES = np.geomspace(0.2, 20, 41)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """What a model says of n photos that it was not fitted on.

    Attributes:
        probabilities: `(n, C)` float64.
        distance: `(n,)` float64, the squared distance to the nearest class mean in units of the shared covariance,
            divided by the number of features: about 1 for a typical photo.
    """

    probabilities: NDArray[np.float64]
    distance: NDArray[np.float64]


def spread_folds(
    labels: NDArray[np.int64], groups: Sequence[int], *, folds: int = _FOLDS, seed: int = 0
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


def out_of_fold(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    *,
    shrinkage: float,
    equal_priors: bool = False,
) -> OutOfFold:
    """Fit on all folds but one, predict that one; for each fold.

    Args:
        features: `(n, d)` finite; they are brought to mean 0 and variance 1 each.
        labels: `(n,)` in 0 to C - 1, each class occurring in at least two folds.
        folds: `(n,)`.
        shrinkage: 0 takes the covariance as it is, 1 only its mean variance.
        equal_priors: whether rare classes count like frequent ones.
    """
    classes, number = int(labels.max()) + 1, int(folds.max()) + 1
    mean, scale = _standard(features)
    grams, sums = _moments(features, labels, folds, mean, scale, classes, number)
    counts = np.stack([np.bincount(labels[folds == fold], minlength=classes) for fold in range(number)])
    scores = np.zeros((len(labels), classes))
    distance = np.zeros(len(labels))
    for fold in range(number):
        weights, norms, whitener = _fit(
            grams.sum(axis=0) - grams[fold], sums.sum(axis=0) - sums[fold], counts.sum(axis=0) - counts[fold], shrinkage
        )
        train = counts.sum(axis=0) - counts[fold]
        prior = np.zeros(classes) if equal_priors else np.log(np.maximum(train, 0.5) / train.sum())
        for rows in _blocks(np.flatnonzero(folds == fold)):
            block = _rows(features, rows, mean, scale)
            linear = block @ weights
            scores[rows] = linear - norms / 2 + prior
            power = np.einsum("ij,ij->i", block @ whitener, block)
            distance[rows] = (power[:, None] - 2 * linear + norms).min(axis=1) / features.shape[1]
    return OutOfFold(softmax(scores, temperature=_fit_temperature(scores, labels)), distance)


def _standard(features: NDArray[np.floating]) -> tuple[Floats, Floats]:
    total = np.zeros(features.shape[1])
    power = np.zeros(features.shape[1])
    for rows in _blocks(np.arange(len(features))):
        block = features[rows].astype(np.float64)
        total += block.sum(axis=0)
        power += np.square(block).sum(axis=0)
    mean = total / len(features)
    deviation = np.sqrt(np.maximum(power / len(features) - mean**2, 0))
    return mean.astype(np.float32), np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0).astype(np.float32)


def _rows(features: NDArray[np.floating], rows: NDArray[np.intp], mean: Floats, scale: Floats) -> Floats:
    result: Floats = (features[rows].astype(np.float32) - mean) * scale
    return result


def _blocks(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]


def _moments(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    mean: Floats,
    scale: Floats,
    classes: int,
    number: int,
) -> tuple[Floats, NDArray[np.float64]]:
    """For each fold the sum of `x x^T`, `(number, d, d)`, and of `x` by class, `(number, C, d)`."""
    width = features.shape[1]
    grams = np.zeros((number, width, width), np.float32)
    sums = np.zeros((number, classes, width))
    for fold in range(number):
        for rows in _blocks(np.flatnonzero(folds == fold)):
            block = _rows(features, rows, mean, scale)
            grams[fold] += block.T @ block
            membership = (labels[rows][None, :] == np.arange(classes)[:, None]).astype(np.float32)
            sums[fold] += membership @ block
    return grams, sums


def _fit(
    gram: Floats, sums: NDArray[np.float64], counts: NDArray[np.int64], shrinkage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights `(d, C)`, squared lengths of the means `(C,)` and the inverse covariance `(d, d)`."""
    means = sums / np.maximum(counts, 1)[:, None]
    covariance = (gram - (means * counts[:, None]).T @ means) / counts.sum()
    average = np.trace(covariance) / len(covariance)
    covariance = (1 - shrinkage) * covariance + (shrinkage * average + 1e-6) * np.eye(len(covariance))
    inverse = np.linalg.inv(covariance)
    weights = inverse @ means.T
    return weights, np.einsum("cd,dc->c", means, weights), inverse


def _fit_temperature(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature of the least cross-entropy."""
    rows = np.arange(len(labels))
    losses = [-np.log(np.maximum(softmax(scores, temperature=t)[rows, labels], 1e-12)).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])
