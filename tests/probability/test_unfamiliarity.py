"""The measures of how unlike the training photos a photo looks, and their common scale."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.probability.unfamiliarity import UnfamiliarityScale, energy, fit_scale


def test_energy_by_hand():
    """Two logits of 0 give -ln 2; large ones do not overflow."""
    np.testing.assert_allclose(energy(np.array([[0.0, 0.0], [1000.0, 0.0]])), [-np.log(2), -1000.0])


def test_the_larger_measure_counts():
    """Each on its own scale: 2 and 0, then 0 and 3."""
    scale = UnfamiliarityScale((-5, 10), (2, 4))
    np.testing.assert_allclose(scale.of(np.array([-1.0, -5.0]), np.array([[10.0], [22.0]])), [2, 3])


def test_the_probability_of_an_outlier_counts_where_there_is_one():
    """The third of three measures, the largest: (3 - 1) / 0.5."""
    scale = UnfamiliarityScale((-5, 10, 1), (2, 4, 0.5))
    np.testing.assert_allclose(scale.of(np.array([-5.0]), np.array([[10.0, 3.0]])), [4])


def test_scale_by_hand():
    """Of 0 to 100 the median is 50; 98 % lie up to 98, of ten times these 99.5 % up to 995, of the third 98 % again."""
    values = np.arange(101.0)
    scale = fit_scale(values, np.stack([10 * values, values - 50], axis=1))
    assert scale == UnfamiliarityScale((50, 500, 0), (48, 495, 48))
    assert fit_scale(values, 10 * values[:, None]) == UnfamiliarityScale((50, 500), (48, 495))


@pytest.mark.parametrize(
    ("strange", "residual"),
    [([], []), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0, 0, 0])],
    ids=["none", "energy", "residual"],
)
def test_nothing_to_tell_from(strange, residual):
    """Without photos, or where all are alike, there is no scale."""
    assert fit_scale(np.array(strange, float), np.array(residual, float)[:, None]) is None
