"""Server-sent events: one sender, many readers, and none of them holds a thread or keeps another waiting.

References:
    https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["STREAMS", "Broadcaster", "Event", "Subscription"]

_log = logging.getLogger("binsight.serving")

# Of a request's environment: a list. A view that puts a subscription there has its answer continued with what comes.
STREAMS: Final = "binsight.streams"
_ROOM = 200  # events that may wait for one reader


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        name: of the event.
        data: what is sent, as JSON.
        passing: the next of this name says all that this one did: a slow reader gets the newest only.
    """

    name: str
    data: Any
    passing: bool = False

    def encode(self) -> bytes:
        """As it goes over the wire."""
        return f"event: {self.name}\ndata: {json.dumps(self.data, separators=(',', ':'))}\n\n".encode()


class Subscription:
    """One reader's place: what waits for it, at most `room` events; of those that pass, the newest of each name.

    A reader that is too slow even for that gets `anew()`, which says all that counts, in the place of what it missed.
    """

    def __init__(
        self,
        anew: Callable[[], bytes],
        *,
        room: int,
        without: Collection[str],
        on_close: Callable[[Subscription], None],
    ) -> None:
        self._anew, self._room, self._without, self._on_close = anew, room, without, on_close
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._passing: dict[str, bytes] = {}
        self._missed = self._closed = False
        self._reader: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def put(self, events: Iterable[tuple[Event, bytes]]) -> None:
        """Let events wait, each with its encoding; from any thread."""
        with self._lock:
            for event, encoded in events:
                if event.name in self._without:
                    continue
                if event.passing:
                    self._passing[event.name] = encoded
                elif len(self._waiting) < self._room:
                    self._waiting.append(encoded)
                else:
                    self._missed = True
        self._wake()

    async def next(self) -> bytes | None:
        """All that waits, as soon as something does; None when it is closed."""
        if self._reader is None:
            self._reader = asyncio.get_running_loop(), asyncio.Event()
        while True:
            self._reader[1].clear()
            with self._lock:
                if self._closed:
                    return None
                parts = [*self._waiting, *self._passing.values()]
                missed, self._missed = self._missed, False
                self._waiting.clear()
                self._passing.clear()
            if missed:
                return await asyncio.to_thread(self._anew)
            if parts:
                return b"".join(parts)
            await self._reader[1].wait()

    def close(self) -> None:
        """No more comes; from any thread, as often as one likes."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._on_close(self)
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None:
            loop, arrived = self._reader
            if not loop.is_closed():
                loop.call_soon_threadsafe(arrived.set)


class Broadcaster:
    """Asks for news every `period_s` while somebody listens, encodes each once, and hands it to all.

    Args:
        collect: the news since it was last called; on this object's thread.
        anew: the event that says all that counts.
        period_s: between two calls.
    """

    def __init__(
        self, collect: Callable[[], Iterable[Event]], anew: Callable[[], Event], *, period_s: float = 0.2
    ) -> None:
        self._collect, self._anew, self._period_s = collect, anew, period_s
        self._readers: set[Subscription] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def readers(self) -> int:
        """How many listen."""
        return len(self._readers)

    def first(self) -> bytes:
        """What a new reader gets before all else."""
        return self._anew().encode()

    def subscribe(self, *, without: Collection[str] = ()) -> Subscription:
        """A place for one more reader, who wants no events of the names in `without`."""
        subscription = Subscription(self.first, room=_ROOM, without=without, on_close=self._remove)
        with self._changed:
            self._readers.add(subscription)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="binsight-events", daemon=True)
                self._thread.start()
        return subscription

    def close(self) -> None:
        """Send everyone away, and wait for the thread."""
        thread = self._thread
        for reader in list(self._readers):
            reader.close()
        if thread is not None:
            thread.join(timeout=10)

    def _remove(self, subscription: Subscription) -> None:
        with self._changed:
            self._readers.discard(subscription)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            try:
                events = [(event, event.encode()) for event in self._collect()]
            except Exception:  # a ledger that is away must not end the stream for good
                _log.exception("the news of a line could not be collected")
                events = []
            with self._changed:
                readers = list(self._readers)
            for reader in readers if events else ():
                reader.put(events)
            with self._changed:
                if self._changed.wait_for(lambda: not self._readers, self._period_s):
                    self._thread = None
                    return
