"""Heads on frozen features: what they compute, and logistic regression, the fast way to fit them.

`n` is the number of photos, `d` of features, `C` of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.predictor import run_in_order
from binsight.probability.scores import LinearHead
from binsight.progress import Progress, unheard

__all__ = ["LAYERS", "Heads", "choose_penalty", "fit_biodegradable", "fit_categories", "fit_heads"]

_MAX_ITERATIONS = 2000


LAYERS: Final = {"categories": "logits", "biodegradable": "biodegradable_logit", "inner": "inner"}
"""Part of `Heads` → the layer of a network that it is."""


@dataclass(frozen=True)
class Heads:
    """Everything behind the pooled features: an inner layer, if there is one, then one or two linear heads.

    Attributes:
        categories: C logits.
        biodegradable: one logit; None where the taxonomy leaves it open.
        inner: its ReLU is what the heads see; None where they see the features themselves.
    """

    categories: LinearHead
    biodegradable: LinearHead | None = None
    inner: LinearHead | None = None

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """`(n, C)` category logits of `(n, d)` features."""
        return self.categories.logits(self._seen(features))

    def biodegradable_logits(self, features: NDArray[np.floating]) -> NDArray[np.float64] | None:
        """`(n,)` logits of `(n, d)` features; None without that head."""
        return None if self.biodegradable is None else self.biodegradable.logits(self._seen(features))[:, 0]

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Its weights by name, which `from_arrays` reads back."""
        found = {name: part for name in LAYERS if (part := getattr(self, name)) is not None}
        return {f"{n}.weight": p.weight for n, p in found.items()} | {f"{n}.bias": p.bias for n, p in found.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float64]]) -> Heads:
        """The heads that `to_arrays` took apart."""
        names = {key.partition(".")[0] for key in arrays}
        return cls(**{name: LinearHead(arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in names})

    def _seen(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        return features if self.inner is None else np.maximum(self.inner.logits(features), 0)


def fit_heads(
    features: NDArray[np.floating],
    labels: NDArray[np.intp],
    *,
    inverse_penalty: float,
    biodegradable_mask: NDArray[np.bool_] | None,
) -> Heads:
    """Fit both heads by logistic regression.

    Args:
        features: `(n, d)`.
        labels: `(n,)`, 0 to C - 1, every class present.
        inverse_penalty: scikit-learn's `C`: larger fits closer.
        biodegradable_mask: `(C,)`, which classes are biodegradable; None where the taxonomy leaves it open. Where all
            classes agree there is nothing to learn, and the second head is a constant.
    """
    categories = fit_categories(features, labels, inverse_penalty=inverse_penalty)
    if biodegradable_mask is None:
        return Heads(categories)
    truth = biodegradable_mask[labels]
    if truth.all() or not truth.any():
        constant = _CERTAIN if truth.all() else -_CERTAIN
        return Heads(categories, LinearHead(np.zeros((features.shape[1], 1)), np.array([constant])))
    return Heads(categories, fit_biodegradable(features, truth, inverse_penalty=inverse_penalty))


# The logit of a probability of 0.9999: all that is known is that no class of the other kind exists.
_CERTAIN = 9.21


def fit_categories(features: NDArray[np.floating], labels: NDArray[np.intp], *, inverse_penalty: float) -> LinearHead:
    """Fit multinomial logistic regression with every class given the same weight.

    Features are centred and scaled to unit variance for the fit, and the result is written for features as they come.

    Args:
        features: `(n, d)`.
        labels: `(n,)`, 0 to C - 1, every class present.
        inverse_penalty: scikit-learn's `C`: larger fits closer.
    """
    model = _fit_logistic(features, labels, inverse_penalty)
    if model.weight.shape[1] > 1:
        return model
    # For two classes scikit-learn gives one logit; the softmax of (-z / 2, z / 2) has the same probabilities.
    sides = np.array([-0.5, 0.5])
    return LinearHead(model.weight * sides, model.bias * sides)


def choose_penalty(
    views: Sequence[NDArray[np.floating]],
    labels: NDArray[np.intp],
    folds: NDArray[np.integer],
    *,
    penalties: Sequence[float],
    workers: int = 1,
    progress: Progress = unheard,
) -> tuple[float, dict[float, float]]:
    """The inverse penalty of a logistic regression with the best accuracy in cross-validation; of equal ones the first.

    A rare class may have all its photos in the fold that judges: no photo of that fold is then told to be of it.

    Args:
        views: `(n, d)` features of the photos as they are, and of further views of them, which are learnt from only.
        labels: `(n,)`, 0 to C - 1.
        folds: `(n,)`, the part of the cross-validation that each photo is judged in.
        penalties: what is tried.
        workers: folds in work at a time; leave one thread of the matrix library to each.
        progress: called as penalties are finished.

    Returns:
        The penalty, and the accuracy with each; 0 where one fold holds all photos.
    """
    tried = {}
    for done, penalty in enumerate(penalties):
        progress(done, len(penalties))
        tried[penalty] = _cross_validate(views, labels, folds, penalty, workers) if folds.any() else 0.0
    progress(len(penalties), len(penalties))
    return max(tried, key=lambda penalty: tried[penalty]), tried


def _cross_validate(
    views: Sequence[NDArray[np.floating]],
    labels: NDArray[np.intp],
    folds: NDArray[np.integer],
    penalty: float,
    workers: int,
) -> float:
    """The share of photos classified rightly by a model that was fitted without their fold."""

    def judge(fold: int) -> int:
        fit, judged = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        present, dense = np.unique(labels[fit], return_inverse=True)
        features = np.concatenate([view[fit] for view in views])
        model = fit_categories(features, np.tile(dense, len(views)), inverse_penalty=penalty)
        predicted = present[model.logits(views[0][judged]).argmax(axis=1)]
        return int(np.count_nonzero(predicted == labels[judged]))

    return sum(run_in_order(judge, np.unique(folds).tolist(), workers=workers)) / len(labels)


def fit_biodegradable(
    features: NDArray[np.floating], labels: NDArray[np.bool_], *, inverse_penalty: float
) -> LinearHead:
    """Fit logistic regression for one logit, from `(n, d)` features and `(n,)` labels; both sides weigh the same."""
    return _fit_logistic(features, labels.astype(np.intp), inverse_penalty)


def _fit_logistic(features: NDArray[np.floating], labels: NDArray[np.intp], inverse_penalty: float) -> LinearHead:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - takes a second

    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    deviation[deviation == 0] = 1
    model = LogisticRegression(C=inverse_penalty, class_weight="balanced", max_iter=_MAX_ITERATIONS)
    model.fit((features - mean) / deviation, labels)
    weight = model.coef_.T.astype(np.float64) / deviation[:, None]
    return LinearHead(weight, model.intercept_ - mean @ weight)
