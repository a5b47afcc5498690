"""Temperatures."""

import numpy as np
import pytest

from binsight.probability import sigmoid, softmax
from binsight.probability.calibration import fit_binary_temperature, fit_temperature


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
