"""The outside world of a line, as the line sees it: clock, camera, classifier, sorter, ledger.

The engine is one thread that handles events in the order they come: frames, encoder readings, answers of the sorter,
ticks. Whatever waits for the world (a camera, a broker, a database) has a thread of its own behind one of these ports
and hands its events over. So the simulator drives the same engine in virtual time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from binsight.line.film import Film
from binsight.line.records import Ack, CameraState, Command, Confirm, EncoderReading, Frame, Piece, View
from binsight.predictor import Predictor

if TYPE_CHECKING:
    from binsight.line.config import LineConfig  # checked by pydantic, which the extra `edge` does not install

__all__ = ["Classify", "Clock", "Ledger", "Ports", "Sorter", "SorterEvents", "Source", "posted_events"]


class Clock(Protocol):
    """Time, real or virtual."""

    def now(self) -> float:
        """Seconds of a steady clock that never jumps."""

    def utc(self) -> dt.datetime:
        """The time of the wall, with its zone; it may jump."""


class Source(Protocol):
    """A camera, or what stands for one. It opens itself anew by itself after every failure."""

    @property
    def state(self) -> CameraState:
        """How the camera is: `ok`, `starting` or `absent`, `stalled` where no frame came in time."""

    def read(self, timeout_s: float) -> Frame | None:
        """The newest frame that was not given before; older ones are dropped and counted.

        Returns:
            None when none came within `timeout_s`.

        Raises:
            EOFError: a file or folder has no more frames.
        """

    @property
    def dropped(self) -> int:
        """Frames that came and were never given, because a newer one was there."""

    def close(self) -> None:
        """Stop for good; `read` in another thread returns."""


class Classify(Protocol):
    """Asks what is in views, without waiting for the answer."""

    def __call__(self, views: Sequence[View], then: Callable[[Sequence[View]], None], *, urgent: bool) -> bool:
        """Ask.

        Args:
            views: of one piece.
            then: called on the engine's thread with the same views and their predictions.
            urgent: the piece has no other view; what would only add to a decision leaves room for these.

        Returns:
            False where too many wait already: ask again with a later view.
        """


class SorterEvents(Protocol):
    """What a sorter hands back, from any thread; the engine's event queue takes it."""

    def on_ack(self, ack: Ack) -> None:
        """An answer to a command."""

    def on_confirm(self, confirm: Confirm) -> None:
        """What became of a command."""

    def on_encoder(self, reading: EncoderReading) -> None:
        """Where the belt stands."""

    def on_trigger(self, reading: EncoderReading | None) -> None:
        """Outside of the camera something says: a piece is at the trigger line now."""

    def on_control(self, command: int) -> None:
        """A PackML command, 1 to 9."""

    def on_link(self, *, up: bool) -> None:
        """The connection to the equipment came or went."""


def posted_events(engine: SorterEvents, post: Callable[[Callable[[], None]], None]) -> SorterEvents:
    """What a sorter says to an engine, handed over by `post`: on the engine's own thread, or not at all."""

    class Posted:
        def __getattr__(self, name: str) -> Callable[..., None]:
            event = getattr(engine, name)
            return lambda *args, **options: post(lambda: event(*args, **options))

    return cast("SorterEvents", Posted())


class Sorter(Protocol):
    """The sorting equipment. No method waits for the network: an outbox of bounded length and a thread do."""

    def start(self, events: SorterEvents) -> None:
        """Connect, and keep connecting; from here on events come."""

    def send(self, command: Command) -> bool:
        """Hand one command to the network.

        Returns:
            Whether it could be handed over; False when there is no link or the outbox is full. A command for which
            this is False, or whose `deadline_s` passes in the outbox, never leaves.
        """

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:
        """Tell whoever listens: `state`, `piece`, `purity/1`, `fault`; what cannot be sent is dropped and counted."""

    @property
    def confirms(self) -> bool:
        """Whether the equipment reports what became of a command; else an acknowledged piece has its end."""

    def close(self, *, wait_s: float = 1.0) -> None:
        """Say goodbye and stop."""


class Ledger(Protocol):
    """The account of every piece. One writer; nothing waits for it."""

    @property
    def fault(self) -> str | None:
        """Why nothing can be written at present; None while all is well."""

    def start(
        self, line: str, at: dt.datetime, *, confirms: bool = True, configuration: Mapping[str, Any] | None = None
    ) -> int:
        """Open the account of a line, note how it is set up, and end what a killed run left open.

        What was commanded and not ended becomes `unknown`, what was only seen or decided becomes `late`, both with
        the reason `restart`. Where the equipment never `confirms`, an acknowledged piece has its end already.
        `configuration` is kept with the line, so that the ledger can be read by itself.

        Returns:
            The next free sequence number, at least 1.
        """

    def put(self, piece: Piece, *, after: Callable[[bool], None] | None = None) -> None:
        """Queue a piece's row, new or changed.

        Args:
            piece: replaces the row with its `id`.
            after: called by the writer, with True once the row is on disk, with False if it could not be written in
                time (it is kept and tried again). A command leaves only in here: written first, then sent, so that
                a killed line knows what it may have commanded.
        """

    def keep(self, piece: Piece, film: Film) -> None:
        """Queue the pictures of a piece, under the key `piece.thumbnail`."""

    def event(self, line: str, code: str, *, active: bool, detail: str, at: dt.datetime) -> None:
        """Queue a row of `events`: an alarm came or went."""

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until all that was queued is written; False when it is not within the time."""

    def close(self) -> None:
        """Write what is queued, and stop."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the parts of one line share: its settings, its model, and the outside world.

    Attributes:
        predictor: its taxonomy, thresholds and name; `classify` runs it.
        classify: asks for predictions without waiting for them.
        post: hands a call over to the engine's thread.
    """

    config: LineConfig
    predictor: Predictor
    classify: Classify
    clock: Clock
    sorter: Sorter
    ledger: Ledger
    post: Callable[[Callable[[], None]], None]
