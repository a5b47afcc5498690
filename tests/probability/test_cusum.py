"""The cumulative sum that notices a share that has doubled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from binsight.probability.cusum import BernoulliCusum, bernoulli_weights
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
    cusum = BernoulliCusum(baseline=10, threshold=3)
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


def test_no_alarm_while_all_is_as_usual() -> None:
    """There are at least 100,000 pieces to a false alarm."""
    after = [feed(learnt(seed=seed), 0.1, 10_000, seed + 200) for seed in range(60)]
    assert sum(number is not None for number in after) <= 6


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_extremes(share: float) -> None:
    """A share of nothing, and of all, can be a base."""
    cusum = BernoulliCusum(baseline=50)
    for _ in range(200):
        cusum.add(bool(share))
    assert cusum.p0 is not None
    assert 0 < cusum.p0 < 0.5
