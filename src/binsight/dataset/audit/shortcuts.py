"""Whether the class can be told from what should not matter: a model would learn that instead of the waste.

For each group of properties (size, bytes, compression, border colour, ...) a simple classifier is fitted on them alone
and tested out of fold. Its balanced accuracy is compared with chance, 1 / C: what guessing gets whatever the class
counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.dataset.audit.discriminant import out_of_fold
from binsight.dataset.audit.measure import Measurements
from binsight.predictor import run_in_order

__all__ = ["GROUPS", "balanced_accuracy", "check_shortcuts"]

GROUPS: Final = {
    "size": ("width", "height"),
    "aspect ratio": ("aspect",),
    "file size": ("bytes", "bytes_per_pixel"),
    "compression": ("quantisation", "animated"),
    "border colour": ("border_red", "border_green", "border_blue", "border_spread"),
    "mean colour": ("mean_red", "mean_green", "mean_blue"),
}
"""What should not matter, with the properties that say it."""

EVERYTHING: Final = "all together"
_BINS = 12
_SHRINKAGE = 0.05


def check_shortcuts(
    found: Measurements,
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    classes: Sequence[str],
    *,
    workers: int | None = 1,
) -> dict[str, Any]:
    """How well each group of properties tells the class.

    Args:
        found: of n photos, all of them decoded.
        labels: `(n,)` in 0 to C - 1, every class occurring.
        folds: `(n,)`.
        classes: C names.
        workers: threads.

    Returns:
        `chance`, and `groups`: for each its `balanced_accuracy` with the bounds `low` and `high` of a 95 % interval,
        its `gain` from chance (0) to perfect (1), for each class the share that is recognised (`recall`), and how
        clearly it is told from the others (`told`): that share less the share of the others taken for it, 0 by chance.
    """
    coded = {name: _one_hot(values) for name, values in _columns(found).items()}
    names = {**GROUPS, EVERYTHING: tuple(coded)}

    def check(properties: Sequence[str]) -> dict[str, Any]:
        joined = np.concatenate([coded[name] for name in properties], axis=1)
        predicted = out_of_fold(joined, labels, folds, shrinkage=_SHRINKAGE, equal_priors=True)
        return _accuracy(predicted.probabilities.argmax(axis=1), labels, classes)

    results = run_in_order(check, names.values(), workers=workers)
    return {"chance": round(1 / len(classes), 4), "groups": dict(zip(names, results, strict=True))}


def _accuracy(predicted: NDArray[np.intp], labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    recall, margin = balanced_accuracy(predicted, labels, len(classes))
    told = recall - _false_alarms(predicted, labels, len(classes))
    accuracy, chance = float(recall.mean()), 1 / len(classes)
    return {
        "balanced_accuracy": round(accuracy, 4),
        "low": round(max(0.0, accuracy - margin), 4),
        "high": round(min(1.0, accuracy + margin), 4),
        "gain": round((accuracy - chance) / (1 - chance), 4),
        "recall": {name: round(float(r), 4) for name, r in zip(classes, recall, strict=True)},
        "told": {name: round(float(t), 4) for name, t in zip(classes, told, strict=True)},
    }


def balanced_accuracy(
    predicted: NDArray[np.intp], labels: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], float]:
    """The recall of each class, `(C,)`, and half the width of the 95 % interval of their mean.

    The interval takes recalls as independent binomial shares: `1.96 sqrt(sum r_c (1 - r_c) / n_c) / C`.
    """
    sizes = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[predicted == labels], minlength=classes)
    recall = right / np.maximum(sizes, 1)
    variance = (recall * (1 - recall) / np.maximum(sizes, 1)).sum() / classes**2
    return recall, float(1.96 * np.sqrt(variance))


def _false_alarms(predicted: NDArray[np.intp], labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """For each class the share of the other photos that are taken for it, `(C,)`."""
    wrong = np.bincount(predicted[predicted != labels], minlength=classes)
    others = len(labels) - np.bincount(labels, minlength=classes)
    return wrong / np.maximum(others, 1)


def _columns(found: Measurements) -> dict[str, NDArray[np.float32]]:
    names = {name for group in GROUPS.values() for name in group} - {"aspect", "bytes_per_pixel"}
    columns = {name: found.value(name) for name in sorted(names)}
    area = found.value("width") * found.value("height")
    columns["aspect"] = found.value("width") / found.value("height")
    columns["bytes_per_pixel"] = found.value("bytes") / area
    return columns


def _one_hot(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Which of at most twelve equally filled ranges each value lies in: a linear model can then take any shape.

    A value that many photos share, such as the width 640, gets a range of its own.
    """
    common, counts = np.unique(values, return_counts=True)
    common = common[counts >= max(2, len(values) / _BINS)]
    rest = values[~np.isin(values, common)]
    edges = np.unique(np.quantile(rest, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(rest) else np.empty(0)
    code = np.digitize(values, edges) + len(common)
    for number, value in enumerate(common):
        code[values == value] = number
    result = np.zeros((len(values), len(common) + len(edges) + 1), np.float32)
    result[np.arange(len(values)), code] = 1
    return result
