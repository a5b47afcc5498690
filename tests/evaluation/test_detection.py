"""Telling unknown photos from known ones."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from binsight.evaluation.unknown import detection_areas, miss_rate_at


def _area(known, unknown):
    score = np.array([*known, *unknown], float)
    return detection_areas(np.ones((1, len(score))), score, len(known))[0]


def test_pairs_by_hand():
    """Of 2 x 2 pairs the unknown one is larger in 2, equal in 1: 2.5 of 4."""
    assert _area([1, 3], [2, 3]) == 2.5 / 4


def test_perfect_and_reversed():
    """All larger is 1, all smaller 0, all equal one half."""
    assert (_area([1, 2], [3, 4]), _area([3, 4], [1, 2]), _area([1, 1], [1, 1])) == (1, 0, 0.5)


def test_not_a_number_is_the_strangest():
    """It lies above everything else, and equals itself."""
    assert _area([1, 2], [np.nan, 0]) == 0.5
    assert _area([np.nan], [np.nan]) == 0.5


def test_random_scores_agree_with_scikit_learn():
    """The same number as the reference, with ties."""
    generator = np.random.default_rng(0)
    known, unknown = generator.integers(0, 20, 80), generator.integers(5, 25, 50)
    expected = roc_auc_score([0] * 80 + [1] * 50, [*known, *unknown])
    assert _area(known, unknown) == pytest.approx(expected)


def test_weights_repeat_photos(monkeypatch):
    """A photo that counts twice is there twice; several resamples are worked on in parts."""
    monkeypatch.setattr("binsight.evaluation.unknown._CELLS_AT_ONCE", 8)
    score = np.array([1.0, 3.0, 2.0, 3.0])
    weights = np.array([[2.0, 0, 1, 1], [1, 1, 0, 2], [1, 1, 1, 1]])
    expected = [_area([1, 1], [2, 3]), _area([1, 3], [3, 3]), _area([1, 3], [2, 3])]
    assert detection_areas(weights, score, 2) == pytest.approx(expected)


def test_miss_rate_is_the_share_below_the_line():
    """95 % of 20 known photos lie at 19 or below; of four unknown ones one does."""
    score = np.array([*range(1, 21), 5, 25, 30, 40], float)
    assert miss_rate_at(score, 20) == 0.25
