"""Out-of-fold class probabilities by linear discriminant analysis: closed form, no iterations, no parameters to tune.

Classes are taken as Gaussians with means m_c and one covariance S, shrunk towards its diagonal mean; the scores
`x S^-1 m_c - m_c S^-1 m_c / 2 + log prior_c` become probabilities by a softmax with a fitted temperature. Sums are
added up once for each fold, so five folds cost little more than one. On frozen features this finds as many swapped
labels as logistic regression, in a tenth of the time (docs/audit.md).

References:
    Friedman 1989, Regularized Discriminant Analysis, equations 10 and 18.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray

from binsight.predictor import run_in_order
from binsight.probability import softmax

__all__ = ["OutOfFold", "out_of_fold"]

_BLOCK = 4096
_LEAST_VARIANCE = 1e-4  # of features with variance 1
_HALVED_FROM = 64
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


def out_of_fold(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    *,
    shrinkage: float,
    equal_priors: bool = False,
    workers: int | None = 1,
) -> OutOfFold:
    """Fit on all folds but one, predict that one; for each fold.

    Args:
        features: `(n, d)` finite; they are brought to mean 0 and variance 1 each.
        labels: `(n,)` in 0 to C - 1, each class occurring in at least two folds.
        folds: `(n,)`.
        shrinkage: 0 takes the covariance as it is, 1 only its mean variance.
        equal_priors: whether rare classes count like frequent ones.
        workers: threads, each with a fold at a time.
    """
    classes = int(labels.max()) + 1
    standard = _Standard.of(features, workers)
    members = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    summed = partial(_sum_up, features, labels, standard, classes)
    parts = list(run_in_order(summed, members, workers=workers))
    total = reduce(_Moments.__add__, parts)
    scores = np.zeros((len(labels), classes))
    distance = np.zeros(len(labels))

    def predict(fold: int) -> None:
        rest = total - parts[fold]
        weights, norms, whitener = _fit(rest, shrinkage)
        prior = np.zeros(classes) if equal_priors else np.log(np.maximum(rest.counts, 0.5) / rest.counts.sum())
        for rows in _blocks(members[fold]):
            block = standard.apply(features[rows])
            linear = block @ weights
            scores[rows] = linear - norms / 2 + prior
            power = np.square(block @ whitener.T).sum(axis=1)
            distance[rows] = (power[:, None] - 2 * linear + norms).min(axis=1) / features.shape[1]

    for _ in run_in_order(predict, range(len(members)), workers=workers):
        pass
    return OutOfFold(softmax(scores, temperature=_fit_temperature(scores, labels)), distance)


@dataclass(frozen=True, slots=True)
class _Standard:
    """Brings each feature to mean 0 and variance 1; one that does not vary, to 0."""

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, features: NDArray[np.floating], workers: int | None) -> _Standard:
        def add_up(rows: NDArray[np.intp]) -> NDArray[np.float64]:
            block = features[rows].astype(np.float64)
            return np.stack([block.sum(axis=0), np.einsum("nd,nd->d", block, block)])

        blocks = _blocks(np.arange(len(features)))
        total, power = sum(run_in_order(add_up, blocks, workers=workers), np.zeros((2, features.shape[1])))
        mean = total / len(features)
        deviation = np.sqrt(np.maximum(power / len(features) - mean**2, 0))
        scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0)
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def apply(self, features: NDArray[np.floating]) -> Floats:
        return (features.astype(np.float32) - self.mean) * self.scale


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of some photos the sum of `x x^T`, `(d, d)`, the sum of `x` by class, `(C, d)`, and how many, `(C,)`."""

    gram: Floats
    sums: NDArray[np.float64]
    counts: NDArray[np.int64]

    def __add__(self, other: _Moments) -> _Moments:
        return _Moments(self.gram + other.gram, self.sums + other.sums, self.counts + other.counts)

    def __sub__(self, other: _Moments) -> _Moments:
        return _Moments(self.gram - other.gram, self.sums - other.sums, self.counts - other.counts)


def _sum_up(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    standard: _Standard,
    classes: int,
    chosen: NDArray[np.intp],
) -> _Moments:
    width = features.shape[1]
    gram = np.zeros((width, width), np.float32)
    sums = np.zeros((classes, width))
    for rows in _blocks(chosen):
        block = standard.apply(features[rows])
        gram += block.T @ block
        membership = (labels[rows][None, :] == np.arange(classes)[:, None]).astype(np.float32)
        sums += membership @ block
    return _Moments(gram, sums, np.bincount(labels[chosen], minlength=classes))


def _blocks(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]


def _fit(moments: _Moments, shrinkage: float) -> tuple[NDArray[np.float64], NDArray[np.float64], Floats]:
    """Weights `(d, C)`, squared lengths of the means `(C,)`, and W `(d, d)` with `W^T W` the inverse covariance."""
    counts = moments.counts
    means = moments.sums / np.maximum(counts, 1)[:, None]
    covariance = (moments.gram - (means * counts[:, None]).T @ means) / counts.sum()
    average = np.trace(covariance) / len(covariance)
    covariance *= 1 - shrinkage
    # The floor is above the rounding errors of the sums: properties that give the class away leave no variance at all.
    np.einsum("ii->i", covariance)[:] += shrinkage * max(average, 0) + _LEAST_VARIANCE
    whitener = _invert_lower(np.linalg.cholesky(covariance))
    white = whitener @ means.T
    # Single precision: the distances are told to two digits, and their products are most of the work.
    return whitener.T @ white, np.square(white).sum(axis=0), whitener.astype(np.float32)


def _invert_lower(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of a lower triangular matrix, by halves: products of matrices, three times as fast as `inv`."""
    size = len(matrix)
    result: NDArray[np.float64] = np.zeros_like(matrix)
    if size <= _HALVED_FROM:
        result[:] = np.linalg.inv(matrix)
        return result
    half = size // 2
    result[:half, :half] = first = _invert_lower(matrix[:half, :half])
    result[half:, half:] = second = _invert_lower(matrix[half:, half:])
    result[half:, :half] = -second @ (matrix[half:, :half] @ first)
    return result


def _fit_temperature(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature of the least cross-entropy."""
    rows = np.arange(len(labels))
    losses = [-np.log(np.maximum(softmax(scores, temperature=t)[rows, labels], 1e-12)).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])
