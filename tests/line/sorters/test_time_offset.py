"""Another machine's milliseconds on our clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.line.sorters.time_offset import TimeOffset


@given(st.lists(st.floats(0, 0.2), min_size=2, max_size=100))
def test_jitter_does_not_move_readings_about(delays: list[float]) -> None:
    """Stamps 20 ms apart come out 20 ms apart, once the fastest message has come, whatever the delays."""
    offset = TimeOffset()
    delays[0] = 0.0
    found = [offset.to_ours(20.0 * i, 50 + 0.02 * i + delay) for i, delay in enumerate(delays)]
    assert found == pytest.approx([50 + 0.02 * i for i in range(len(delays))])


def test_a_counter_that_wraps_is_no_jump() -> None:
    """2^32 ms are 49.7 days."""
    offset = TimeOffset()
    before = offset.to_ours(2**32 - 10, 100.0)
    assert offset.to_ours(10, 100.02) - before == pytest.approx(0.02)


def test_a_clock_set_anew_is_learnt_anew() -> None:
    """After a restart of the PLC its milliseconds begin at 0."""
    offset = TimeOffset()
    offset.to_ours(1_000_000, 100.0)
    assert offset.to_ours(5, 101.0) == pytest.approx(101.0)
