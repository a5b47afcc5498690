"""All figures of the classified photos as one function of how often each photo counts, and their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.evaluation.bootstrap import Figures, bootstrap_intervals
from binsight.evaluation.costs import StreamCosts, default_costs
from binsight.evaluation.reliability import (
    brier_scores,
    calibration_errors,
    cross_fitted_confidence,
    equal_mass_bins,
    equal_width_bins,
    log_losses,
)
from binsight.evaluation.scoring import Scores
from binsight.evaluation.selective import risk_areas
from binsight.probability import top_k
from binsight.probability.intervals import Interval, share_interval, wilson_interval
from binsight.taxonomy import Taxonomy

__all__ = ["BIASED", "all_figures", "class_means", "confusion_matrix", "edge_interval", "measure_scores",
           "stream_positions"]  # fmt: skip

BIASED = ("calibration_error", "adaptive_calibration_error", "calibration_error_cross_fitted")
"""The figures whose resamples are larger than the sample: see `bootstrap_intervals`."""

_LEAST_CROSS_FITTED = 50  # photos without copies; of fewer, a fold may have nothing to fit on
_BINS, _RESAMPLES = 15, 2000

_Array = NDArray[np.float64]


def measure_scores(
    scores: Scores,
    labels: NDArray[np.intp],
    taxonomy: Taxonomy,
    copies: NDArray[np.intp],
    *,
    costs: StreamCosts | None = None,
    bins: int = _BINS,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Every figure named in `binsight.evaluation.measures` that photos decide, but for those of a class.

    Shares of photos have Wilson's interval, for as many photos as there are without copies (`share_interval`); the
    others have the bootstrap's, which draws copies together.

    Args:
        scores: of n photos.
        labels: `(n,)`.
        taxonomy: of the model.
        copies: `(n,)`, copies of one photo have the same number.
        costs: of sending an item to a wrong stream; None: the default ones.
        bins: of the calibration errors.
        resamples: of the bootstrap.
        seed: of folds and draws.
    """
    costs = costs or default_costs()
    figures = all_figures(scores, labels, taxonomy, costs, bins=bins, seed=seed, copies=copies)
    found = bootstrap_intervals(figures, [copies], seed=seed, resamples=resamples, biased=BIASED)
    for name, values in _per_photo(scores, labels, taxonomy, costs).items():
        if values.dtype == np.bool_:
            found[name] = share_interval(values, copies)
    accepted = scores.accepted
    found["accepted_accuracy"] = share_interval((scores.predicted == labels)[accepted], copies[accepted])
    return found | {name: edge_interval(found[name], labels, copies) for name in ("balanced_accuracy", "macro_f1")}


def edge_interval(found: Interval, labels: NDArray[np.intp], copies: NDArray[np.intp]) -> Interval:
    """A mean over classes with an interval that is not certain where no resample differs: where all or none are right.

    Then it is Wilson's, for the number of photos n whose share of right ones would vary as much as the mean over C
    classes of n_c photos without copies each does: `n = C^2 / sum_c (1 / n_c)`.
    """
    if found.value not in {0.0, 1.0}:
        return found
    sizes = np.array([len(np.unique(copies[labels == c])) for c in np.unique(labels)])
    total = len(sizes) ** 2 / float((1 / sizes).sum())
    return wilson_interval(found.value * total, total)


def all_figures(
    scores: Scores,
    labels: NDArray[np.intp],
    taxonomy: Taxonomy,
    costs: StreamCosts,
    *,
    bins: int,
    copies: NDArray[np.intp],
    seed: int = 0,
) -> Figures:
    """What `bootstrap_intervals` needs for every figure named in `binsight.evaluation.measures` that photos decide.

    Args:
        scores: of n photos.
        labels: `(n,)`.
        taxonomy: of the model.
        costs: of sending an item to a wrong stream.
        bins: of the calibration errors.
        copies: `(n,)`, copies of one photo have the same number: they share a fold.
        seed: of the folds of the cross-fitted calibration error.
    """
    predicted, confidence = scores.predicted, scores.confidence
    correct = predicted == labels
    means = _per_photo(scores, labels, taxonomy, costs)
    table = np.stack(list(means.values()), axis=1).astype(np.float64)
    right_and_accepted = (correct & scores.accepted).astype(np.float64)
    true, named = np.eye(len(taxonomy))[labels], np.eye(len(taxonomy))[predicted]
    gaps = {
        "calibration_error": (confidence, equal_width_bins(confidence, bins)),
        "adaptive_calibration_error": (confidence, equal_mass_bins(confidence, bins)),
    }
    if len(np.unique(copies)) >= _LEAST_CROSS_FITTED:
        crossed = cross_fitted_confidence(scores.network.logits, labels, copies=copies, seed=seed)
        gaps["calibration_error_cross_fitted"] = (crossed, equal_width_bins(crossed, bins))

    def figures(w: _Array) -> Mapping[str, _Array]:
        total = w.sum(axis=1)
        columns = (w @ table / total[:, None]).T
        found = dict(zip(means, columns, strict=True))
        found |= class_means(w @ (true * named), w @ true, w @ named)
        found |= {name: calibration_errors(w, p, correct, bin_of) for name, (p, bin_of) in gaps.items()}
        found["aurc"] = risk_areas(w, confidence, correct)
        found["accepted_accuracy"] = _ratio(w @ right_and_accepted, total * found["accepted_share"])
        return found

    return figures


def class_means(right: _Array, true: _Array, named: _Array) -> dict[str, _Array]:
    """Balanced accuracy and macro F1, over the classes that occur.

    Args:
        right: `(r, C)`, how many photos of each class were taken for it, in each of r resamples.
        true: `(r, C)`, how many there are of each class.
        named: `(r, C)`, how many were taken for each class.

    Returns:
        Name → `(r,)`.
    """
    recall, f1 = _ratio(right, true), _ratio(2 * right, true + named)
    return {"balanced_accuracy": _mean_of_defined(recall), "macro_f1": _mean_of_defined(f1)}


def confusion_matrix(labels: NDArray[np.intp], predicted: NDArray[np.intp], classes: int) -> NDArray[np.intp]:
    """How often each true class (row) was taken for each class (column), `(C, C)`."""
    matrix = np.zeros((classes, classes), np.intp)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def stream_positions(taxonomy: Taxonomy) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """The streams in the order in which the classes name them, and for each class the position of its stream."""
    streams = tuple(dict.fromkeys(c.stream for c in taxonomy.classes))
    return streams, np.array([streams.index(c.stream) for c in taxonomy.classes], np.intp)


def _per_photo(
    scores: Scores, labels: NDArray[np.intp], taxonomy: Taxonomy, costs: StreamCosts
) -> dict[str, NDArray[Any]]:
    """The figures that are means over photos: name → `(n,)`, truth values where the mean is a share."""
    predicted = scores.predicted
    streams, stream_of = stream_positions(taxonomy)
    cost = costs.matrix(streams)[stream_of[labels], stream_of[predicted]]
    found: dict[str, NDArray[Any]] = {
        "accuracy": predicted == labels,
        "top2_accuracy": (top_k(scores.probabilities, 2) == labels[:, None]).any(axis=1),
        "stream_accuracy": stream_of[labels] == stream_of[predicted],
        "stream_cost": cost,
        "stream_cost_with_review": np.where(scores.accepted, cost, costs.review),
        "brier_score": brier_scores(scores.probabilities, labels),
        "log_loss": log_losses(scores.probabilities, labels),
        "accepted_share": scores.accepted,
    }
    if taxonomy.has_biodegradability:
        mask = np.asarray(taxonomy.biodegradable_mask)
        found["biodegradable_accuracy"] = mask[labels] == mask[predicted]
        found["biodegradable_sum_accuracy"] = mask[labels] == (scores.probabilities[:, mask].sum(axis=1) > 0.5)
        if scores.biodegradable is not None:
            found["biodegradable_head_accuracy"] = mask[labels] == (scores.biodegradable > 0.5)
    return found


def _ratio(part: _Array, whole: _Array) -> _Array:
    """`part / whole`; not-a-number where the whole is 0."""
    result: _Array = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return result


def _mean_of_defined(values: _Array) -> _Array:
    """The mean of each row over what is not not-a-number: `(r, C)` gives `(r,)`."""
    defined = ~np.isnan(values)
    result: _Array = np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)
    return result
