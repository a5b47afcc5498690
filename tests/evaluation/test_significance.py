"""Paired tests against numbers worked out by hand."""

import numpy as np
import pytest

from binsight.evaluation.significance import adjust_holm, mcnemar_exact


def _pair(only_first, only_second, both=3):
    first = np.array([True] * only_first + [False] * only_second + [True] * both)
    second = np.array([False] * only_first + [True] * only_second + [True] * both)
    return mcnemar_exact(first, second)


def test_one_against_six_has_sixteen_of_128_throws():
    """Of 2^7 throws, 1 + 7 have at most one head; twice that is 16 / 128."""
    found = _pair(1, 6)
    assert (found.only_first, found.only_second) == (1, 6)
    assert found.p_value == 16 / 128


def test_equal_counts_are_certain_to_be_chance():
    """3 against 3 gives more than 1 when doubled, so 1."""
    assert _pair(3, 3).p_value == 1


def test_no_difference_at_all_is_chance():
    """Nothing to compare: p is 1."""
    assert _pair(0, 0).p_value == 1


def test_the_order_of_the_models_does_not_matter():
    """Two-sided: the same p whichever comes first."""
    assert _pair(2, 9).p_value == _pair(9, 2).p_value


def test_many_differences_do_not_overflow():
    """Thousands of throws, whose number no float can hold."""
    assert 0 < _pair(2000, 2200).p_value < 0.01


def test_copies_count_once_for_who_has_more_of_them_right():
    """Three copies won by the first are one throw; a photo with a copy for each is none."""
    first = np.array([True, True, True, True, False])
    second = np.array([False, False, False, False, True])
    found = mcnemar_exact(first, second, np.array([0, 0, 0, 1, 1]))
    assert (found.only_first, found.only_second, found.p_value) == (1, 0, 1)


def test_holm_multiplies_the_smallest_by_their_number_and_keeps_the_order():
    """0.01 * 3, then 0.02 * 2, then 0.03 * 1 raised to what came before."""
    assert adjust_holm([0.03, 0.01, 0.02]) == pytest.approx((0.04, 0.03, 0.04))


def test_holm_stops_at_one():
    """No p-value is above 1."""
    assert adjust_holm([0.6, 0.9]) == (1.0, 1.0)
    assert adjust_holm([]) == ()
