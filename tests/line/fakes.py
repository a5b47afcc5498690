"""A clock that is set, a sorter that remembers, a ledger in memory, and an ear for what a sorter says."""

from __future__ import annotations

import datetime as dt
import queue
from typing import TYPE_CHECKING, Any

from binsight.line.film import Film
from binsight.line.records import Ack, Command, Confirm, EncoderReading, Piece

if TYPE_CHECKING:
    from collections.abc import Callable

    from binsight.line.ports import SorterEvents

__all__ = ["COMMAND", "FakeClock", "FakeLedger", "FakeSorter", "Heard", "StandingClock"]

COMMAND = Command(
    id="01JABCDEFGHJKMNPQRSTVWXYZ0", seq=4711, lane=3, target=884201, fire_at_s=100.412, deadline_s=100.4, dwell_ms=40,
    category="metal_cans", confidence=0.98,
)  # fmt: skip


class FakeClock:
    """Time stands still until it is set."""

    def __init__(self, now: float = 100.0) -> None:
        self.seconds = now

    def now(self) -> float:
        return self.seconds

    def utc(self) -> dt.datetime:
        return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=self.seconds)


class FakeSorter:
    """Takes every command as long as the link is up."""

    def __init__(self, *, confirms: bool = True) -> None:
        self.sent: list[Command] = []
        self.published: list[tuple[str, dict[str, object], bool]] = []
        self.up = True
        self.confirms = confirms
        self.events: SorterEvents | None = None

    def start(self, events: SorterEvents) -> None:
        self.events = events

    def send(self, command: Command) -> bool:
        if self.up:
            self.sent.append(command)
        return self.up

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:
        self.published.append((topic, payload, retain))

    def close(self, *, wait_s: float = 1.0) -> None:
        self.up = False


class FakeLedger:
    """Keeps every state of every piece; writes at once, or when told."""

    def __init__(self, *, immediate: bool = True) -> None:
        self.history: list[Piece] = []
        self.rows: dict[str, Piece] = {}
        self.films: dict[str, Film] = {}
        self.events: list[tuple[str, bool]] = []
        self.immediate = immediate
        self.writable = True
        self.fault: str | None = None
        self._waiting: list[Callable[[bool], None]] = []

    def start(self, line: str, at: dt.datetime, *, confirms: bool = True, configuration: object = None) -> int:
        return 1 + max((piece.seq for piece in self.rows.values()), default=0)

    def put(self, piece: Piece, *, after: Callable[[bool], None] | None = None) -> None:
        self.history.append(piece)
        self.rows[piece.id] = piece
        if after is not None:
            self._waiting.append(after)
        if self.immediate:
            self.flush()

    def keep(self, piece: Piece, film: Film) -> None:
        self.films[piece.id] = film

    def event(self, line: str, code: str, *, active: bool, detail: str, at: dt.datetime) -> None:
        self.events.append((code, active))

    def flush(self, timeout_s: float = 5.0) -> bool:
        waiting, self._waiting = self._waiting, []
        for after in waiting:
            after(self.writable)
        return self.writable

    def close(self) -> None:
        self.flush()


class StandingClock:
    """It is always 100 s."""

    def now(self) -> float:
        return 100.0


class Heard:
    """What a sorter hands back, in a queue."""

    def __init__(self) -> None:
        self.events: queue.Queue[Any] = queue.Queue()
        self.link: queue.Queue[bool] = queue.Queue()

    def on_ack(self, ack: Ack) -> None:
        self.events.put(ack)

    def on_confirm(self, confirm: Confirm) -> None:
        self.events.put(confirm)

    def on_encoder(self, reading: EncoderReading) -> None:
        self.events.put(reading)

    def on_trigger(self, reading: EncoderReading | None) -> None:
        self.events.put(("trigger", reading))

    def on_control(self, command: int) -> None:
        self.events.put(("control", command))

    def on_link(self, *, up: bool) -> None:
        self.link.put(up)
