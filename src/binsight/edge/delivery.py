"""Takes results out of the store and tells them, as soon as there is somebody who takes them."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from binsight import __version__
from binsight.addresses import open_http, request_target
from binsight.edge.outbox import Entry, Outbox
from binsight.errors import OutputError

__all__ = ["Delivery", "Server", "Sink", "Webhook"]

_log = logging.getLogger(__name__)

_TIMEOUT_S: Final = 10.0
_PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)  # between tries, the last for ever
_IDLE_S: Final = 5.0
_ANSWER_LIMIT: Final = 1_000_000
# What may be otherwise the next time; all other refusals are for good.
_PASSING: Final = frozenset({401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504})


class Sink(Protocol):
    """Whoever takes results."""

    def deliver(self, entry: Entry) -> bool:
        """Tell one result; whether it was taken."""

    def close(self) -> None:
        """Hang up."""


class RefusedError(Exception):
    """The other end will not take this one, now or later."""


class _Client:
    """Requests to one HTTP server, over one connection as long as it holds."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = urlsplit(url)
        self._headers = {"User-Agent": f"binsight/{__version__}", **headers}
        self._connection = open_http(self._url, _TIMEOUT_S)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """The body of a 2xx answer.

        Raises:
            OSError: no answer, or one that may be otherwise later.
            RefusedError: the server refuses this request for good.
        """
        try:
            self._connection.request("POST", request_target(self._url, path), body, {**self._headers, **headers})
            with self._connection.getresponse() as answer:
                content = answer.read(_ANSWER_LIMIT + 1)
        except (http.client.HTTPException, OSError) as error:
            self._connection.close()
            raise OSError(f"no answer ({type(error).__name__}: {error})") from error
        if len(content) > _ANSWER_LIMIT:
            self._connection.close()
            raise OSError("the answer has no end")
        if answer.status in _PASSING or answer.status >= 500:
            raise OSError(f"HTTP {answer.status} {answer.reason}")
        if not 200 <= answer.status < 300:
            raise RefusedError(f"HTTP {answer.status} {answer.reason}")
        return content

    def close(self) -> None:
        self._connection.close()


class Webhook:
    """Results by POST, as the line's webhook has them; `Idempotency-Key` is the device and its number."""

    def __init__(self, url: str, *, device: str) -> None:
        self._device, self._client = device, _Client(url, {"Content-Type": "application/json"})

    def deliver(self, entry: Entry) -> bool:
        """See `Sink`; what the other end refuses for good is taken as told, and logged."""
        body = json.dumps({"line": self._device, "topic": "piece", "message": entry.message}, ensure_ascii=False)
        try:
            self._client.post("", body.encode(), {"Idempotency-Key": f"{self._device}-{entry.seq}"})
        except RefusedError as error:
            _log.warning("webhook: result %d is refused: %s", entry.seq, error)
        except OSError as error:
            _log.info("webhook: %s", error)
            return False
        return True

    def close(self) -> None:
        """Hang up."""
        self._client.close()


class Server:
    """A `binsight serve` that knows better."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        self._client = _Client(url, {} if key is None else {"Authorization": f"Bearer {key}"})

    def ask(self, entry: Entry) -> dict[str, Any]:
        """The message of a result, with what the server says of its picture.

        Raises:
            OSError: the server is away.
            RefusedError: it will never answer this.
        """
        content = self._client.post("/predict", entry.photo or b"", {"Content-Type": "image/jpeg"})
        try:
            found = json.loads(content)
            answer = {key: found[name] for key, name in _ANSWER.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise OSError(f"expected the answer of binsight serve, got {content[:100]!r}") from error
        return {**entry.message, **answer, "decided_by": "server"}

    def close(self) -> None:
        """Hang up."""
        self._client.close()


_ANSWER: Final = {
    "category": "predicted_category", "confidence": "confidence", "decision": "decision", "reason": "reason",
    "stream": "stream",
}  # fmt: skip


class Delivery:
    """Empties a store, from two threads of its own.

    One tells the results that wait for nobody's opinion, in their order. The other asks the server about one picture
    after another; its answer makes a result ready to be told. So while the server is away, only those wait that it is
    to be asked about.

    Args:
        outbox: the store.
        sinks: who takes results; a result is taken when all of them have it.
        server: who is asked; None: nobody.
    """

    def __init__(self, outbox: Outbox, sinks: Sequence[Sink], server: Server | None) -> None:
        self._outbox, self._sinks, self._server = outbox, sinks, server
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(step,), name=step.__name__.strip("_"), daemon=True)
            for step in (self._tell, self._ask)
        ]
        self._had: tuple[int, int] = (0, 0)  # number of the result that some sinks have, and how many

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def close(self, *, wait_s: float) -> None:
        """Give what waits `wait_s` seconds to be told, and stop."""
        end_s = time.monotonic() + wait_s
        while self._outbox.waiting() and time.monotonic() < end_s:
            self._outbox.wait(self._outbox.changes, 0.05)
        self._stopping.set()
        self._outbox.wake()
        for thread in self._threads:
            thread.join(timeout=_TIMEOUT_S)
        for sink in self._sinks:
            sink.close()
        if self._server is not None:
            self._server.close()

    def _repeat(self, step: Callable[[], bool | None]) -> None:
        """Call `step` for ever; it gives True for something done, None for nothing to do, False if somebody is away."""
        failures = 0
        while not self._stopping.is_set():
            seen = self._outbox.changes
            try:
                done = step()
            except OutputError as error:  # the disk is full or broken: what is kept stays
                _log.warning("%s", error)
                done = False
            failures = failures + 1 if done is False else 0
            if failures:
                self._stopping.wait(_PAUSES_S[min(failures, len(_PAUSES_S)) - 1])
            elif done is None:
                self._outbox.wait(seen, _IDLE_S)

    def _tell(self) -> bool | None:
        entry = self._outbox.first(with_photo=False)
        if entry is None:
            return None
        have = self._had[1] if self._had[0] == entry.seq else 0
        for sink in self._sinks[have:]:
            if not sink.deliver(entry):
                return False
            have += 1
            self._had = (entry.seq, have)
        self._outbox.remove(entry.seq)
        return True

    def _ask(self) -> bool | None:
        entry = self._outbox.first(with_photo=True)
        if entry is None:
            return None
        message = entry.message
        try:
            message = message if self._server is None else self._server.ask(entry)
        except RefusedError as error:
            _log.warning("server: the picture of result %d is refused: %s", entry.seq, error)
        except OSError as error:
            _log.info("server: %s", error)
            return False
        self._outbox.settle(entry.seq, message)
        return True
