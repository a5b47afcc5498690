"""Where the belt is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.line.belt import Belt
from binsight.line.records import EncoderReading, encoder_difference
from binsight.line.settings import BeltSettings

ENCODER = BeltSettings(speed_mm_s=400, encoder="mqtt", counts_per_mm=10)


def test_without_an_encoder_it_runs_at_its_set_speed() -> None:
    """400 mm/s for 2.5 s are 1,000 mm; there are no counts."""
    belt = Belt(BeltSettings(speed_mm_s=400), started_s=10)
    assert (belt.position_mm(12.5), belt.speed_mm_s(), belt.counts(12.5)) == (1000, 400, None)


def test_readings_for_a_belt_without_an_encoder_are_ignored() -> None:
    """Whoever sends them cannot stop the line."""
    belt = Belt(BeltSettings(speed_mm_s=250), started_s=10)
    for second in (11.0, 12.0):
        belt.on_reading(EncoderReading(5000, second))
    assert belt.position_mm(12.0) == 500
    assert belt.counts(12.0) is None


def test_between_and_after_readings_it_runs_on_evenly() -> None:
    """4,000 counts a second at 10 counts/mm are 400 mm/s."""
    belt = Belt(ENCODER)
    for step in range(3):
        belt.on_reading(EncoderReading(1000 + 400 * step, 5 + 0.1 * step))
    assert belt.counts(5.05) == 1200
    assert belt.counts(5.3) == 2200
    assert belt.speed_mm_s() == pytest.approx(400)


def test_an_encoder_that_stands_repeats_itself_one_that_is_away_does_not() -> None:
    """A stopped belt has no speed; a lost link does not stop the belt, it only makes its position a guess."""
    belt = Belt(ENCODER)
    belt.on_reading(EncoderReading(0, 5.0))
    belt.on_reading(EncoderReading(400, 5.1))
    assert belt.is_measured(5.5)
    assert not belt.is_measured(5.7)
    assert belt.position_mm(7.1) - belt.position_mm(5.0) == pytest.approx(840)
    for step in range(20):
        belt.on_reading(EncoderReading(8400, 7.1 + 0.05 * step))
    assert (belt.speed_mm_s(), belt.counts(9.0)) == (0, 8400)


def test_readings_out_of_order_are_ignored() -> None:
    """An old message, delivered late, does not move the belt back."""
    belt = Belt(ENCODER)
    belt.on_reading(EncoderReading(400, 5.1))
    belt.on_reading(EncoderReading(0, 5.0))
    assert belt.counts(5.1) == 400


def test_an_encoder_that_was_set_anew_moves_nothing() -> None:
    """After a restart of the PLC it counts from 0: the belt is where it was, and goes on from there."""
    belt = Belt(ENCODER)
    belt.on_reading(EncoderReading(5_000_000, 5.0))
    belt.on_reading(EncoderReading(0, 5.1))
    belt.on_reading(EncoderReading(400, 5.2))
    assert belt.resets == 1
    assert belt.position_mm(5.2) - belt.position_mm(5.0) == pytest.approx(40)
    assert belt.counts(5.2) == 400


def test_the_first_reading_is_no_jump() -> None:
    """Until it comes the belt is taken to run at its set speed; from there it goes on, wherever the counter stands."""
    belt = Belt(ENCODER, started_s=5.0)
    assert not belt.is_known
    before = belt.position_mm(6.0)
    assert before == pytest.approx(ENCODER.speed_mm_s)
    belt.on_reading(EncoderReading(4_000_000_000, 6.0))
    assert belt.is_known
    assert belt.position_mm(6.0) == pytest.approx(before)
    belt.on_reading(EncoderReading(4_000_000_400, 6.1))
    assert belt.position_mm(6.1) == pytest.approx(before + 40)
    assert belt.counts_at_mm(before) == 4_000_000_000
    assert belt.counts_at_mm(before + 40) == 4_000_000_400


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 1900), min_size=1, max_size=50))
def test_a_wrap_is_no_jump(start: int, steps: list[int]) -> None:
    """The distance is the sum of the steps, wherever the counter stood."""
    belt = Belt(ENCODER)
    counts, at_s = start, 0.0
    belt.on_reading(EncoderReading(counts, at_s))
    for step in steps:
        counts, at_s = (counts + step) % 2**32, at_s + 0.01
        belt.on_reading(EncoderReading(counts, at_s))
    assert belt.position_mm(at_s) == pytest.approx(sum(steps) / 10)
    assert belt.counts(at_s) == counts


@given(st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1))
def test_differences_are_modulo(counts: int, step: int) -> None:
    """Whatever the step, it is found again."""
    assert encoder_difference((counts + step) % 2**32, counts) == step
