"""What stands in which register."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.line.fakes import COMMAND
from tests.line.sorters.plc_side import decode_slot, encode_answers

from binsight.line.records import ACK_RESULTS, CONFIRM_RESULTS, encoder_difference
from binsight.line.sorters.published import LaneTotals, Published
from binsight.line.sorters.register_map import (
    EMPTY_SLOT,
    FAULT_BITS,
    INPUT_SIZE,
    LANES_AT,
    LANES_SIZE,
    RING_AT,
    SEQ_RANGE,
    Answers,
    decode_answers,
    encode_lanes,
    encode_slot,
    encode_status,
    full_seq,
    slot_address,
)

words = st.integers(0, 0xFFFF)
doubles = st.integers(0, 2**32 - 1)


def test_a_command_stands_where_the_contract_says() -> None:
    """By hand: 4711 = 0x1267, its slot is 7, 884201 = 0xD:0xFDE9, 412 ms to fire at 100 s."""
    assert slot_address(4711) == 100 + 16 * 7
    registers = encode_slot(COMMAND, now=100.0, category=2)
    assert registers == (4711, 0, 4711, 3, 0xD, 0x7DE9, 412, 40, 2, 9800, 0, 0, 0, 0, 0, 4711)


def test_the_state_stands_where_the_contract_says() -> None:
    """Map version, heartbeat, state, mode, fault bits, two numbers of 32 bits, the frame's age."""
    published = Published(
        heartbeat=65537,
        state=6,
        mode=1,
        faults=frozenset({"camera_absent", "purity_lane_3", "something_new"}),
        processed=0x12345,
        to_fail_safe=2,
        frame_age_ms=1e9,
    )
    assert encode_status(published) == (1, 1, 6, 1, 1 | 1 << 11 | 1 << 15, 1, 0x2345, 0, 2, 65535)


def test_a_lane_stands_where_the_contract_says() -> None:
    """Lane 3 at 44: pieces, purity, low and high in ten-thousandths, audited."""
    lanes = encode_lanes(Published(lanes={3: LaneTotals(70_000, 0.983, 0.962, 0.995, 260)}))
    assert lanes[44 - LANES_AT : 52 - LANES_AT] == (1, 4464, 9830, 9620, 9950, 0, 260, 0)
    assert sum(lanes) == sum(lanes[44 - LANES_AT : 52 - LANES_AT])
    assert LANES_AT + LANES_SIZE == RING_AT
    assert INPUT_SIZE == 228


def test_without_an_encoder_and_far_away() -> None:
    """No target is 0; a time that does not fit is the longest; one that is over is 0."""
    slot = decode_slot(encode_slot(replace(COMMAND, target=None, fire_at_s=4000.0), now=100.0, category=0))
    assert slot is not None
    assert (slot.target, slot.fire_in_ms) == (0, 65535)
    late = decode_slot(encode_slot(COMMAND, now=101.0, category=0))
    assert late is not None
    assert late.fire_in_ms == 0


def test_the_codes_are_those_of_the_docs() -> None:
    """Every number beside its word."""
    page = (Path(__file__).parents[3] / "docs" / "line.md").read_text(encoding="utf-8")
    tables = (dict(enumerate(FAULT_BITS[:11])), {12: FAULT_BITS[12]})
    for table in (*tables, *(dict(enumerate(words, start=1)) for words in (ACK_RESULTS, CONFIRM_RESULTS))):
        for number, word in table.items():
            assert f"{number} `{word}`" in page


@given(
    st.builds(Answers, words, words, words, doubles, doubles, words, words, words, words, words, doubles)
)  # fmt: skip
def test_answers_come_through_registers(answers: Answers) -> None:
    """Every one, high word first."""
    registers = encode_answers(answers)
    assert all(0 <= register <= 0xFFFF for register in registers)
    assert decode_answers(registers) == answers


@given(doubles, st.integers(-(2**31), 2**31 - 1))
def test_the_encoder_wraps_through_registers(counts: int, moved: int) -> None:
    """Whatever the belt moved, also over 2³², is the difference of what was read before and after."""
    later = (counts + moved) % 2**32
    before, after = (decode_answers(encode_answers(Answers(encoder=value))).encoder for value in (counts, later))
    assert encoder_difference(after, before) == moved
    slot = decode_slot(encode_slot(replace(COMMAND, target=later), now=100.0, category=0))
    assert slot is not None
    assert encoder_difference(slot.target, counts) == moved


@given(st.integers(1, 2**40), st.integers(0, SEQ_RANGE - 1))
def test_a_sequence_number_is_found_again(newest: int, age: int) -> None:
    """The last 65,536 numbers are told apart, also across a wrap; what was never told is none."""
    seq = newest - age
    assert full_seq(seq % SEQ_RANGE, newest) == (seq if seq >= 1 else None)
    assert slot_address(seq) == slot_address(seq % SEQ_RANGE)


@given(st.integers(1, 2**33), st.lists(st.integers(0, 40), max_size=60))
def test_a_reader_never_takes_a_torn_slot(first: int, steps: list[int]) -> None:
    """A writer that writes register by register, in order; a reader that reads the last first, at any speed.

    The second sequence number is written last and read first, so a slot that is accepted is one whole command.
    """
    commands = [
        replace(COMMAND, seq=first + 8 * turn, lane=1 + turn % 9, target=turn * 0x10001, dwell_ms=turn + 1)
        for turn in range(40)
    ]
    whole = {encode_slot(command, now=100.0, category=0) for command in commands}
    memory = list(EMPTY_SLOT)
    writes = ((at, value) for c in commands for at, value in enumerate(encode_slot(c, now=100.0, category=0)))
    read = [0] * 16
    for turn, step in enumerate(steps):
        for _ in range(step):
            at, value = next(writes, (0, memory[0]))
            memory[at] = value
        at = 15 - turn % 16
        read[at] = memory[at]
        if at == 0 and decode_slot(read) is not None:
            assert tuple(read) in whole


@pytest.mark.parametrize("changed", range(16))
def test_a_slot_that_is_half_another_is_refused(changed: int) -> None:
    """Half of it read before the write and half after, wherever the cut is."""
    old = encode_slot(COMMAND, now=100.0, category=0)
    new = encode_slot(replace(COMMAND, seq=4719, lane=4), now=100.0, category=0)
    for torn in (new[:changed] + old[changed:], old[:changed] + new[changed:]):
        assert (decode_slot(torn) is None) == (torn not in {old, new})
    assert decode_slot(EMPTY_SLOT) is None
