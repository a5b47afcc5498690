"""Whether the class can be told from what should not matter."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.dataset.audit.look import LOOK
from binsight.dataset.audit.measure import Measurements
from binsight.dataset.audit.shortcuts import EVERYTHING, GROUPS, balanced_accuracy, check_shortcuts
from binsight.dataset.duplicates import Fingerprints

CLASSES = ("a", "b", "c", "d")


def _measured(count=800, seed=0, **columns):
    rng = np.random.default_rng(seed)
    look = rng.uniform(50, 200, (count, len(LOOK))).astype(np.float32)
    for name, values in columns.items():
        look[:, LOOK.index(name)] = values
    return Measurements(Fingerprints.empty([]), look, None)


def _check(found, labels):
    return check_shortcuts(found, labels, np.arange(len(labels)) // 4 % 5, CLASSES)


def test_balanced_accuracy_by_hand():
    """Recalls of 1 and 1/2 give the interval 1.96 * sqrt(0.25 / 4) / 2."""
    recall, margin = balanced_accuracy(np.array([0, 0, 1, 1, 0, 0]), np.array([0, 0, 1, 1, 1, 1]), 2)
    assert recall.tolist() == [1, 0.5]
    assert margin == pytest.approx(1.96 * np.sqrt(0.25 / 4) / 2)


def test_noise_is_at_chance():
    """Properties that have nothing to do with the class tell it no better than guessing."""
    labels = np.arange(800) % 4
    result = _check(_measured(), labels)
    assert result["chance"] == 0.25
    assert set(result["groups"]) == {*GROUPS, EVERYTHING}
    assert all(abs(group["gain"]) < 0.1 for group in result["groups"].values())


def test_constant_property_is_at_chance():
    """Where all photos have one size, the size tells nothing of any class."""
    result = _check(_measured(width=640, height=480), np.arange(800) % 4)
    assert result["groups"]["size"]["gain"] == pytest.approx(0, abs=1e-6)
    assert max(result["groups"]["size"]["told"].values()) == pytest.approx(0, abs=1e-6)


def test_property_that_gives_one_class_away():
    """A border colour of one class only is found, with the class; the other groups stay at chance."""
    labels = np.arange(800) % 4
    border = np.random.default_rng(1).uniform(50, 150, 800) + 100 * (labels == 2)
    result = _check(_measured(border_red=border), labels)
    told = result["groups"]["border colour"]["told"]
    assert told["c"] > 0.9
    assert max(told[name] for name in "abd") < 0.4
    assert abs(result["groups"]["mean colour"]["gain"]) < 0.1


def test_common_values_count_as_values():
    """Classes told apart by three exact widths are told perfectly, though the widths are not ordered by class."""
    labels = np.arange(800) % 4
    result = _check(_measured(width=np.array([640, 320, 900, 330])[labels]), labels)
    assert result["groups"]["size"]["balanced_accuracy"] == 1
