"""What Modbus server and client share: the ring of commands, the line's totals, and what the PLC answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from binsight.line.config import LineConfig
from binsight.line.ports import Clock
from binsight.line.records import ACK_RESULTS, CONFIRM_RESULTS, Ack, Command, Confirm, EncoderReading
from binsight.line.sorters.register_map import RING_SLOTS, Answers, decode_answers, encode_slot, full_seq
from binsight.line.sorters.session import SessionSorter
from binsight.line.sorters.time_offset import TimeOffset

__all__ = ["PlcSorter"]


@dataclass(slots=True)
class _Told:
    """A command in the ring."""

    command: Command
    awaited_until_s: float  # for its answer, and its place in the ring
    answered: bool = False


class PlcSorter(SessionSorter):
    """The half of `ports.Sorter` that does not care who connects to whom.

    The link is up as long as the PLC's heartbeat changes. A command has its place in the ring until it is answered, or
    until nobody waits for an answer any more; while all that is taken, further commands are refused.
    """

    def __init__(self, name: str, config: LineConfig, *, clock: Clock) -> None:
        super().__init__(name, config, clock=clock, library="pymodbus")
        named = dict.fromkeys(category for lane in config.lanes for category in lane.categories)
        self._categories = {category: number for number, category in enumerate(named, start=1)}
        self._ring: dict[int, _Told] = {}
        self._answers = Answers()
        self._offset = TimeOffset()

    def send(self, command: Command) -> bool:
        """Put a command into the ring; False when there is no link, or its place is taken by one that waits."""
        place, now = command.seq % RING_SLOTS, self._clock.now()
        with self._lock:
            held = self._ring.get(place)
            if not self._up or (held is not None and not held.answered and now < held.awaited_until_s):
                self.dropped += 1
                return False
            until_s = min(command.deadline_s, now + self._config.sorter.ack_timeout_ms / 1000)
            self._ring[place] = _Told(command, until_s)
            self._newest = max(self._newest, command.seq)
        return True

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:  # noqa: ARG002
        """Keep what a PLC can read of it."""
        with self._lock:
            self._published.take(topic, payload)

    def _slot(self, command: Command, now: float) -> tuple[int, ...]:
        return encode_slot(command, now=now, category=self._categories.get(command.category, 0))

    def _awaits_answer(self) -> bool:
        now = self._clock.now()
        with self._lock:
            return any(not told.answered and now < told.awaited_until_s for told in self._ring.values())

    def _hear(self, registers: Sequence[int], *, baseline: bool = False, encoder_written: bool = True) -> None:
        """Take what the PLC's registers hold now.

        Args:
            registers: its 14 holding registers.
            baseline: what they hold was meant for an earlier moment; only the heartbeat counts.
            encoder_written: the counts are of now, even where the PLC tells no time.
        """
        now, answers = self._clock.now(), decode_answers(registers)
        before, self._answers = self._answers, answers
        if answers.heartbeat != before.heartbeat:
            self._heard_s = now
            self._set_link(up=True)
        if baseline or self._events is None:
            return
        self._hear_answers(before, answers, now)
        self._hear_belt(before, answers, now, encoder_written=encoder_written)
        if answers.request not in {0, before.request}:
            self._events.on_control(answers.control)

    def _hear_answers(self, before: Answers, answers: Answers, now: float) -> None:
        assert self._events is not None  # noqa: S101 - checked by the caller
        if _is_new(before.ack_seq, before.ack_result, answers.ack_seq, answers.ack_result):
            seq = full_seq(answers.ack_seq, self._newest)
            if seq is None or answers.ack_result > len(ACK_RESULTS):
                self.malformed += 1
            else:
                self._note_answered(seq)
                self._events.on_ack(Ack(seq, ACK_RESULTS[answers.ack_result - 1], now))
        if _is_new(before.confirm_seq, before.confirm_result, answers.confirm_seq, answers.confirm_result):
            seq = full_seq(answers.confirm_seq, self._newest)
            if seq is None or answers.confirm_result > len(CONFIRM_RESULTS):
                self.malformed += 1
            else:
                self._note_answered(seq)
                self._events.on_confirm(Confirm(seq, CONFIRM_RESULTS[answers.confirm_result - 1], now))

    def _hear_belt(self, before: Answers, answers: Answers, now: float, *, encoder_written: bool) -> None:
        assert self._events is not None  # noqa: S101 - checked by the caller
        measured = self._config.belt.encoder == "modbus"
        timed = answers.plc_ms != 0
        moved = (answers.encoder, answers.plc_ms) != (before.encoder, before.plc_ms)
        if measured and (moved if timed else encoder_written):
            at_s = self._offset.to_ours(answers.plc_ms, now) if timed else now
            self._events.on_encoder(EncoderReading(answers.encoder, at_s))
        if answers.trigger not in {0, before.trigger}:
            self._events.on_trigger(EncoderReading(answers.trigger_encoder, now) if measured else None)

    def _note_answered(self, seq: int) -> None:
        with self._lock:
            told = self._ring.get(seq % RING_SLOTS)
            if told is not None and told.command.seq == seq:
                told.answered = True

    def _set_link(self, *, up: bool) -> None:
        super()._set_link(up=up)
        if not up:
            with self._lock:
                self._ring.clear()  # what was not read by now must never be


def _is_new(before_seq: int, before_result: int, seq: int, result: int) -> bool:
    """Whether an answer is another one than before; the same one read again is not."""
    return result != 0 and (seq != before_seq or before_result == 0)
