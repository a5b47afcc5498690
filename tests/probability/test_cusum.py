"""The cumulative sum that notices a share that has doubled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from binsight.probability.cusum import BernoulliCusum, bernoulli_weights, cusum_threshold
from binsight.probability.intervals import clopper_pearson_upper


def feed(cusum: BernoulliCusum, share: float, count: int, seed: int) -> int | None:
    """Add items of a share; return after how many it had drifted."""
    for number, hit in enumerate(np.random.default_rng(seed).random(count) < share, start=1):
        if cusum.add(bool(hit)):
            return number
    return None


def learnt(share: float = 0.1, seed: int = 1) -> BernoulliCusum:
    """Return one that knows what is usual."""
    cusum = BernoulliCusum()
    assert feed(cusum, share, 1000, seed) is None
    return cusum


def test_weights() -> None:
    """By hand: a hit that is twice as likely adds ln 2, a miss ln(0.8 / 0.9)."""
    assert bernoulli_weights(0.1, 0.2) == pytest.approx((math.log(2), math.log(0.8 / 0.9)))


def test_the_base_is_a_bound() -> None:
    """What is usual is the exact upper bound of the first thousand; nothing is said before."""
    cusum = BernoulliCusum(baseline=10)
    for hit in [True] * 2 + [False] * 8:
        assert not cusum.add(hit)
    assert cusum.p0 == pytest.approx(clopper_pearson_upper(2, 10, confidence=0.9))
    assert cusum.sum == 0


def test_the_sum_by_hand() -> None:
    """Hits add, misses take away, never below nothing."""
    cusum = BernoulliCusum(baseline=10)
    for hit in [True] + [False] * 9:
        cusum.add(hit)
    assert cusum.p0 is not None
    hit, miss = bernoulli_weights(cusum.p0, 2 * cusum.p0)
    cusum.add(False)
    assert cusum.sum == 0
    for item in (True, True, False):
        cusum.add(item)
    assert cusum.sum == pytest.approx(2 * hit + miss)


def test_doubling_is_seen_and_passes() -> None:
    """A share that doubles is noticed after some hundred; when it falls back the alarm goes."""
    cusum = learnt()
    after = [feed(learnt(seed=seed), 0.2, 5000, seed + 100) for seed in range(20)]
    assert all(number is not None and number < 3000 for number in after)
    assert np.median([number for number in after if number is not None]) < 500
    assert feed(cusum, 0.3, 2000, 3) is not None
    feed_until_over = [cusum.add(False) for _ in range(400)]
    assert not feed_until_over[-1]


def average_run_length(share: float, p0: float, cells: int = 1200) -> float:
    """Items until the sum of a base `p0` reaches its threshold when the share is `share`: a Markov chain on a grid.

    References:
        Brook and Evans 1972, An approach to the probability distribution of CUSUM run length.
    """
    threshold = cusum_threshold(p0, 2 * p0, 176_000)
    sums = np.arange(cells) * threshold / cells
    stay = np.zeros((cells, cells))
    for step, chance in zip(bernoulli_weights(p0, 2 * p0), (share, 1 - share), strict=True):
        place = np.maximum(0.0, sums + step) / threshold * cells
        low, part = place.astype(int), place % 1  # shared out between two cells so that the mean is right
        for cell, weight in ((low, 1 - part), (low + 1, part)):
            inside = cell < cells
            np.add.at(stay, (np.flatnonzero(inside), cell[inside]), chance * weight[inside])
    return float(np.linalg.solve(np.eye(cells) - stay, np.ones(cells))[0])


@pytest.mark.parametrize("p0", [0.0023, 0.01, 0.04, 0.1133, 0.2171, 0.32, 0.45])
def test_false_alarms_are_rare_whatever_is_usual(p0: float) -> None:
    """At least 176,000 items lie between two, also where the share is as high as its bound."""
    assert average_run_length(p0, p0) >= 176_000


@pytest.mark.parametrize(("share", "most"), [(0.1, 320), (0.2, 120), (0.3, 70)])
def test_a_doubling_is_seen_soon(share: float, most: float) -> None:
    """Within some hundred, on average, for a base that was learnt from exactly this share."""
    p0 = clopper_pearson_upper(round(1000 * share), 1000, confidence=0.9)
    assert average_run_length(2 * share, p0) <= most


def test_no_alarm_while_all_is_as_usual() -> None:
    """Of 60 lines of 10,000 pieces hardly one has a false alarm."""
    after = [feed(learnt(seed=seed), 0.1, 10_000, seed + 200) for seed in range(60)]
    assert sum(number is not None for number in after) <= 2


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_extremes(share: float) -> None:
    """A share of nothing, and of all, can be a base."""
    cusum = BernoulliCusum(baseline=50)
    for _ in range(200):
        cusum.add(bool(share))
    assert cusum.p0 is not None
    assert 0 < cusum.p0 < 0.5
