"""Calibration errors and proper scores against numbers worked out by hand."""

import numpy as np
import pytest

from binsight.evaluation.reliability import (
    brier_scores,
    calibration_errors,
    cross_fitted_confidence,
    equal_mass_bins,
    equal_width_bins,
    expected_error_if_calibrated,
    log_losses,
    reliability_bins,
)
from binsight.probability import softmax
from binsight.probability.calibration import fit_temperature
from binsight.probability.folds import cross_fit_folds

CONFIDENCE = np.array([0.3, 0.3, 0.7, 0.9])
CORRECT = np.array([True, False, True, True])


def test_error_with_equal_weights_is_the_known_metric():
    """The weighted form agrees with the definition on random data: sum_b (n_b / n) |accuracy_b - confidence_b|."""
    generator = np.random.default_rng(0)
    confidence, correct = generator.random(200), generator.random(200) < 0.7
    found = calibration_errors(np.ones((1, 200)), confidence, correct, equal_width_bins(confidence, 15))
    which = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs((correct - confidence)[which == b].sum()) for b in range(15)]
    assert found[0] == pytest.approx(sum(gaps) / 200)


def test_a_photo_drawn_twice_counts_twice():
    """Weights 0, 2, 1, 1: the bins hold 2 * (0 - 0.3) and (1 - 0.7) + (1 - 0.9), of 4."""
    found = calibration_errors(np.array([[0.0, 2, 1, 1]]), CONFIDENCE, CORRECT, equal_width_bins(CONFIDENCE, 2))
    assert found[0] == pytest.approx((0.6 + 0.4) / 4)


def test_confidence_of_one_falls_into_the_last_bin():
    """The last bin includes its upper end, the first its lower."""
    assert equal_width_bins(np.array([0.0, 0.5, 1.0]), 2).tolist() == [0, 1, 1]


def test_bins_of_equal_mass_hold_equally_many():
    """Seven photos in three bins: 3, 2, 2, by confidence."""
    bins = equal_mass_bins(np.array([0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6]), 3)
    assert bins.tolist() == [2, 0, 2, 0, 1, 0, 1]


def test_chance_explains_the_error_of_a_calibrated_model():
    """Outcomes drawn from the confidences give an error within the bounds; a model that is always wrong does not."""
    generator = np.random.default_rng(3)
    confidence = generator.uniform(0.5, 1, 600)
    bins = equal_width_bins(confidence, 15)
    expected = expected_error_if_calibrated(confidence, bins, seed=1)
    drawn = calibration_errors(np.ones((1, 600)), confidence, generator.random(600) < confidence, bins)[0]
    wrong = calibration_errors(np.ones((1, 600)), confidence, np.zeros(600, bool), bins)[0]
    assert expected.low < drawn < expected.high < wrong


def test_brier_score_is_the_squared_distance_to_the_truth():
    """(0.7 - 1)^2 + 0.2^2 + 0.1^2 = 0.14; certain and wrong is 2."""
    p = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]])
    assert brier_scores(p, np.array([0, 0])) == pytest.approx([0.14, 2.0])


def test_log_loss_of_an_impossible_truth_is_finite():
    """-ln 0.5, and -ln 1e-12 where the model says 0."""
    found = log_losses(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0, 0]))
    assert found == pytest.approx([np.log(2), 12 * np.log(10)])


def test_bins_for_the_plot_hold_every_photo_once():
    """Two of four bins are filled: 0.3 twice with one right, 0.7 and 0.9 apart."""
    bins = reliability_bins(CONFIDENCE, CORRECT, equal_width_bins(CONFIDENCE, 4), bins=4)
    assert [b.photos for b in bins] == [0, 2, 1, 1]
    assert (bins[1].confidence, bins[1].accuracy.value) == pytest.approx((0.3, 0.5))
    assert np.isnan(bins[0].confidence)
    assert bins[1].accuracy.low < 0.5 < bins[1].accuracy.high


def test_cross_fitted_confidence_undoes_a_wrong_temperature():
    """Logits ten times too large are brought back by temperatures fitted on other photos."""
    generator = np.random.default_rng(5)
    logits = generator.normal(0, 2, (900, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(3, p=row) for row in p])
    assert cross_fitted_confidence(10 * logits, labels) == pytest.approx(p.max(axis=1), abs=0.1)


def test_cross_fitted_confidence_is_by_the_temperature_of_the_other_folds():
    """Not by one fitted on the photo itself, nor on a copy of it."""
    generator = np.random.default_rng(6)
    logits, labels, copies = generator.normal(0, 2, (60, 3)), generator.integers(0, 3, 60), np.arange(60) // 4
    found = cross_fitted_confidence(logits, labels, copies=copies)
    for fit, judge in cross_fit_folds(labels, copies):
        temperature = fit_temperature(logits[fit], labels[fit])
        assert found[judge] == pytest.approx(softmax(logits[judge], temperature=temperature).max(axis=1))
