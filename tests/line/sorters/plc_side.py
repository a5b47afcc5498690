"""The PLC's side of the Modbus registers: what it reads of a command, and how it writes its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from binsight.line.sorters.register_map import Answers, split_words

__all__ = ["Slot", "decode_slot", "encode_answers"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A command as it stands in the ring, read back."""

    seq: int
    piece: int
    lane: int
    target: int
    fire_in_ms: int
    dwell_ms: int
    category: int
    confidence: float
    reason: int


def decode_slot(registers: Sequence[int]) -> Slot | None:
    """What a reader makes of 16 registers; None where the slot is empty or was read while it was written."""
    if registers[0] != registers[15] or registers[3] == 0:
        return None
    return Slot(
        seq=registers[0],
        piece=registers[1] << 16 | registers[2],
        lane=registers[3],
        target=registers[4] << 16 | registers[5],
        fire_in_ms=registers[6],
        dwell_ms=registers[7],
        category=registers[8],
        confidence=registers[9] / 10_000,
        reason=registers[10],
    )


def encode_answers(answers: Answers) -> tuple[int, ...]:
    """The PLC's 14 holding registers."""
    return (
        answers.heartbeat,
        answers.ack_seq,
        answers.ack_result,
        *split_words(answers.encoder),
        *split_words(answers.plc_ms),
        answers.control,
        answers.request,
        answers.confirm_seq,
        answers.confirm_result,
        answers.trigger,
        *split_words(answers.trigger_encoder),
    )
