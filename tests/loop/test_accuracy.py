"""Live accuracy: by hand, and the coverage of its interval in simulation."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.loop.accuracy import LabelledPhoto, estimate_accuracy, stratified_interval
from binsight.loop.sampling import Stratum
from binsight.probability.intervals import wilson_interval

RED, BLUE, UNSURE = Stratum("accept", "red"), Stratum("accept", "blue"), Stratum("review", "red")


def labels(stratum, right, wrong, chance=1.0):
    """Return labelled photos of one stratum."""
    kinds = [(True, stratum.category)] * right + [(False, "green")] * wrong
    return [LabelledPhoto(stratum, chance, good, truth) for good, truth in kinds]


def test_by_hand():
    """900 of 1,000 photos in a stratum with 9 of 10 right, 100 in one with 5 of 10."""
    found = stratified_interval([900, 100], [9, 5], [10, 10])
    assert found.value == pytest.approx(0.9 * 0.9 + 0.1 * 0.5)
    mean = 14 / 20
    q = [(9 + 2 * mean) / 12, (5 + 2 * mean) / 12]
    variance = 0.81 * q[0] * (1 - q[0]) / 10 + 0.01 * q[1] * (1 - q[1]) / 10
    size = 0.86 * 0.14 / variance
    assert (found.low, found.high) == pytest.approx((wilson_interval(0.86 * size, size).low,
                                                     wilson_interval(0.86 * size, size).high))  # fmt: skip


def test_one_stratum_is_like_a_simple_sample():
    """Almost: the variance is drawn to the mean."""
    found = stratified_interval([1], [180], [200])
    plain = wilson_interval(180, 200)
    assert (found.value, found.low) == (pytest.approx(0.9), pytest.approx(plain.low, abs=0.003))


def test_no_mistake_is_not_perfection():
    """As many photos as there would be without strata."""
    found = stratified_interval([0.5, 0.5], [50, 50], [50, 50])
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(wilson_interval(100, 100).low)


def test_an_estimate_weighs_strata_as_they_come():
    """Not as they were labelled; what was drawn with half the probability stands for twice as many."""
    seen = {RED: 800, UNSURE: 200}
    found = estimate_accuracy(seen, labels(RED, 10, 0) + labels(UNSURE, 5, 5))
    assert (found.overall.value, found.accepted.value, found.labelled, found.covered) == (pytest.approx(0.9), 1, 20, 1)
    assert found.confusion == {("red", "red"): 15, ("red", "green"): 5}
    uneven = estimate_accuracy({RED: 100}, labels(RED, 4, 0, 1.0) + labels(RED, 0, 2, 0.5))
    assert uneven.overall.value == pytest.approx(4 / (4 + 2 * 2))


def test_a_stratum_without_labels_is_said():
    """It is left out; without any label nothing is known."""
    found = estimate_accuracy({RED: 750, BLUE: 250}, labels(RED, 9, 1))
    assert (found.overall.value, found.covered) == (pytest.approx(0.9), 0.75)
    nothing = estimate_accuracy({RED: 750}, [])
    assert (np.isnan(nothing.overall.value), nothing.labelled, nothing.covered) == (True, 0, 0)


@pytest.mark.parametrize("accuracy", [0.994, 0.98])
@pytest.mark.parametrize("budget", [100, 200, 400])
def test_coverage(accuracy, budget):
    """93 to 98 % of the intervals hold the true accuracy; reviewed photos have seven times the errors."""
    rng = np.random.default_rng(7)
    shares = np.concatenate([0.92 * np.arange(1, 9) / 36, 0.08 * np.arange(8, 0, -1) / 36])
    risk = np.repeat([1.0, 7.0], 8)
    errors = (1 - accuracy) * risk / (shares * risk).sum()
    roots = np.sqrt(shares)
    n = np.maximum(5, np.round(budget * roots / roots.sum())).astype(int)
    runs = 1500
    wrong = rng.binomial(n, errors, (runs, 16))
    found = [stratified_interval(shares, n - k, n) for k in wrong]
    assert 0.93 <= np.mean([each.low <= accuracy <= each.high for each in found]) <= 0.98
