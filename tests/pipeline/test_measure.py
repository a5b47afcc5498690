"""The metrics of a bundle's manifest."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.pipeline.calibrate import Calibration, ReviewTargets, Scores, calibrate
from binsight.pipeline.measure import measure, measure_unknown
from binsight.probability import ReviewThresholds

TARGETS = ReviewTargets()


@pytest.fixture
def scored():
    """Three classes, the first rots; every fifth photo is taken for the next class, with little confidence."""
    labels = np.tile([0, 1, 2], 40)
    shown = np.where(np.arange(120) % 5 == 0, (labels + 1) % 3, labels)
    margin = np.where(shown == labels, 4.0, 1.0) + 0.01 * np.arange(120)
    logits = margin[:, None] * np.eye(3)[shown]
    mask = np.array([True, False, False])
    return Scores(logits, np.where(mask[labels], 3.0, -3.0), mask), labels


def test_values_by_hand(scored):
    """24 of 120 are wrong; the second head is always right."""
    found = measure(*scored, TARGETS)
    assert found.photos == 120
    assert found.values["accuracy"].value == pytest.approx(0.8)
    assert found.values["top2_accuracy"].value >= 0.8
    assert found.values["biodegradable_head_accuracy"].value == 1.0
    assert found.values["biodegradable_accuracy"].value < 1.0


def test_all_but_the_calibration_error_have_intervals(scored):
    """They hold the value."""
    for name, metric in measure(*scored, TARGETS).values.items():
        if name == "calibration_error":
            assert metric.low is None
        else:
            assert metric.low <= metric.value <= metric.high


def test_without_a_second_head_its_metrics_are_left_out(scored):
    """Not set to nothing."""
    scores, labels = scored
    assert not [n for n in measure(Scores(scores.logits), labels, TARGETS).values if n.startswith("biodegradable")]


def test_a_calibration_from_elsewhere_is_applied_as_it_is(scored):
    """Thresholds above 1 accept nothing; then there is no accuracy of the accepted."""
    scores, labels = scored
    strict = Calibration(1.0, 1.0, ReviewThresholds((1.0, 1.0, 1.0)))
    found = measure(scores, labels, TARGETS, calibration=strict)
    assert found.values["accepted_share"].value == 0.0
    assert "accepted_accuracy" not in found.values
    lax = Calibration(1.0, 1.0, ReviewThresholds((0.0, 0.0, 0.0)))
    found = measure(scores, labels, TARGETS, calibration=lax)
    assert found.values["accepted_share"].value == 1.0
    assert found.values["accepted_accuracy"].value == pytest.approx(0.8)


def test_few_accepted_have_no_interval():
    """A draw might hold none of them."""
    logits = np.zeros((40, 2))
    logits[:5, 0] = 9
    lax = Calibration(1.0, None, ReviewThresholds((0.9, 0.9)))
    metric = measure(Scores(logits), np.zeros(40, dtype=np.intp), TARGETS, calibration=lax).values["accepted_accuracy"]
    assert (metric.value, metric.low, metric.high) == (1.0, None, None)


def test_unknown_photos_are_to_be_reviewed(scored):
    """The share that is."""
    scores, labels = scored
    fitted = calibrate(scores, labels, TARGETS)
    flat = Scores(np.zeros((10, 3)), np.zeros(10), scores.mask)
    assert measure_unknown(flat, fitted).values["reviewed_share"].value == 1.0
