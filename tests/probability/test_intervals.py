"""Intervals and exact bounds of shares, against published values and SciPy."""

import numpy as np
import pytest
from scipy.stats import beta, binom

from binsight.probability.intervals import binomial_cdf, clopper_pearson_upper, share_interval, wilson_interval


def test_score_interval_has_the_published_values():
    """For 81 of 263, Newcombe 1998 (table I, method 3) gives 0.2553 to 0.3662; for 0 of 20, 0 to 0.1611."""
    found = wilson_interval(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    found = wilson_interval(0, 20)
    assert (found.low, found.high) == pytest.approx((0, 0.1611), abs=5e-5)


def test_score_interval_of_nothing_is_undefined():
    """Without photos there is no share."""
    assert np.isnan(wilson_interval(0, 0).value)


def test_twelve_of_twelve_are_not_certain():
    """Wilson: n / (n + z^2) = 12 / 15.84 = 0.757."""
    assert share_interval(np.ones(12, bool)).low == pytest.approx(0.7575, abs=5e-5)
    assert share_interval(np.ones(12, bool)).high == 1


def test_copies_count_once_where_all_are_right():
    """Four photos, each there three times: what four photos say, 4 / (4 + z^2)."""
    groups = np.repeat(np.arange(4), 3)
    assert share_interval(np.ones(12, bool), groups) == wilson_interval(4, 4)


def test_copies_that_agree_count_once():
    """Eight of ten photos right, each there five times: the interval of 8 of 10, not of 40 of 50."""
    groups = np.repeat(np.arange(10), 5)
    found = share_interval(np.repeat(np.arange(10) < 8, 5), groups)
    alone = wilson_interval(8, 10)
    assert (found.value, found.low, found.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_groups_of_one_change_nothing():
    """Every photo by itself is the plain interval."""
    hits = np.arange(30) % 4 > 0
    assert share_interval(hits, np.arange(30)) == share_interval(hits)


def test_share_of_nothing_is_undefined():
    """No photos, with or without groups."""
    assert np.isnan(share_interval(np.zeros(0, bool), np.zeros(0, int)).low)


def test_binomial_by_hand():
    """Four throws of 1/2: at most one success in (1 + 4) of 16."""
    assert binomial_cdf(1, 4, 0.5) == pytest.approx(5 / 16)
    assert (binomial_cdf(4, 4, 0.5), binomial_cdf(0, 4, 0.0), binomial_cdf(2, 4, 1.0)) == (1, 1, 0)


@pytest.mark.parametrize(
    ("count", "total", "p"), [(3, 752, 0.007), (0, 427, 0.007), (900, 1000, 0.9), (5, 100000, 1e-4)]
)
def test_binomial_is_that_of_scipy(count, total, p):
    """Summed exactly, also where single terms are tiny."""
    assert binomial_cdf(count, total, p) == pytest.approx(binom.cdf(count, total, p), rel=1e-9)


def test_upper_bound_without_a_mistake_by_hand():
    """0 of 20: 1 - 0.05^(1/20) = 0.1391. The rule of three, 3 / 427, is where 0.7 % begins to be shown."""
    assert clopper_pearson_upper(0, 20) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert clopper_pearson_upper(0, 427) < 0.007 < clopper_pearson_upper(0, 426)


@pytest.mark.parametrize(
    ("count", "total", "confidence"), [(1, 677, 0.95), (2, 899, 0.95), (30, 60, 0.9), (59, 60, 0.5)]
)
def test_upper_bound_is_the_quantile_of_beta(count, total, confidence):
    """The closed form of Clopper and Pearson's bound, by SciPy."""
    expected = beta.ppf(confidence, count + 1, total - count)
    assert clopper_pearson_upper(count, total, confidence=confidence) == pytest.approx(expected, rel=1e-9)


def test_upper_bound_at_the_ends():
    """All wrong, or nothing seen: nothing is excluded."""
    assert clopper_pearson_upper(5, 5) == clopper_pearson_upper(0, 0) == 1
