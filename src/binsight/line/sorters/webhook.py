"""A sorter behind an HTTP address: every message is a POST of JSON, and the answer may acknowledge a command."""

from __future__ import annotations

import errno
import http.client
import json
import logging
import select
import threading
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from binsight import __version__
from binsight.addresses import open_http, request_target
from binsight.line.config import LineConfig
from binsight.line.messages import command_message
from binsight.line.ports import Clock, SorterEvents
from binsight.line.records import ACK_RESULTS, Ack, Command
from binsight.line.sorters.base import BaseSorter
from binsight.system_errors import describe_os_error

__all__ = ["WebhookSorter"]

_log = logging.getLogger(__name__)

_TIMEOUT_S = 2.0
_COMMANDS, _MESSAGES = 8, 256  # that wait to be sent, at most
_ANSWER_LIMIT = 64 * 1024  # bytes of an answer that are read
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # between tries to connect, the last for ever


class WebhookSorter(BaseSorter):
    """One connection that is kept open, commands before all else; see `ports.Sorter`.

    Nothing is sent twice: of a request that fails nobody knows whether it arrived. `TCP_NODELAY` is set by the
    library itself.
    """

    confirms = False

    def __init__(self, config: LineConfig, *, clock: Clock) -> None:
        super().__init__(config, clock=clock)
        self._address = urlsplit(config.sorter.url)
        self._commands: deque[Command] = deque()
        self._messages: deque[tuple[str, dict[str, Any]]] = deque()
        self._waiting = threading.Condition(self._lock)
        self._closing = False
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    def start(self, events: SorterEvents) -> None:
        """Connect, and keep connecting."""
        self._events = events
        self._thread.start()

    def send(self, command: Command) -> bool:
        """Hand a command to the outbox; False when there is no link or the receiver does not keep up."""
        with self._waiting:
            if not self._up or len(self._commands) >= _COMMANDS:
                self.dropped += 1
                return False
            self._commands.append(command)
            self._waiting.notify()
        return True

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:  # noqa: ARG002
        """Hand a message to the outbox."""
        with self._waiting:
            if not self._up or len(self._messages) >= _MESSAGES:
                self.dropped += 1
                return
            self._messages.append((topic, dict(payload)))
            self._waiting.notify()

    def close(self, *, wait_s: float = 1.0) -> None:
        """Say that the line is offline, send what waits, and stop."""
        self.publish("state", {"online": False})
        with self._waiting:
            self._closing = True
            self._waiting.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=wait_s + _TIMEOUT_S)

    def _run(self) -> None:
        failures = 0
        while not self._closing:
            try:
                self._connect()
                failures = 0
                self._empty_outbox()
            except (OSError, http.client.HTTPException, ValueError) as error:
                failures += 1
                if failures == 1:
                    words = describe_os_error(error) if isinstance(error, OSError) else repr(error)
                    _log.warning("webhook: %s: %s; trying again", self._address.netloc, words)  # a path may be a secret
            finally:
                self._hang_up()
            with self._waiting:
                self._waiting.wait_for(
                    lambda: self._closing, _PAUSES_S[min(failures, len(_PAUSES_S)) - 1] if failures else 0
                )

    def _connect(self) -> None:
        self._connection = open_http(self._address, _TIMEOUT_S)
        self._connection.connect()
        self._set_link(up=True)

    def _hang_up(self) -> None:
        self._set_link(up=False)
        with self._waiting:
            self.dropped += len(self._commands) + len(self._messages)
            self._commands.clear()
            self._messages.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _empty_outbox(self) -> None:
        """Send what comes until there is no more to come, or a request fails."""
        while True:
            with self._waiting:
                self._waiting.wait_for(lambda: self._commands or self._messages or self._closing)
                command = self._commands.popleft() if self._commands else None
                if command is None and not self._messages:
                    return
                topic, message = ("cmd/sort", {}) if command is not None else self._messages.popleft()
            if command is None:
                self._post(topic, message)
            elif self._clock.now() > command.deadline_s:
                self.dropped += 1
            else:
                status, answer = self._post(topic, command_message(command, self._clock.now()))
                self._take_answer(command, status, answer)

    def _post(self, topic: str, message: dict[str, Any]) -> tuple[int, bytes]:
        connection = self._connection
        assert connection is not None  # noqa: S101 - called between connecting and hanging up only
        if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
            connection.close()  # the other end has hung up while nothing was to be said; it is opened anew
        body = json.dumps({"line": self._config.line.name, "topic": topic, "message": message}, allow_nan=False)
        headers = {"Content-Type": "application/json", "User-Agent": f"binsight/{__version__}"}
        connection.request("POST", request_target(self._address), body.encode(), headers)
        content, until_s = b"", time.monotonic() + _TIMEOUT_S
        with connection.getresponse() as answer:
            while part := answer.read1(_ANSWER_LIMIT):
                content += part
                if len(content) > _ANSWER_LIMIT or time.monotonic() > until_s:
                    raise TimeoutError(errno.ETIMEDOUT, "the answer has no end")
        return answer.status, content

    def _take_answer(self, command: Command, status: int, content: bytes) -> None:
        """What the body says, else what the status says: 2xx took the command, anything else leaves it unknown."""
        try:
            body = json.loads(content) if content.strip() else {}
        except ValueError:
            body = {}
        result = body.get("result") if isinstance(body, dict) else None
        if result is None and 200 <= status < 300:
            result = "accepted"
        if result not in ACK_RESULTS or (isinstance(body, dict) and body.get("seq", command.seq) != command.seq):
            self.malformed += 1
            _log.warning("webhook: no answer to command %d: status %d, %.200r", command.seq, status, content)
        elif self._events is not None:
            self._events.on_ack(Ack(command.seq, result, self._clock.now()))
