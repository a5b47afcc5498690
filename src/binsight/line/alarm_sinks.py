"""Where alarms go besides the sorter and the ledger: the log, and somebody's web address."""

from __future__ import annotations

import json
import logging
import queue
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

from binsight.line.alarms import Alarm
from binsight.line.messages import utc_text

__all__ = ["AlarmWebhook", "log_alarm"]

_log = logging.getLogger("binsight.line")

_TIMEOUT_S = 5.0
_PAUSES_S = (1.0, 5.0, 30.0)  # between tries; after the last one it is given up
_MOST_WAITING = 100


def log_alarm(line: str, alarm: Alarm) -> None:
    """One line in the log when it comes, one when it goes."""
    if alarm.active:
        _log.warning("%s: alarm %s: %s", line, alarm.code, alarm.detail)
    else:
        _log.warning("%s: alarm %s is over", line, alarm.code)


class AlarmWebhook:
    """Posts every alarm as JSON to one address, in order, on a thread of its own; who raises an alarm never waits.

    Args:
        url: http:// or https://.
        line, site: named in the message.
        send: posts a body to an address; raises OSError where it could not. For tests.
    """

    def __init__(self, url: str, *, line: str, site: str, send: Callable[[str, bytes], None] | None = None) -> None:
        self._url, self._line, self._site, self._send = url, line, site, send or _post
        self._waiting: queue.Queue[Alarm | None] = queue.Queue(_MOST_WAITING)
        self._stopping = threading.Event()
        self.dropped = 0  # alarms given up: too many waited, or nobody took them
        self._thread = threading.Thread(target=self._run, name="alarm-webhook", daemon=True)
        self._thread.start()

    def put(self, alarm: Alarm) -> None:
        """Have it posted."""
        try:
            self._waiting.put_nowait(alarm)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Post what waits, each once more at most, and stop."""
        self._stopping.set()
        try:
            self._waiting.put(None, timeout=_TIMEOUT_S)
        except queue.Full:
            return  # the thread is a daemon
        self._thread.join(timeout=2 * _TIMEOUT_S)

    def _run(self) -> None:
        while (alarm := self._waiting.get()) is not None:
            if not self._deliver(alarm):
                self.dropped += 1
                if self._stopping.is_set():  # nobody is there; the others are not tried
                    self.dropped += sum(left is not None for left in self._waiting.queue)
                    break
        if self.dropped:
            _log.error("%d alarms could not be posted", self.dropped)

    def _deliver(self, alarm: Alarm) -> bool:
        message: dict[str, Any] = {"line": self._line, "site": self._site, "code": alarm.code, "active": alarm.active}
        body = json.dumps(message | {"detail": alarm.detail, "at": utc_text(alarm.at)}).encode()
        for pause_s in (*_PAUSES_S, None):
            try:
                self._send(self._url, body)
            except OSError as error:
                if pause_s is None or self._stopping.is_set():
                    # The address may hold a secret.
                    _log.error("the alarm %s could not be posted: %s", alarm.code, error)
                    return False
                self._stopping.wait(pause_s)
            else:
                break
        return True


def _post(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310 - checked
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - http or https: the settings say so
        answer.read(1 << 16)
