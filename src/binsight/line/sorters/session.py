"""A sorter that lives in an event loop of its own, one session after the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from binsight.line.config import LineConfig
from binsight.line.ports import Clock, SorterEvents
from binsight.line.sorters.base import BaseSorter
from binsight.line.sorters.published import Published
from binsight.system_errors import describe_os_error

__all__ = ["SessionSorter"]

_log = logging.getLogger(__name__)

_SILENT_BEATS = 3  # heartbeats that may be missing
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # between sessions that failed, the last for ever


class SessionSorter(BaseSorter, ABC):
    """Runs `_serve` until it fails, and then anew with fresh objects, until it is closed.

    Args:
        name: of the thread and in the log.
        config: of the line.
        clock: the line's.
        library: whose own log is kept quiet: of a lost connection it tells pages, and this class one line.
    """

    def __init__(self, name: str, config: LineConfig, *, clock: Clock, library: str) -> None:
        super().__init__(config, clock=clock)
        logging.getLogger(library).setLevel(logging.CRITICAL)
        self._name = name
        self._published = Published(confirms=config.sorter.confirms)
        self._newest = 0  # sequence number of a command
        self._heard_s = 0.0  # when the equipment's heartbeat last changed
        self._closing = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self, events: SorterEvents) -> None:
        """Connect or listen, and keep at it; from here on events come."""
        self._events = events
        self._thread.start()

    def close(self, *, wait_s: float = 1.0) -> None:
        """Stop."""
        self._closing.set()
        self._soon(lambda: self._task.cancel() if self._task is not None else None)
        if self._thread.is_alive():
            self._thread.join(timeout=wait_s + 1.0)

    @abstractmethod
    async def _serve(self) -> None:
        """One session: build everything anew, call `_established` when it stands, return or raise when it is over."""

    def _check_heartbeat(self) -> None:
        """To be called now and then: equipment whose heartbeat stands is away."""
        if self._clock.now() - self._heard_s > _SILENT_BEATS * self._config.sorter.heartbeat_s:
            self._set_link(up=False)

    def _established(self) -> None:
        self._failures = 0

    def _soon(self, call: Callable[[], object]) -> None:
        """Have something called in the loop, from any thread; nothing where there is no loop."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it was closed between the two lines
                loop.call_soon_threadsafe(call)

    def _run(self) -> None:
        asyncio.run(self._keep_serving())
        self._loop = None

    async def _keep_serving(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._failures = 0
        while not self._closing.is_set():
            self._task = asyncio.create_task(self._serve())
            if self._closing.is_set():
                self._task.cancel()  # it was set before there was a task to cancel
            try:
                await self._task
            except asyncio.CancelledError:
                continue
            except Exception as error:  # whatever a library raises, the next session is a new one
                if not self._failures:
                    words = describe_os_error(error) if isinstance(error, OSError) and error.errno else repr(error)
                    _log.warning("%s: %s; trying again", self._name, words)
            self._failures += 1
            await self._pause(_PAUSES_S[min(self._failures, len(_PAUSES_S)) - 1])

    async def _pause(self, pause_s: float) -> None:
        if self._closing.is_set():
            return
        self._task = asyncio.create_task(asyncio.sleep(pause_s))
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
