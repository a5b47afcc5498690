"""Which photos are kept: the probabilities, and draws that keep to them."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from binsight.loop.sampling import (
    WEEK_S,
    Chances,
    Stratum,
    chance_of_any,
    draw,
    farthest_first,
    random_chance,
    review_chance,
)

COMMON, RARE = Stratum("accept", "red"), Stratum("accept", "blue")
KEY = b"k" * 32


def test_by_hand():
    """9,000 and 1,000 photos a week, 100 to keep: shares as the roots, 75 and 25."""
    seen = {COMMON: 9000, RARE: 1000}
    assert random_chance(COMMON, seen, 100, WEEK_S) == pytest.approx(75 / 9000)
    assert random_chance(RARE, seen, 100, WEEK_S) == pytest.approx(25 / 1000)


def test_each_stratum_has_its_least():
    """5 a week, or all that there are; nothing where nothing is to be kept."""
    seen = {COMMON: 10**6, RARE: 20}
    assert random_chance(RARE, seen, 100, WEEK_S) == 5 / 20
    assert random_chance(RARE, {COMMON: 10**6, RARE: 3}, 100, WEEK_S) == 1
    assert random_chance(RARE, seen, 0, WEEK_S) == 0
    assert random_chance(RARE, {}, 100, 0) == pytest.approx(1)


def test_a_record_of_a_day_is_taken_as_a_seventh_of_a_week():
    """And one of an hour as a day."""
    seen = {COMMON: 7000}
    assert random_chance(COMMON, seen, 100, WEEK_S / 7) == pytest.approx(100 / 49_000)
    assert random_chance(COMMON, seen, 100, 3600) == random_chance(COMMON, seen, 100, WEEK_S / 7)


def test_all_reviews_up_to_the_quota_and_fewer_beyond():
    """Never more than certainty."""
    assert [review_chance(n, 100) for n in (1, 100, 200)] == [1, 1, 0.5]
    assert review_chance(1, 0) == 0


def test_draws_keep_to_the_probability_and_do_not_depend_on_each_other():
    """The same photo is drawn again; for another purpose, or with another key, anew."""
    photos = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(20_000)]
    drawn = [draw(KEY, "random", p, 0.1) for p in photos]
    other = [draw(KEY, "review", p, 0.5) for p in photos]
    assert drawn == [draw(KEY, "random", p, 0.1) for p in photos]
    assert abs(sum(drawn) / 20_000 - 0.1) < 4 * math.sqrt(0.09 / 20_000)
    both = sum(a and b for a, b in zip(drawn, other, strict=True)) / 20_000
    assert abs(both - 0.05) < 4 * math.sqrt(0.05 / 20_000)
    assert sum(a or b for a, b in zip(drawn, other, strict=True)) / 20_000 == pytest.approx(
        chance_of_any(Chances(0.1, 0.5)), abs=0.02
    )
    assert drawn != [draw(b"x" * 32, "random", p, 0.1) for p in photos]
    assert all(draw(KEY, "random", p, 1.0) and not draw(KEY, "random", p, 0.0) for p in photos[:100])


def test_farthest_first():
    """On a line: the middle, then the ends; near what is covered last, and copies of it never."""
    points = np.array([[0.0], [1.0], [5.2], [9.0], [10.0]])
    assert farthest_first(points, np.zeros((0, 1)), 3) == [2, 0, 4]
    assert farthest_first(points, np.array([[0.0]]), 2) == [4, 2]
    assert sorted(farthest_first(points, np.array([[0.0], [10.0]]), 9)) == [1, 2, 3]
    assert farthest_first(np.zeros((0, 1)), points, 3) == []


def test_the_choice_covers_within_twice_the_best():
    """Four clusters and four choices: one of each."""
    rng = np.random.default_rng(0)
    points = np.concatenate([centre + rng.normal(0, 0.1, (25, 3)) for centre in 5 * np.eye(4, 3)])
    assert {i // 25 for i in farthest_first(points, np.zeros((0, 3)), 4)} == {0, 1, 2, 3}
