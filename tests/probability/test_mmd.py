"""The shift of features: found within the classes, not in their mix, and by chance as rarely as stated."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.probability.mmd import compare_samples


def world(rng, counts, *, offset=0.0):
    """Return features and classes of so many photos of each class, each around a centre of its own."""
    classes = np.repeat(np.arange(len(counts)), counts)
    centres = 3 * np.eye(len(counts), 20)
    return rng.normal(size=(len(classes), 20)) + centres[classes] + offset, classes


def test_by_hand():
    """Two photos each of one class at 0 and at 1: a' K a with the kernel of the median distance."""
    found = compare_samples(np.zeros((2, 1)), np.ones((2, 1)), np.zeros(2, int), np.zeros(2, int), permutations=99)
    assert found.distance == pytest.approx(2 - 2 * np.exp(-1))
    assert found.p > 0.2  # of six exchanges two give as much


def test_another_mix_is_no_shift():
    """Nine photos of the first class for one of the second, and the other way round."""
    rng = np.random.default_rng(1)
    (before, old), (now, new) = world(rng, (180, 20)), world(rng, (10, 90))
    assert compare_samples(before, now, old, new, permutations=199).p > 0.05


def test_a_shift_is_found():
    """Half of a standard deviation in each feature."""
    rng = np.random.default_rng(2)
    (before, old), (now, new) = world(rng, (100, 100)), world(rng, (50, 50), offset=0.5)
    assert compare_samples(before, now, old, new).p == pytest.approx(0.001)


def test_false_alarms_are_as_rare_as_stated():
    """Of 200 weeks without a shift about 5 % have p below 5 %, whatever the mix."""
    rng, alarms = np.random.default_rng(3), 0
    for week in range(200):
        (before, old), (now, new) = world(rng, (40, 20)), world(rng, (8, 12))
        alarms += compare_samples(before, now, old, new, permutations=99, seed=week).p <= 0.05
    assert alarms <= 20  # P(more) < 0.2 % at 5 %


def test_no_class_in_common_says_nothing():
    """Nor do classes that one side lacks count."""
    one, two = np.zeros((3, 2)), np.ones((3, 2))
    assert compare_samples(one, two, np.zeros(3, int), np.ones(3, int)).p == 1
