"""The Modbus registers: what stands where, and how. Pure functions; words and codes are described in docs/line.md.

A register holds 16 bits. Numbers of 32 bits take two registers, the high word first.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from binsight.line.records import ENCODER_RANGE, Command
from binsight.line.sorters.published import Published

__all__ = [
    "EMPTY_SLOT",
    "FAULT_BITS",
    "HOLDING_SIZE",
    "INPUT_SIZE",
    "LANES_AT",
    "LANES_SIZE",
    "MAP_VERSION",
    "RING_AT",
    "RING_SLOTS",
    "SEQ_RANGE",
    "SLOT_SIZE",
    "STATUS_AT_CLIENT",
    "Answers",
    "decode_answers",
    "encode_lanes",
    "encode_slot",
    "encode_status",
    "full_seq",
    "slot_address",
    "split_words",
]

MAP_VERSION = 1
SEQ_RANGE = 2**16  # a sequence number is told modulo this
LANES_AT, LANES_SIZE = 28, 72  # lanes 1 to 9, eight registers each: lane k at 20 + 8k
RING_AT, RING_SLOTS, SLOT_SIZE = 100, 8, 16
INPUT_SIZE = RING_AT + RING_SLOTS * SLOT_SIZE
HOLDING_SIZE = 14
STATUS_AT_CLIENT = 240  # in a PLC's holding registers, 0 to 13 are its own
EMPTY_SLOT = (0,) * SLOT_SIZE  # lane 0: nothing to do

# Alarms by their bit in the fault word; a purity alarm of any lane is `purity`, what is not named here is bit 15.
FAULT_BITS = (
    "camera_absent",
    "camera_stalled",
    "camera_frozen",
    "camera_dark",
    "camera_blurred",
    "camera_unstable",
    "no_empty_belt",
    "link",
    "ledger",
    "late",
    "review_share",
    "purity",
    "drift",
    "camera_strange",
    "camera_new",
)
_OTHER_FAULT_BIT = 15
_ANSWERS = struct.Struct(">3H2I5HI")  # the fields of `Answers`, in their order


@dataclass(frozen=True, slots=True)
class Answers:
    """What the PLC writes.

    Attributes:
        heartbeat: changes at least once per `heartbeat_s`.
        ack_seq, ack_result: the last answer; result 0: none.
        encoder, plc_ms: where the belt stood, and when by the PLC's own clock; both wrap at 2³².
        control, request: a PackML command, and a number that changes to have it obeyed.
        confirm_seq, confirm_result: the last confirmation; result 0: none.
        trigger, trigger_encoder: a number that changes with every piece at the trigger line, and the counts there.
    """

    heartbeat: int = 0
    ack_seq: int = 0
    ack_result: int = 0
    encoder: int = 0
    plc_ms: int = 0
    control: int = 0
    request: int = 0
    confirm_seq: int = 0
    confirm_result: int = 0
    trigger: int = 0
    trigger_encoder: int = 0


def slot_address(seq: int) -> int:
    """Where the command with this sequence number stands, whole or modulo 2¹⁶."""
    return RING_AT + SLOT_SIZE * (seq % RING_SLOTS)


def full_seq(short: int, newest: int) -> int | None:
    """The sequence number that was told as `short`: the last one up to `newest`, None where there is none.

    Args:
        short: in [0, 2¹⁶).
        newest: the highest number told so far.
    """
    seq = newest - (newest - short) % SEQ_RANGE
    return seq if seq >= 1 else None


def encode_slot(command: Command, *, now: float, category: int) -> tuple[int, ...]:
    """The 16 registers of a command, as true at `now`.

    Without an encoder the target is 0; times and numbers too large for their registers are the largest that fit.

    Args:
        command: lane, target and times of it are written.
        now: the time the milliseconds until firing count from.
        category: its number; 0 where it has none.
    """
    seq = command.seq % SEQ_RANGE
    return (
        seq,
        *split_words(command.seq),
        command.lane,
        *split_words(command.target or 0),
        _limited(1000 * (command.fire_at_s - now)),
        _limited(command.dwell_ms),
        category,
        _limited(10_000 * command.confidence),
        0,  # a piece with a reason against it is never commanded
        *(0,) * 4,
        seq,
    )


def encode_status(published: Published) -> tuple[int, ...]:
    """The ten registers of the line's state."""
    return (
        MAP_VERSION,
        published.heartbeat % SEQ_RANGE,
        published.state,
        published.mode,
        _fault_bits(published.faults),
        *split_words(published.processed),
        *split_words(published.to_fail_safe),
        _limited(published.frame_age_ms),
    )


def encode_lanes(published: Published) -> tuple[int, ...]:
    """The registers of lanes 1 to 9; those of a lane without an audit say 0."""
    registers: list[int] = []
    for number in range(1, LANES_SIZE // 8 + 1):
        lane = published.lanes.get(number)
        if lane is None:
            registers += (0,) * 8
            continue
        shares = (_limited(10_000 * share) for share in (lane.purity, lane.low, lane.high))
        registers += (*split_words(lane.pieces), *shares, *split_words(lane.audited), 0)
    return tuple(registers)


def decode_answers(registers: Sequence[int]) -> Answers:
    """What a PLC's 14 holding registers say."""
    return Answers(*_ANSWERS.unpack(struct.pack(f">{HOLDING_SIZE}H", *registers[:HOLDING_SIZE])))


def _fault_bits(faults: frozenset[str]) -> int:
    bits = 0
    for code in faults:
        word = "purity" if code.startswith("purity") else code
        bits |= 1 << (FAULT_BITS.index(word) if word in FAULT_BITS else _OTHER_FAULT_BIT)
    return bits


def split_words(number: int) -> tuple[int, int]:
    """A number of 32 bits in two registers."""
    number %= ENCODER_RANGE
    return number >> 16, number & 0xFFFF


def _limited(value: float) -> int:
    return max(0, min(round(value), 0xFFFF))
