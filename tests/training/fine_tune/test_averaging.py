"""Averages of weights."""

import numpy as np
import pytest

from binsight.errors import WeightsError
from binsight.training.fine_tune.averaging import add_to_mean, interpolate, uniform_soup


def weights(*values):
    """One array of two, one of one element each."""
    return [np.array([values[0], values[1]], np.float32), np.array([values[2]], np.float32)]


def flat(found):
    """All values in one list."""
    return np.concatenate(found).tolist()


def test_interpolation_by_hand():
    """A quarter of the way."""
    assert flat(interpolate(weights(0, 4, 8), weights(4, 0, 8), 0.25)) == [1, 3, 8]


def test_the_ends_of_an_interpolation_are_exact():
    """Bit by bit, and what did not change stays exactly so in between."""
    start, tuned = weights(0.1, 0.2, 0.3), weights(0.7, 1e-9, 0.3)
    assert flat(interpolate(start, tuned, 0)) == flat(start)
    assert flat(interpolate(start, tuned, 1)) == flat(tuned)
    assert interpolate(start, tuned, 0.37)[1] == start[1]
    assert interpolate(start, tuned, 0.37)[0].dtype == np.float32


def test_a_uniform_soup_is_the_mean():
    """Of three."""
    assert flat(uniform_soup([weights(0, 3, 1), weights(3, 3, 1), weights(6, 3, 1)])) == pytest.approx([3, 3, 1])


def test_a_running_mean_is_the_mean():
    """One after the other, from nothing."""
    mean = weights(9, 9, 9)
    for count, value in enumerate([weights(1, 2, 3), weights(3, 4, 5), weights(5, 6, 7)]):
        mean = add_to_mean(mean, count, value)
    assert flat(mean) == pytest.approx([3, 4, 5])


def test_other_networks_are_refused():
    """The message says where they differ."""
    with pytest.raises(WeightsError, match="number 1 of 2 differs from the first at array 1 of 2"):
        uniform_soup([weights(1, 2, 3), [np.zeros(2, np.float32), np.zeros(2, np.float32)]])
    with pytest.raises(WeightsError, match="at array 1 of 2"):
        interpolate(weights(1, 2, 3), weights(1, 2, 3)[:1], 0.5)
    with pytest.raises(WeightsError, match="got none"):
        uniform_soup([])
    with pytest.raises(WeightsError, match=r"in \[0, 1\], got 1.5"):
        interpolate(weights(1, 2, 3), weights(1, 2, 3), 1.5)
