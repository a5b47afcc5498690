"""Temperatures."""

import numpy as np
import pytest

from binsight.probability import sigmoid, softmax
from binsight.probability.calibration import ReviewTargets, calibrate, fit_binary_temperature, fit_temperature
from binsight.probability.scores import NetworkScores


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


def test_one_sure_mistake_does_not_end_the_search():
    """Of 900 photos the 480th surest is wrong: 676 show 99.3 % with it, and all the others may follow."""
    margins, labels = np.linspace(9, 3, 900), np.arange(900) == 480
    logits = np.stack([margins, np.zeros(900)], axis=1)
    found = calibrate(NetworkScores(logits), labels.astype(np.intp), ReviewTargets(unfamiliar_share=0.0))
    confidence = softmax(logits, temperature=found.temperature).max(axis=1)
    assert found.shown_precision == 0.993
    assert (confidence >= found.review.confidence[0]).sum() == 900
