"""Where alarms go."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

from tests.patience import PATIENCE_S

from binsight.line import alarm_sinks
from binsight.line.alarm_sinks import AlarmWebhook, log_alarm
from binsight.line.alarms import Alarm

if TYPE_CHECKING:
    import pytest

ALARM = Alarm("link", True, "no connection to the sorter", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))


def test_posted_as_json() -> None:
    """Whoever listens gets each alarm, in order."""
    bodies: list[bytes] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        hook = AlarmWebhook(f"http://127.0.0.1:{server.server_port}/", line="line1", site="plant")
        hook.put(ALARM)
        hook.put(Alarm("late", False, "", ALARM.at))
        hook.close()
        server.shutdown()
        thread.join()
    assert [json.loads(body)["code"] for body in bodies] == ["link", "late"]
    assert json.loads(bodies[0]) == {
        "line": "line1", "site": "plant", "code": "link", "active": True,
        "detail": "no connection to the sorter", "at": "2026-01-02T03:04:05.000Z",
    }  # fmt: skip
    assert hook.dropped == 0


def test_tried_again_then_given_up(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A post that fails is tried again; one that never succeeds is counted, and the next goes on."""
    monkeypatch.setattr(alarm_sinks, "_PAUSES_S", (0.0, 0.0))
    tries: list[int] = []

    def send(url: str, body: bytes) -> None:
        tries.append(1)
        if len(tries) < 5:
            raise OSError("refused")

    hook = AlarmWebhook("http://user:secret@host/", line="line1", site="plant", send=send)
    hook.put(ALARM)
    hook.put(ALARM)
    while len(tries) < 5:
        threading.Event().wait(0.001)
    hook.close()
    assert (len(tries), hook.dropped) == (5, 1)
    assert "secret" not in caplog.text


def test_nobody_there_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """At the end each alarm is not tried in vain: one failure, and how many were lost."""
    entered = threading.Event()

    def send(url: str, body: bytes) -> None:
        entered.set()
        raise OSError("refused")

    hook = AlarmWebhook("http://host/", line="line1", site="plant", send=send)
    for _ in range(20):
        hook.put(ALARM)
    assert entered.wait(PATIENCE_S)
    hook.close()
    assert hook.dropped == 20
    assert len(caplog.messages) == 2


def test_who_raises_an_alarm_never_waits() -> None:
    """Beyond a hundred that wait, alarms are counted and dropped."""
    held, entered = threading.Event(), threading.Event()

    def send(url: str, body: bytes) -> None:
        entered.set()
        held.wait(PATIENCE_S)

    hook = AlarmWebhook("http://host/", line="line1", site="plant", send=send)
    hook.put(ALARM)
    assert entered.wait(PATIENCE_S)
    for _ in range(103):
        hook.put(ALARM)
    assert hook.dropped == 3
    held.set()
    hook.close()


def test_log(caplog: pytest.LogCaptureFixture) -> None:
    """One line when it comes, one when it goes."""
    with caplog.at_level(logging.WARNING):
        log_alarm("line1", ALARM)
        log_alarm("line1", Alarm("link", False, "", ALARM.at))
    assert caplog.messages == ["line1: alarm link: no connection to the sorter", "line1: alarm link is over"]
