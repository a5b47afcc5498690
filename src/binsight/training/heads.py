"""Heads fitted on frozen features: the fast stage of training.

`n` is the number of photos, `d` of features, `C` of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LinearModel", "fit_biodegradable", "fit_categories"]

_MAX_ITERATIONS = 2000


@dataclass(frozen=True)
class LinearModel:
    """`logits = features @ weight + bias`, with weight `(d, k)` and bias `(k,)`, float64."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """`(n, k)` logits of `(n, d)` features."""
        result: NDArray[np.float64] = features @ self.weight + self.bias
        return result


def fit_categories(features: NDArray[np.floating], labels: NDArray[np.intp], *, inverse_penalty: float) -> LinearModel:
    """Fit multinomial logistic regression with every class given the same weight.

    Features are centred and scaled to unit variance for the fit, and the result is written for features as they come.

    Args:
        features: `(n, d)`.
        labels: `(n,)`, 0 to C - 1, every class present.
        inverse_penalty: scikit-learn's `C`: larger fits closer.
    """
    return _fit_logistic(features, labels, inverse_penalty)


def fit_biodegradable(
    features: NDArray[np.floating], labels: NDArray[np.bool_], *, inverse_penalty: float
) -> LinearModel:
    """Fit logistic regression for one logit, from `(n, d)` features and `(n,)` labels; both sides weigh the same."""
    return _fit_logistic(features, labels.astype(np.intp), inverse_penalty)


def _fit_logistic(features: NDArray[np.floating], labels: NDArray[np.intp], inverse_penalty: float) -> LinearModel:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - takes a second

    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    deviation[deviation == 0] = 1
    model = LogisticRegression(C=inverse_penalty, class_weight="balanced", max_iter=_MAX_ITERATIONS)
    model.fit((features - mean) / deviation, labels)
    weight = model.coef_.T.astype(np.float64) / deviation[:, None]
    return LinearModel(weight, model.intercept_ - mean @ weight)
