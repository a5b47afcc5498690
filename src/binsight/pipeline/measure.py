"""How good a network is on labelled photos, as a bundle's manifest and card say it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Metric, SplitMetrics
from binsight.evaluation.calibration import cross_fit_folds
from binsight.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap_interval,
    expected_calibration_error,
    macro_f1,
)
from binsight.pipeline.calibrate import Calibration, ReviewTargets, Scores, accept, calibrate
from binsight.probability import softmax, top_k

__all__ = ["measure", "measure_unknown"]

# With fewer accepted photos a bootstrap draw may hold none of them.
_LEAST_ACCEPTED = 30

Positions = NDArray[np.intp]


def measure(
    scores: Scores, labels: NDArray[np.intp], targets: ReviewTargets, *, calibration: Calibration | None = None
) -> SplitMetrics:
    """Metrics of one split, with 95 % bootstrap intervals.

    Args:
        scores: of the split's n photos.
        labels: `(n,)`.
        targets: what may be sent to review.
        calibration: fitted on other photos; it is then applied as it is. None on the split that calibration is
            fitted on: calibration error and accepted share are then cross-fitted, each photo judged by what was
            fitted on four fifths without it.
    """
    confidence, accepted = _judge(scores, labels, targets, calibration)
    correct = scores.logits.argmax(axis=1) == labels
    measures = _class_measures(scores, labels) | _biodegradable_measures(scores, labels)
    measures["accepted_share"] = lambda i: float(accepted[i].mean())
    intervals = {name: bootstrap_interval(measured, len(labels)) for name, measured in measures.items()}
    metrics = {name: Metric(i.value, i.low, i.high) for name, i in intervals.items()}
    if accepted.any():
        metrics["accepted_accuracy"] = _accepted_accuracy(accepted, correct)
    # Without an interval: drawing photos twice makes this metric larger, so the bootstrap would not even cover it.
    metrics["calibration_error"] = Metric(expected_calibration_error(confidence, correct))
    return SplitMetrics(len(labels), metrics)


def measure_unknown(scores: Scores, calibration: Calibration) -> SplitMetrics:
    """The share of photos of none of the classes that is sent to review."""
    reviewed = ~accept(scores, calibration)
    share = bootstrap_interval(lambda i: float(reviewed[i].mean()), len(reviewed))
    return SplitMetrics(len(reviewed), {"reviewed_share": Metric(share.value, share.low, share.high)})


def _judge(
    scores: Scores, labels: NDArray[np.intp], targets: ReviewTargets, calibration: Calibration | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of every photo the confidence, and whether it is accepted."""
    if calibration is not None:
        return softmax(scores.logits, temperature=calibration.temperature).max(axis=1), accept(scores, calibration)
    accepted, confidence = np.zeros(len(labels), bool), np.zeros(len(labels))
    for fit, judge in cross_fit_folds(labels):
        fitted = calibrate(scores.take(fit), labels[fit], targets)
        accepted[judge] = accept(scores.take(judge), fitted)
        confidence[judge] = softmax(scores.logits[judge], temperature=fitted.temperature).max(axis=1)
    return confidence, accepted


def _class_measures(scores: Scores, labels: NDArray[np.intp]) -> dict[str, Callable[[Positions], float]]:
    classes = scores.logits.shape[1]
    predicted, top2 = scores.logits.argmax(axis=1), top_k(scores.logits, 2)
    return {
        "accuracy": lambda i: accuracy(labels[i], predicted[i]),
        "balanced_accuracy": lambda i: balanced_accuracy(labels[i], predicted[i], classes),
        "macro_f1": lambda i: macro_f1(labels[i], predicted[i], classes),
        "top2_accuracy": lambda i: float((top2[i] == labels[i, None]).any(axis=1).mean()),
    }


def _biodegradable_measures(scores: Scores, labels: NDArray[np.intp]) -> dict[str, Callable[[Positions], float]]:
    second, mask = scores.biodegradable, scores.mask
    if second is None or mask is None:
        return {}
    truth, by_class, by_head = mask[labels], mask[scores.logits.argmax(axis=1)], second > 0
    return {
        "biodegradable_accuracy": lambda i: float(np.mean(truth[i] == by_class[i])),
        "biodegradable_head_accuracy": lambda i: float(np.mean(truth[i] == by_head[i])),
    }


def _accepted_accuracy(accepted: NDArray[np.bool_], correct: NDArray[np.bool_]) -> Metric:
    if np.count_nonzero(accepted) < _LEAST_ACCEPTED:
        return Metric(float(correct[accepted].mean()))
    found = bootstrap_interval(lambda i: float(correct[i][accepted[i]].mean()), len(accepted))
    return Metric(found.value, found.low, found.high)
