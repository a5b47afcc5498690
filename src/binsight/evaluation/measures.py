"""The figures of an evaluation: their names, what they mean, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from binsight.evaluation.corruption import CORRUPTIONS

__all__ = ["ALIASES", "CROSS_FITTED", "MEASURES", "Measure", "known_names", "measure_of"]

Better = Literal["higher", "lower"]
Unit = Literal["share", "number", "ms", "MB"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure.

    Attributes:
        name: in JSON and on the command line.
        title: in a report.
        meaning: one sentence.
        better: whether more or less of it is better.
        unit: how it is written; a share is a number from 0 to 1.
    """

    name: str
    title: str
    meaning: str
    better: Better = "higher"
    unit: Unit = "share"


_OVERALL = (
    Measure("accuracy", "Accuracy", "Share of photos whose category is right."),
    Measure("balanced_accuracy", "Balanced accuracy", "Mean recall of the classes: each counts the same."),
    Measure("macro_f1", "Macro F1", "Mean over the classes of the harmonic mean of precision and recall."),
    Measure("top2_accuracy", "Top-2 accuracy", "Share of photos whose class is among the two most probable."),
    Measure("biodegradable_accuracy", "Biodegradable, by category", "By what the taxonomy says of the category."),
    Measure("biodegradable_sum_accuracy", "Biodegradable, by sum", "By the summed probability of such classes."),
    Measure("biodegradable_head_accuracy", "Biodegradable, by head", "By the network's second output."),
    Measure("stream_accuracy", "Stream accuracy", "Share of photos that go to the right stream."),
    Measure("stream_cost", "Stream cost", "Mean cost of an item when nothing is reviewed.", "lower", "number"),
    Measure(
        "stream_cost_with_review",
        "Stream cost with review",
        "Mean cost of an item when the bundle's thresholds send some to review.",
        "lower",
        "number",
    ),
)
_TRUST = (
    Measure("calibration_error", "Calibration error", "ECE, bins of equal width.", "lower", "number"),
    Measure(
        "adaptive_calibration_error", "Calibration error, adaptive", "ECE, bins of equally many.", "lower", "number"
    ),
    Measure("brier_score", "Brier score", "Mean squared error of the probabilities, 0 to 2.", "lower", "number"),
    Measure("log_loss", "Log loss", "Mean of -ln p of the true class (NLL).", "lower", "number"),
    Measure("aurc", "Risk-coverage area", "AURC: mean risk over all shares accepted.", "lower", "number"),
    Measure("accepted_share", "Accepted", "Share of photos not sent to review."),
    Measure("accepted_accuracy", "Accuracy of accepted", "Share of right ones among those accepted."),
)
_FITTED = ("biodegradable_sum_accuracy", "stream_cost_with_review", *(m.name for m in _TRUST))
_CROSS_FITTED = tuple(
    replace(
        m,
        name=f"{m.name}_cross_fitted",
        title=f"{m.title}, cross-fitted",
        meaning=f"{m.meaning} With temperatures and thresholds fitted on others of these photos.",
    )
    for m in (*_OVERALL, *_TRUST)
    if m.name in _FITTED
)
CROSS_FITTED: Mapping[str, str] = {m.name.removesuffix("_cross_fitted"): m.name for m in _CROSS_FITTED}
"""The figures that depend on what is fitted on labelled photos: on those very photos the other name is to be judged."""

_UNKNOWN = (
    Measure("unknown_reviewed_share", "Unknown sent to review", "Share of the unknown photos sent to review."),
    Measure("unknown_auroc", "Unknown told by unfamiliarity", "AUROC: 1 is perfect, 0.5 is chance.", unit="number"),
    Measure(
        "unknown_auroc_confidence", "Unknown told by confidence", "AUROC of a low confidence instead.", unit="number"
    ),
)
_ROBUST = (
    Measure("robust_accuracy", "Accuracy when degraded", "Mean accuracy over all degradations."),
    *(
        Measure(f"robust_accuracy.{c.name}", f"Accuracy, {c.title.lower()}", "Mean over three severities.")
        for c in CORRUPTIONS
    ),
)
_SPEED = (
    Measure("decode_ms", "Decoding", "Median time to decode and fit a photo.", "lower", "ms"),
    Measure("engine_ms", "Network", "Median time of one run of the network.", "lower", "ms"),
    Measure("model_mb", "Model file", "Size of the network's file.", "lower", "MB"),
)
MEASURES = {m.name: m for m in (*_OVERALL, *_TRUST, *_CROSS_FITTED, *_UNKNOWN, *_ROBUST, *_SPEED)}
"""Name → measure, for those that do not belong to a class."""

ALIASES: Mapping[str, str] = {
    "ece": "calibration_error",
    "f1": "macro_f1",
    "nll": "log_loss",
    "brier": "brier_score",
    "auroc": "unknown_auroc",
    "coverage": "accepted_share",
    "top2": "top2_accuracy",
}
"""Other names by which they go."""

_PER_CLASS = {"recall": "Recall", "precision": "Precision", "f1": "F1"}


def known_names(classes: Sequence[str]) -> tuple[str, ...]:
    """All names that an evaluation of a model with these class ids may have, in the order of the report."""
    return (*MEASURES, *(f"{kind}.{name}" for name in classes for kind in _PER_CLASS))


def measure_of(name: str) -> Measure:
    """The measure of a name from `known_names`."""
    if name in MEASURES:
        return MEASURES[name]
    kind, _, class_id = name.partition(".")
    return Measure(name, f"{_PER_CLASS[kind]} of {class_id}", f"{_PER_CLASS[kind]} of one class.")
