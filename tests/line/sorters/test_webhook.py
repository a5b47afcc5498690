"""A sorter behind HTTP: a real server, over loopback."""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.line.fakes import COMMAND, FakeClock, Heard
from tests.line.services import free_port
from tests.patience import PATIENCE_S

from binsight.line.config import LineConfig, parse_line_config
from binsight.line.records import Ack
from binsight.line.sorters import webhook
from binsight.line.sorters.webhook import WebhookSorter

if TYPE_CHECKING:
    from collections.abc import Iterator


def config(port: int, path: str = "/sort?line=1") -> LineConfig:
    """Return a line with one lane and this receiver."""
    return parse_line_config(
        {
            "lanes": [{"number": 3, "categories": ["metal_cans"], "distance_mm": 1200}],
            "sorter": {"kind": "webhook", "url": f"http://127.0.0.1:{port}{path}"},
        }
    )


class Receiver(ThreadingHTTPServer):
    """Somebody else's server: notes what comes, answers what it is told to."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.posts: queue.Queue[tuple[str, str, dict[str, Any]]] = queue.Queue()
        self.answers: dict[int, tuple[int, bytes]] = {}
        self.drips, self.open_for_less = False, threading.Event()
        self.open_for_more = threading.Event()
        self.open_for_more.set()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def next(self) -> dict[str, Any]:
        return self.posts.get(timeout=PATIENCE_S)[2]

    def stop(self) -> None:
        self.open_for_more.set()
        self.open_for_less.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts.put((self.path, self.headers["Content-Type"], body))
        self.server.open_for_more.wait(PATIENCE_S)
        if self.server.drips:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not self.server.open_for_less.wait(0.02):
                self.wfile.write(b" ")
        status, answer = self.server.answers.get(body["message"].get("seq"), (200, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a server."""
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture
def line(receiver: Receiver) -> Iterator[tuple[WebhookSorter, Heard, FakeClock]]:
    """Return a connected sorter, what it hands back, and its clock."""
    clock = FakeClock()
    sorter, heard = WebhookSorter(config(receiver.server_port), clock=clock), Heard()
    sorter.start(heard)
    assert heard.link.get(timeout=PATIENCE_S)
    yield sorter, heard, clock
    receiver.open_for_more.set()
    sorter.close()


Line = tuple[WebhookSorter, Heard, FakeClock]


def test_messages_are_those_of_mqtt(receiver: Receiver, line: Line) -> None:
    """With topic and line around them, as JSON, to the address as it was given."""
    sorter, heard, _ = line
    assert sorter.send(COMMAND)
    path, kind, body = receiver.posts.get(timeout=PATIENCE_S)
    assert (path, kind) == ("/sort?line=1", "application/json")
    assert body == {
        "line": "line1",
        "topic": "cmd/sort",
        "message": {"id": COMMAND.id, "seq": 4711, "lane": 3, "target": 884201, "fire_in_ms": 412, "dwell_ms": 40},
    }
    assert heard.events.get(timeout=PATIENCE_S) == Ack(4711, "accepted", 100.0)
    sorter.publish("fault", {"code": "late", "active": True})
    assert receiver.next() == {"line": "line1", "topic": "fault", "message": {"code": "late", "active": True}}
    sorter.close()
    assert receiver.next()["message"] == {"online": False}


@pytest.mark.parametrize(
    ("status", "answer", "result"),
    [
        (200, b'{"seq":4711,"result":"blocked"}', "blocked"),
        (409, b'{"result":"full"}', "full"),
        (204, b"", "accepted"),
        (200, b"<html>thanks</html>", "accepted"),
        (500, b"", None),
        (404, b'{"detail":"no such page"}', None),
        (200, b'{"result":"burnt"}', None),
        (200, b'{"seq":4710,"result":"accepted"}', None),
    ],
)
def test_the_answer_may_acknowledge(
    receiver: Receiver, line: Line, status: int, answer: bytes, result: str | None
) -> None:
    """Its body says so, else its status; what makes no sense is no answer, and the link stays."""
    sorter, heard, _ = line
    receiver.answers[4711] = (status, answer)
    assert sorter.send(COMMAND)
    assert sorter.send(replace(COMMAND, seq=4712))
    expected = [] if result is None else [Ack(4711, result, 100.0)]  # type: ignore[arg-type]
    events = list(iter(lambda: heard.events.get(timeout=PATIENCE_S), Ack(4712, "accepted", 100.0)))
    assert events == expected
    assert sorter.malformed == (result is None)
    assert heard.link.empty()


def test_a_receiver_that_does_not_keep_up(receiver: Receiver, line: Line) -> None:
    """The outbox has an end; what waited past its deadline never leaves; commands go before all else."""
    sorter, _, clock = line
    receiver.open_for_more.clear()
    sorter.publish("piece", {"seq": 0})
    assert receiver.next()["topic"] == "piece"
    sorter.publish("piece", {"seq": 1})
    sent = [sorter.send(replace(COMMAND, seq=seq, deadline_s=100 + seq)) for seq in range(1, 10)]
    assert sent == [True] * 8 + [False]
    clock.seconds = 106.5
    receiver.open_for_more.set()
    assert [receiver.next()["message"]["seq"] for _ in range(3)] == [7, 8, 1]
    assert sorter.dropped == 7


def test_a_receiver_that_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept for it; it is found again by itself."""
    monkeypatch.setattr(webhook, "_PAUSES_S", (0.02,))
    port = free_port()
    sorter, heard = WebhookSorter(config(port), clock=FakeClock()), Heard()
    sorter.start(heard)
    assert not sorter.send(COMMAND)
    sorter.publish("piece", {"seq": 1})
    receiver = Receiver(port)
    assert heard.link.get(timeout=PATIENCE_S) is True
    assert sorter.send(replace(COMMAND, seq=2))
    assert receiver.next()["message"]["seq"] == 2
    assert receiver.posts.empty()
    assert sorter.dropped == 2
    sorter.close()
    receiver.stop()


def test_a_receiver_that_hangs(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    """After the timeout the link is down; the command is not sent a second time."""
    monkeypatch.setattr(webhook, "_TIMEOUT_S", 0.1)
    monkeypatch.setattr(webhook, "_PAUSES_S", (0.02,))
    sorter, heard = WebhookSorter(config(receiver.server_port), clock=FakeClock()), Heard()
    sorter.start(heard)
    assert heard.link.get(timeout=PATIENCE_S) is True
    receiver.open_for_more.clear()
    assert sorter.send(COMMAND)
    assert heard.link.get(timeout=PATIENCE_S) is False
    assert heard.link.get(timeout=PATIENCE_S) is True
    receiver.open_for_more.set()
    sorter.publish("piece", {"seq": 9})
    assert [receiver.next()["topic"] for _ in range(2)] == ["cmd/sort", "piece"]
    assert heard.events.empty()
    sorter.close()


def test_an_answer_that_has_no_end(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    """One byte now and then does not hold the line up: the link is down after the timeout, and opened anew."""
    monkeypatch.setattr(webhook, "_TIMEOUT_S", 0.1)
    receiver.drips = True
    sorter, heard = WebhookSorter(config(receiver.server_port), clock=FakeClock()), Heard()
    sorter.start(heard)
    assert heard.link.get(timeout=PATIENCE_S) is True
    assert sorter.send(COMMAND)
    assert heard.link.get(timeout=PATIENCE_S) is False
    assert heard.events.empty()
    receiver.open_for_less.set()
    sorter.close()
