"""Metrics against numbers worked out by hand."""

import numpy as np
import pytest

from binsight.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap_interval,
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
)

# Class 0: 3 photos, 2 right; class 1: 1 photo, right; one photo of class 0 is taken for class 1.
LABELS = np.array([0, 0, 0, 1])
PREDICTED = np.array([0, 0, 1, 1])


def test_accuracy_is_the_share_of_equal_labels():
    """Three of four are right."""
    assert accuracy(LABELS, PREDICTED) == 0.75


def test_confusion_matrix_has_true_classes_as_rows():
    """The mistake stands in row 0, column 1."""
    assert confusion_matrix(LABELS, PREDICTED, 3).tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_balanced_accuracy_is_the_mean_recall_of_present_classes():
    """Recall is 2/3 and 1; class 2 does not occur and does not count."""
    assert balanced_accuracy(LABELS, PREDICTED, 3) == pytest.approx((2 / 3 + 1) / 2)


def test_macro_f1_is_the_mean_over_classes_that_occur():
    """F1 is 2*2/(3+2) = 0.8 and 2*1/(1+2) = 2/3."""
    assert macro_f1(LABELS, PREDICTED, 3) == pytest.approx((0.8 + 2 / 3) / 2)


def test_calibration_error_is_the_weighted_gap_of_the_bins():
    """Two bins of two photos: |1/2 - 0.3| and |1 - 0.8|, weighted by half each."""
    confidence = np.array([0.3, 0.3, 0.7, 0.9])
    correct = np.array([True, False, True, True])
    assert expected_calibration_error(confidence, correct, bins=2) == pytest.approx(0.5 * 0.2 + 0.5 * 0.2)


def test_calibration_error_of_certain_and_right_predictions_is_zero():
    """A confidence of exactly 1 falls into the last bin."""
    assert expected_calibration_error(np.ones(5), np.ones(5, bool)) == 0


def test_calibration_error_does_not_depend_on_the_order_of_photos():
    """Permuting photos changes nothing."""
    generator = np.random.default_rng(0)
    confidence, correct = generator.random(100), generator.random(100) < 0.5
    order = generator.permutation(100)
    shuffled = expected_calibration_error(confidence[order], correct[order])
    assert shuffled == pytest.approx(expected_calibration_error(confidence, correct))


def test_bootstrap_interval_contains_the_value_and_is_as_wide_as_theory_says():
    """For a share of 0.8 among 400, 1.96 standard errors are 0.0392."""
    right = np.arange(400) < 320
    found = bootstrap_interval(lambda i: float(right[i].mean()), 400)
    assert found.value == 0.8
    assert found.low == pytest.approx(0.8 - 0.0392, abs=0.006)
    assert found.high == pytest.approx(0.8 + 0.0392, abs=0.006)


def test_bootstrap_interval_is_the_same_for_the_same_seed():
    """Two calls with one seed agree; another seed differs."""
    values = np.random.default_rng(1).random(50)

    def mean(i):
        return float(values[i].mean())

    assert bootstrap_interval(mean, 50, seed=3) == bootstrap_interval(mean, 50, seed=3)
    assert bootstrap_interval(mean, 50, seed=3) != bootstrap_interval(mean, 50, seed=4)
