"""The metrics of a bundle's manifest."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.evaluation.scoring import judge
from binsight.pipeline.measure import calibrate, measure, measure_strangers
from binsight.probability import ReviewThresholds
from binsight.probability.calibration import Calibration, ReviewTargets, ScaledCalibration
from binsight.probability.scores import HeadScores
from binsight.taxonomy import Taxonomy, WasteClass

TARGETS = ReviewTargets()


@pytest.fixture
def scored():
    """Three classes, the first rots; every fifth photo is taken for the next class, with little confidence."""
    labels = np.tile([0, 1, 2], 40)
    shown = np.where(np.arange(120) % 5 == 0, (labels + 1) % 3, labels)
    margin = np.where(shown == labels, 4.0, 1.0) + 0.01 * np.arange(120)
    logits = margin[:, None] * np.eye(3)[shown]
    mask = np.array([True, False, False])
    return HeadScores(logits, np.where(mask[labels], 3.0, -3.0), mask), labels


def _taxonomy(classes=3, *, is_open=False):
    """The first class rots, where that is said."""
    return Taxonomy(
        "letters", tuple(WasteClass(x, x, None if is_open else x == "a", "bin", "") for x in "abcdef"[:classes])
    )


def _with(confidence, classes=3):
    return ScaledCalibration(Calibration(1.0, 1.0, ReviewThresholds((confidence,) * classes)))


def test_values_by_hand(scored):
    """24 of 120 are wrong; the second head is always right."""
    found = measure(*scored, _taxonomy(), _with(0.0))
    assert found.photos == 120
    assert found.values["accuracy"].value == pytest.approx(0.8)
    assert found.values["top2_accuracy"].value >= 0.8
    assert found.values["biodegradable_head_accuracy"].value == 1.0
    assert found.values["biodegradable_accuracy"].value < 1.0


def test_all_have_intervals(scored):
    """They hold the value, and none is certain."""
    scores, labels = scored
    fitted = calibrate(scores, labels, TARGETS)
    for metric in measure(scores, labels, _taxonomy(), fitted, fitted_for=TARGETS).values.values():
        assert metric.low <= metric.value <= metric.high
        assert metric.low < metric.high


def test_without_a_second_head_its_metrics_are_left_out(scored):
    """Not set to nothing."""
    scores, labels = scored
    found = measure(HeadScores(scores.logits), labels, _taxonomy(is_open=True), _with(0.0))
    assert not [name for name in found.values if name.startswith("biodegradable")]


def test_the_accepted_are_those_of_the_thresholds_in_the_bundle(scored):
    """Thresholds of 1 accept nothing, and then there is no accuracy of the accepted; thresholds of 0 accept all."""
    scores, labels = scored
    found = measure(scores, labels, _taxonomy(), _with(1.0))
    assert found.values["accepted_share"].value == 0.0
    assert "accepted_accuracy" not in found.values
    found = measure(scores, labels, _taxonomy(), _with(0.0))
    assert found.values["accepted_share"].value == 1.0
    assert found.values["accepted_accuracy"].value == pytest.approx(0.8)


def test_on_the_photos_it_was_fitted_on_both_are_stated(scored):
    """By the bundle's thresholds, as they are, and under another name cross-fitted; elsewhere only the former."""
    scores, labels = scored
    fitted = calibrate(scores, labels, TARGETS)
    found = measure(scores, labels, _taxonomy(), fitted, fitted_for=TARGETS).values
    accepted = judge(scores, fitted).accepted
    assert found["accepted_share"].value == accepted.mean()
    assert {"accepted_share_cross_fitted", "calibration_error_cross_fitted"} <= set(found)
    assert found["calibration_error_cross_fitted"].value > found["calibration_error"].value
    elsewhere = measure(scores, labels, _taxonomy(), fitted).values
    assert not [name for name in elsewhere if name.endswith("_cross_fitted")]


def test_five_of_five_accepted_are_not_certain():
    """Wilson: 5 / (5 + z^2) = 0.5655."""
    logits = np.zeros((40, 2))
    logits[:5, 0] = 9
    found = measure(HeadScores(logits), np.zeros(40, dtype=np.intp), _taxonomy(2, is_open=True), _with(0.9, 2))
    metric = found.values["accepted_accuracy"]
    assert (metric.value, metric.low, metric.high) == (1.0, pytest.approx(0.5655, abs=5e-5), 1.0)


def test_copies_widen_the_intervals(scored):
    """Sixty photos, each there twice, are less sure than 120."""
    alone, paired = (
        measure(*scored, _taxonomy(), _with(0.0), groups=groups).values["accuracy"]
        for groups in (None, np.arange(120) // 2)
    )
    assert alone.value == paired.value
    assert paired.high - paired.low >= alone.high - alone.low
    right = scored[0].logits.argmax(axis=1) == scored[1]
    doubled = HeadScores(np.repeat(scored[0].logits, 2, axis=0)), np.repeat(scored[1], 2)
    twice = measure(*doubled, _taxonomy(is_open=True), _with(0.0), groups=np.repeat(np.arange(120), 2))
    assert twice.values["accuracy"].low == pytest.approx(alone.low)
    assert right.mean() == alone.value


def test_unknown_photos_are_to_be_reviewed(scored):
    """All are; ten of ten are not certain."""
    scores, labels = scored
    fitted = calibrate(scores, labels, TARGETS)
    flat = HeadScores(np.zeros((10, 3)), np.zeros(10), scores.mask)
    found = measure_strangers(judge(flat, fitted)).values["reviewed_share"]
    assert (found.value, found.low) == (1.0, pytest.approx(0.7225, abs=5e-5))
