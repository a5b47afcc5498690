"""From a decided piece to its end: lane, deadline, command, answer, confirmation.

A piece ends exactly once. Answers that come after the end are noted in the piece's row and change nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from binsight.line.belt import Belt
from binsight.line.budget import seconds_to_fire
from binsight.line.config import LineConfig
from binsight.line.ports import Clock, Ledger, Sorter
from binsight.line.records import (
    ENDS,
    Ack,
    AckResult,
    Command,
    Confirm,
    ConfirmResult,
    EndReason,
    Piece,
    Status,
    encoder_difference,
)
from binsight.line.settings import Lane
from binsight.line.vote import VoteReason

__all__ = ["Dispatcher"]

_FAR_S = 3600.0  # a belt that stands fires some time
_REMEMBERED = 2_000  # ended pieces whose late answers are still noted


@dataclass(slots=True)
class _Outstanding:
    """A piece whose end is not known yet."""

    piece: Piece
    command: Command
    captured_s: float
    sent_s: float | None = None
    due_s: float | None = None  # when it should have been fired; None as long as the belt has not come so far


class Dispatcher:
    """Commands pieces and follows them to their ends. One thread calls it.

    Args:
        ledger: is written before a command leaves.
        post: hands a call over to the thread that calls this object; the ledger's writer sends, and answers this way.
        on_change: told of every new state of a piece.
    """

    def __init__(
        self,
        config: LineConfig,
        *,
        clock: Clock,
        belt: Belt,
        sorter: Sorter,
        ledger: Ledger,
        post: Callable[[Callable[[], None]], None],
        on_change: Callable[[Piece], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._belt = belt
        self._sorter = sorter
        self._ledger = ledger
        self._post = post
        self._on_change = on_change
        self._open: dict[int, _Outstanding] = {}
        self._ended: dict[int, Piece] = {}
        self.ends: Counter[Status] = Counter()
        self.ack_rtt_ms: float | None = None
        self.stray_answers = 0

    @property
    def outstanding(self) -> int:
        """Pieces that were decided and have no end yet."""
        return len(self._open)

    def command(self, piece: Piece, lane: Lane, *, crossed_mm: float, captured_s: float) -> None:
        """Command a decided piece to a lane.

        Args:
            piece: with category, confidence and, where there is an encoder, the counts at which it crossed.
            lane: where it goes.
            crossed_mm: the belt's position when the piece's centre crossed the trigger line (`Belt.position_mm`).
            captured_s: when the frame was taken that brought the decision, for `latency_ms`.
        """
        if self._belt.has_encoder and piece.encoder is None:  # never heard: nobody knows when to fire
            self.end(piece, "dropped", "no_encoder")
            return
        command = self._command_for(piece, lane, crossed_mm)
        if self._clock.now() > command.deadline_s:
            self.end(piece, "late", "deadline")
            return
        piece = self._changed(
            piece, status="commanded", lane=lane.number, target=command.target, commanded_at=self._clock.utc()
        )
        self._open[piece.seq] = _Outstanding(piece, command, captured_s)
        self._ledger.put(piece, after=lambda written: self._send(command, written=written))

    def end(
        self,
        piece: Piece,
        status: Status,
        reason: EndReason | VoteReason | AckResult | ConfirmResult | None,
        **values: Any,
    ) -> None:
        """Give a piece its end; what did not reach a lane stays on the belt, in lane 0."""
        lane = piece.lane if status in {"confirmed", "acknowledged", "unknown"} else 0
        piece = self._changed(piece, status=status, reason=reason, lane=lane, **values)
        self._open.pop(piece.seq, None)
        self._ended[piece.seq] = piece
        if len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self.ends[status] += 1
        self._ledger.put(piece)

    def on_ack(self, ack: Ack) -> None:
        """The sorter answered."""
        found = self._open.get(ack.seq)
        if found is None or found.piece.ack_result is not None:
            self._note_late(ack.seq, acknowledged_at=self._clock.utc(), ack_result=ack.result)
            return
        if found.sent_s is None:
            found.sent_s = ack.at_s  # the answer overtook the word that the command had left
        self.ack_rtt_ms = 1000 * (ack.at_s - found.sent_s)
        answered: dict[str, Any] = {"acknowledged_at": self._clock.utc(), "ack_result": ack.result}
        if ack.result != "accepted":
            self.end(found.piece, "refused", ack.result, **answered)
        elif not self._sorter.confirms:
            self.end(found.piece, "acknowledged", None, **answered)
        else:
            found.piece = self._changed(found.piece, status="acknowledged", **answered)
            self._ledger.put(found.piece)

    def on_confirm(self, confirm: Confirm) -> None:
        """The sorter says what became of a command; this also stands for an acknowledgement that was lost."""
        found = self._open.get(confirm.seq)
        if found is None:
            self._note_late(confirm.seq, confirmed_at=self._clock.utc(), confirm_result=confirm.result)
            return
        reason = None if confirm.result == "ejected" else confirm.result
        values = {"confirmed_at": self._clock.utc(), "confirm_result": confirm.result}
        self.end(found.piece, "confirmed", reason, **values)

    def tick(self) -> None:
        """End what waited for too long."""
        now = self._clock.now()
        counts = self._belt.counts(now)
        for waiting in list(self._open.values()):
            if waiting.sent_s is None:
                continue
            if waiting.piece.ack_result is None and now - waiting.sent_s > self._config.sorter.ack_timeout_ms / 1000:
                self.end(waiting.piece, "unknown", "no_answer")
                continue
            if waiting.due_s is None:
                waiting.due_s = _due(waiting.command, counts, now)
            if waiting.due_s is not None and now - waiting.due_s > self._config.sorter.confirm_timeout_ms / 1000:
                self.end(waiting.piece, "unknown", "no_confirmation")

    def stop(self) -> None:
        """The line ends: what is not known by now will not be known."""
        for waiting in list(self._open.values()):
            self.end(waiting.piece, "unknown", "stopped")

    def _command_for(self, piece: Piece, lane: Lane, crossed_mm: float) -> Command:
        now, config = self._clock.now(), self._config
        travelled_mm = self._belt.position_mm(now) - crossed_mm
        to_fire_s = seconds_to_fire(lane, speed_mm_s=self._belt.speed_mm_s(), travelled_mm=travelled_mm)
        fire_at_s = now + min(to_fire_s, _FAR_S)
        target = None
        if piece.encoder is not None:
            target = self._belt.target(piece.encoder, lane.distance_mm, lane.lead_ms)
        return Command(
            id=piece.id,
            seq=piece.seq,
            lane=lane.number,
            target=target,
            fire_at_s=fire_at_s,
            deadline_s=fire_at_s - (config.sorter.scan_ms + config.sorter.link_p99_ms) / 1000,
            dwell_ms=lane.dwell_ms,
            category=piece.category or "",
            confidence=piece.confidence or 0.0,
        )

    def _send(self, command: Command, *, written: bool) -> None:
        # On the ledger's thread. What is not on disk must not leave: nobody would know of it after a crash.
        now = self._clock.now()
        if not written:
            outcome: tuple[Status, EndReason] | None = ("dropped", "ledger")
        elif now > command.deadline_s:
            outcome = ("late", "deadline")
        else:
            outcome = None if self._sorter.send(command) else ("dropped", "no_link")
        self._post(lambda: self._sent(command.seq, now, outcome))

    def _sent(self, seq: int, at_s: float, outcome: tuple[Status, EndReason] | None) -> None:
        found = self._open.get(seq)
        if found is None:
            return
        if outcome is not None:
            self.end(found.piece, *outcome, commanded_at=None, target=None)
        else:
            found.sent_s = at_s
            # Written with the answer, or with its absence.
            found.piece = replace(found.piece, latency_ms=1000 * (at_s - found.captured_s))

    def _note_late(self, seq: int, **values: Any) -> None:
        piece = self._ended.get(seq)
        if piece is None or piece.commanded_at is None:
            self.stray_answers += 1
            return
        unknown = {name: value for name, value in values.items() if getattr(piece, name) is None}
        if unknown:
            self._ended[seq] = piece = replace(piece, **unknown)
            self._ledger.put(piece)

    def _changed(self, piece: Piece, **values: Any) -> Piece:
        if piece.status in ENDS:
            raise AssertionError(f"piece {piece.seq} has its end already: {piece.status}")
        piece = replace(piece, **values)
        self._on_change(piece)
        return piece


def _due(command: Command, counts: int | None, now: float) -> float | None:
    """When the ejector should have fired: by the belt where it is measured, else by the clock."""
    if command.target is None or counts is None:
        return command.fire_at_s
    return now if encoder_difference(counts, command.target) >= 0 else None
