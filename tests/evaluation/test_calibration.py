"""Temperatures and review thresholds."""

import numpy as np
import pytest

from binsight.evaluation.calibration import (
    confidence_thresholds,
    cross_fit_folds,
    fit_binary_temperature,
    fit_temperature,
)
from binsight.probability import sigmoid, softmax


def _sampled_labels(logits, temperature, generator):
    """Labels drawn from the probabilities at the given temperature."""
    probabilities = softmax(logits, temperature=temperature)
    return np.array([generator.choice(len(p), p=p) for p in probabilities])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered_from_labels_drawn_with_it(temperature):
    """With 4,000 photos the estimate comes within a tenth."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (4000, 4))
    assert fit_temperature(logits, _sampled_labels(logits, temperature, generator)) == pytest.approx(
        temperature, rel=0.1
    )


def test_temperature_is_the_one_with_the_smallest_loss():
    """No temperature a little to either side is more likely."""
    generator = np.random.default_rng(4)
    logits = generator.normal(0, 3, (300, 4))
    labels = _sampled_labels(logits, 2.0, generator)
    found = fit_temperature(logits, labels)
    losses = [
        -np.log(softmax(logits, temperature=t)[np.arange(300), labels]).mean()
        for t in (0.999 * found, found, 1.001 * found)
    ]
    assert losses[1] == min(losses)


def test_doubled_logits_need_twice_the_temperature():
    """The temperature undoes any scale of the logits."""
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 2, (500, 3))
    labels = _sampled_labels(logits, 1.0, generator)
    assert fit_temperature(2 * logits, labels) == pytest.approx(2 * fit_temperature(logits, labels), rel=1e-3)


def test_binary_temperature_is_recovered_from_labels_drawn_with_it():
    """The same for one logit."""
    generator = np.random.default_rng(2)
    logits = generator.normal(0, 4, 4000)
    labels = generator.random(4000) < sigmoid(logits, temperature=2.0)
    assert fit_binary_temperature(logits, labels) == pytest.approx(2.0, rel=0.1)


def test_certain_and_wrong_logits_do_not_break_the_fit():
    """A probability of 0 for the true class is not infinitely bad."""
    logits = np.array([[1000.0, 0.0], [0.0, 1000.0]])
    assert np.isfinite(fit_temperature(logits, np.array([1, 1])))


def test_threshold_lies_halfway_below_the_last_accepted_confidence():
    """Accepting down to 0.8 keeps all right; the mistake at 0.6 is left out: the threshold is 0.7."""
    confidence = np.array([0.9, 0.8, 0.6])
    correct = np.array([True, True, False])
    thresholds = confidence_thresholds(confidence, np.zeros(3, int), correct, classes=1, target_precision=1.0)
    assert thresholds == pytest.approx((0.7,))


def test_a_class_with_few_mistakes_takes_the_common_threshold():
    """Class 1 has no mistake of its own, and yet the threshold of all."""
    confidence = np.array([0.9, 0.8, 0.6, 0.95])
    correct = np.array([True, True, False, True])
    predicted = np.array([0, 0, 0, 1])
    first, second = confidence_thresholds(confidence, predicted, correct, classes=2, target_precision=1.0)
    assert first == second == pytest.approx(0.7)


def test_a_class_with_enough_mistakes_gets_its_own_threshold():
    """Class 0 is wrong five times below 0.9, class 1 is always right: class 0 is held to more."""
    confidence = np.concatenate([np.full(5, 0.85), np.full(20, 0.95), np.full(200, 0.6)])
    predicted = np.array([0] * 25 + [1] * 200)
    correct = np.array([False] * 5 + [True] * 220)
    first, second = confidence_thresholds(confidence, predicted, correct, classes=2, target_precision=0.97)
    assert first == pytest.approx(0.9)
    assert second == 0.5


def test_equally_confident_predictions_are_accepted_together_or_not_at_all():
    """Of 100 right ones at 0.95 and 20 wrong ones at 0.85, one of the latter would do; but no threshold picks it."""
    confidence = np.concatenate([np.full(100, 0.95), np.full(20, 0.85)])
    correct = np.arange(120) < 100
    thresholds = confidence_thresholds(confidence, np.zeros(120, int), correct, classes=1, target_precision=0.99)
    assert thresholds == pytest.approx((0.9,))


def test_no_threshold_lies_below_one_half():
    """Even when everything is right, less than half sure is not sure."""
    thresholds = confidence_thresholds(
        np.array([0.3, 0.4]), np.array([0, 1]), np.array([True, True]), classes=2, target_precision=0.9
    )
    assert thresholds == (0.5, 0.5)


def test_a_target_out_of_reach_accepts_nothing_below_certainty():
    """When even the surest prediction is wrong, the threshold is 1."""
    thresholds = confidence_thresholds(
        np.array([0.9, 0.8]), np.array([0, 0]), np.array([False, True]), classes=1, target_precision=0.99
    )
    assert thresholds == (1.0,)


def test_folds_judge_every_photo_once_and_never_on_itself():
    """The judged positions partition the photos; fitted and judged ones do not meet."""
    labels = np.repeat([0, 1, 2], [50, 7, 23])
    folds = list(cross_fit_folds(labels, folds=5))
    assert sorted(np.concatenate([judge for _, judge in folds])) == list(range(80))
    assert all(not set(fit) & set(judge) for fit, judge in folds)


def test_folds_keep_the_proportions_of_the_classes():
    """Every fold has its fifth of each class, give or take one photo."""
    labels = np.repeat([0, 1], [50, 23])
    for _, judge in cross_fit_folds(labels, folds=5):
        assert abs(np.count_nonzero(labels[judge] == 0) - 10) <= 1
        assert abs(np.count_nonzero(labels[judge] == 1) - 4.6) <= 1
