"""The simulated sorting equipment: it obeys, answers, fails on purpose, and keeps books of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from binsight.line.ports import SorterEvents
from binsight.line.records import Ack, AckResult, Command, Confirm, ConfirmResult
from binsight.line.settings import Lane

__all__ = ["Entry", "SimulatedSorter", "World"]

_WIRE_S = 0.001  # one way
_REACH_MM = 35.0  # an ejector hits pieces whose middle is this near


class World(Protocol):
    """What the equipment can feel of the belt, and the time it lives in."""

    def now(self) -> float:
        """Seconds."""

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Do something after a while."""

    def when_counts(self, target: int, call: Callable[[], None]) -> None:
        """Do something when the encoder has come to `target` (modulo 2³²)."""

    def counts_passed(self, target: int) -> bool:
        """Whether the encoder has come to `target` already."""

    def pieces_at(self, distance_mm: float, reach_mm: float) -> list[int]:
        """The pieces that really are `distance_mm` behind the trigger line now, by number, and still on the belt."""

    def take_off(self, piece: int) -> None:
        """A piece has left the belt."""


@dataclass(slots=True)
class Entry:
    """What the equipment knows of one sequence number.

    Attributes:
        lane: as commanded.
        received: how often the command came.
        answer: what it said, or meant to say.
        fired: how often the ejector opened for it.
        hit: the pieces that really went into the lane.
    """

    lane: int
    received: int = 0
    answer: AckResult | None = None
    fired: int = 0
    hit: list[int] = field(default_factory=list)


class SimulatedSorter:
    """Implements `ports.Sorter` in virtual time; `rng` draws refusals."""

    confirms = True

    def __init__(self, lanes: tuple[Lane, ...], *, world: World, rng: np.random.Generator) -> None:
        self._lanes = {lane.number: lane for lane in lanes}
        self._world, self._rng = world, rng
        self._events: SorterEvents | None = None
        self._life = 0  # restarts: what was planned in an earlier life is forgotten
        self.books: dict[int, Entry] = {}
        self.up = True
        self.refusing = 0.0
        self.silent = False
        self.answer_delay_s = 0.0

    def start(self, events: SorterEvents) -> None:
        """A line connects, perhaps not the first one."""
        self._events = events
        if self.up:
            events.on_link(up=True)

    def send(self, command: Command) -> bool:
        """The line's side: hand over to the network."""
        if not self.up:
            return False
        self._world.later(_WIRE_S, lambda: self._receive(command))
        return True

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:
        """Others would listen."""

    def close(self, *, wait_s: float = 1.0) -> None:  # noqa: ARG002
        """The line says goodbye, or is killed."""
        self._events = None

    def set_link(self, *, up: bool) -> None:
        """The network comes or goes."""
        self.up = up
        if self._events is not None:
            self._events.on_link(up=up)

    def restart(self) -> None:
        """Power off: all that it was told is forgotten."""
        self._life += 1

    def _receive(self, command: Command) -> None:
        if not self.up:
            return
        entry = self.books.setdefault(command.seq, Entry(command.lane))
        entry.received += 1
        if entry.received > 1:
            return
        entry.answer = self._judge(command)
        if entry.answer == "accepted":
            life = self._life
            fire = lambda: self._fire(command.seq, life)  # noqa: E731 - bound here, used twice below
            if command.target is not None:
                self._world.when_counts(command.target, fire)
            else:
                self._world.later(max(0.0, command.fire_at_s - self._world.now()), fire)
        if not self.silent:
            answer = entry.answer
            self._tell(lambda events, now: events.on_ack(Ack(command.seq, answer, now)), self.answer_delay_s)

    def _judge(self, command: Command) -> AckResult:
        if command.lane not in self._lanes:
            return "unknown_lane"
        if command.target is not None and self._world.counts_passed(command.target):
            return "late"
        return "blocked" if self._rng.random() < self.refusing else "accepted"

    def _fire(self, seq: int, life: int) -> None:
        if life != self._life:
            return
        entry = self.books[seq]
        entry.fired += 1
        lane = self._lanes[entry.lane]
        self._world.later(lane.lead_ms / 1000, lambda: self._hit(seq))

    def _hit(self, seq: int) -> None:
        entry = self.books[seq]
        found = self._world.pieces_at(self._lanes[entry.lane].distance_mm, _REACH_MM)
        for piece in found:
            self._world.take_off(piece)
        entry.hit += found
        result: ConfirmResult = "missed" if not found else "ejected" if len(found) == 1 else "double"
        if not self.silent:
            self._tell(lambda events, now: events.on_confirm(Confirm(seq, result, now)), self.answer_delay_s)

    def _tell(self, call: Callable[[SorterEvents, float], None], delay_s: float) -> None:
        def arrive() -> None:
            if self.up and self._events is not None:
                call(self._events, self._world.now())

        self._world.later(_WIRE_S + delay_s, arrive)
