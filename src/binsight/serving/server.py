"""Runs the application: listens, loads, reloads on SIGHUP, and finishes what it has on SIGTERM.

The server is uvicorn, with `bridge.py` between it and the WSGI application; `docs/http-api.md` says why.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import ClassVar, Literal, TextIO

from binsight.errors import BinsightError
from binsight.serving.app import create_app
from binsight.serving.bridge import Bridge
from binsight.serving.connections import HttpServer
from binsight.serving.line_port import Line
from binsight.serving.memory import keep_heaps_few
from binsight.serving.service import Service
from binsight.serving.settings import Settings

__all__ = ["ListenError", "RunningServer", "run_server"]

_log = logging.getLogger("binsight.serving")
# Beside those whose photos wait, some threads must be free to refuse others and to answer probes.
_SPARE_THREADS = 32
# On Windows a wait without an end cannot be interrupted by a signal.
_SIGNAL_POLL_S = 1.0

Event = Literal["stop", "reload"]


class ListenError(BinsightError, OSError):
    """The address cannot be listened on."""

    code: ClassVar[str] = "listen"


class RunningServer:
    """A server that listens from the start, and takes photos after `load`.

    Raises:
        ListenError: the address is taken or not this machine's.
    """

    def __init__(self, settings: Settings, *, log_stream: TextIO | None = None, lines: Sequence[Line] = ()) -> None:
        self._settings = settings
        keep_heaps_few()
        app = create_app(settings, load=False, log_stream=log_stream, lines=lines)
        self.service: Service = app.extensions["binsight"]
        threads = settings.queue_size + self.service.queue.workers + _SPARE_THREADS
        bridge = Bridge(app, self.service, threads=threads)
        try:
            self._http = HttpServer(bridge)
        except OSError as error:
            raise ListenError(f"cannot listen on {settings.host} port {settings.port}: {error}") from error

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._http.address
        scheme = "http" if self._settings.tls_certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def load(self) -> None:
        """Load the models and take photos.

        Raises:
            BinsightError: a model is missing or not sound.
        """
        self.service.load()

    def reload(self) -> None:
        """Load new versions of the models in the background."""
        threading.Thread(target=self.service.reload_all, name="binsight-reload", daemon=True).start()

    def stop(self) -> bool:
        """Take no more, finish what clients have begun to send, close the port; says whether all was finished in time.

        Meanwhile the port stays open: probes see that the server is not ready, and new photos are refused with 503.
        """
        end = time.monotonic() + self._settings.drain_timeout_s
        self.service.refuse_photos()
        done = self._http.drain(self._settings.drain_timeout_s)
        done = self.service.drain(max(0.0, end - time.monotonic())) and done
        self._http.stop()
        return done


def run_server(settings: Settings, *, announce: Callable[[str], None], lines: Sequence[Line] = ()) -> bool:
    """Serve until SIGTERM or SIGINT; reload models on SIGHUP.

    Args:
        settings: what to serve, and how.
        announce: called with the address when photos are taken.
        lines: to show.

    Returns:
        Whether everything that was received was finished.

    Raises:
        ListenError: the address cannot be listened on.
        BinsightError: a model is missing or not sound.
    """
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    _install_signals(events)
    server = RunningServer(settings, lines=lines)
    try:
        server.load()
    except BinsightError:
        server.stop()
        raise
    announce(server.url)
    while (event := _next_event(events)) != "stop":
        if event == "reload":
            server.reload()
    _log.warning("stopping: finishing what was received")
    return server.stop()


def _install_signals(events: queue.SimpleQueue[Event]) -> None:
    for name, event in (("SIGTERM", "stop"), ("SIGINT", "stop"), ("SIGBREAK", "stop"), ("SIGHUP", "reload")):
        number = getattr(signal, name, None)  # Windows has no SIGHUP, others have no SIGBREAK
        if number is not None:
            signal.signal(number, _handler(events, "reload" if event == "reload" else "stop"))


def _handler(events: queue.SimpleQueue[Event], event: Event) -> Callable[[int, FrameType | None], None]:
    return lambda _number, _frame: events.put(event)


def _next_event(events: queue.SimpleQueue[Event]) -> Event | None:
    try:
        return events.get(timeout=_SIGNAL_POLL_S)
    except queue.Empty:
        return None
