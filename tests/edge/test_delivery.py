"""Results are told once they can be, and asked about once there is somebody to ask."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.line.services import free_port

from binsight.edge.delivery import Delivery, Server, Webhook
from binsight.edge.outbox import Entry, Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWER = {
    "predicted_category": "green", "confidence": 0.99, "decision": "accept", "reason": None, "stream": "compost",
}  # fmt: skip


class Taker:
    """A sink that takes results while it is open, and notes them."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open
        self.taken: list[int] = []
        self.tried = threading.Event()

    def deliver(self, entry: Entry) -> bool:
        if self.is_open:
            self.taken.append(entry.seq)
        self.tried.set()
        return self.is_open

    def close(self) -> None:
        self.is_open = False


class Web:
    """A web server that notes what it gets and gives the answers it is told to: status and body."""

    def __init__(self, port: int, *answers: tuple[int, bytes]) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.arrived = threading.Semaphore(0)
        web, left = self, list(answers)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.got.append((self.path, dict(self.headers), body))
                status, answer = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
                web.arrived.release()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """Return an empty store."""
    found = Outbox(tmp_path / "edge.sqlite", max_bytes=10_000_000)
    yield found
    found.close()


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr("binsight.edge.delivery._PAUSES_S", (0.01,))


def empty(outbox: Outbox) -> None:
    """Wait until all is told."""
    for _ in range(3000):
        if not outbox.waiting():
            return
        outbox.wait(outbox.changes, 0.01)
    raise TimeoutError("results still wait")


def test_every_sink_gets_each_result_once(outbox: Outbox) -> None:
    """Also where one of them takes nothing for a while."""
    ready, away = Taker(), Taker(is_open=False)
    for _ in range(3):
        outbox.put({})
    delivery = Delivery(outbox, [ready, away], None)
    delivery.start()
    assert away.tried.wait(30)
    away.is_open = True
    empty(outbox)
    delivery.close(wait_s=0)
    assert ready.taken == away.taken == [1, 2, 3]


def test_the_server_is_asked_about_pictures_and_others_do_not_wait_for_it(outbox: Outbox) -> None:
    """It is away at first."""
    port = free_port()
    outbox.put({"category": "red", "decision": "review"}, b"picture")
    outbox.put({"category": "blue", "decision": "accept"})
    told: list[dict[str, Any]] = []

    class Noting(Taker):
        def deliver(self, entry: Entry) -> bool:
            told.append(entry.message)
            return super().deliver(entry)

    taker = Noting()
    delivery = Delivery(outbox, [taker], Server(f"http://127.0.0.1:{port}", key="secret"))
    delivery.start()
    assert taker.tried.wait(30)
    assert [message["seq"] for message in told] == [2]
    web = Web(port, (503, b""), (200, json.dumps(ANSWER).encode()))
    try:
        empty(outbox)
    finally:
        delivery.close(wait_s=0)
        web.close()
    assert told[1] == {
        "category": "green", "confidence": 0.99, "decision": "accept", "reason": None, "stream": "compost",
        "seq": 1, "decided_by": "server",
    }  # fmt: skip
    path, headers, body = web.got[0]
    assert (path, headers["Authorization"], headers["Content-Type"], body) == (
        "/predict", "Bearer secret", "image/jpeg", b"picture",
    )  # fmt: skip


def test_a_picture_that_the_server_refuses_is_told_as_the_device_saw_it(outbox: Outbox) -> None:
    """For good: it would refuse it again."""
    web, taker = Web(0, (415, b"")), Taker()
    outbox.put({"decided_by": "device"}, b"no picture")
    delivery = Delivery(outbox, [taker], Server(web.url))
    delivery.start()
    empty(outbox)
    delivery.close(wait_s=0)
    web.close()
    assert (len(web.got), taker.taken) == (1, [1])


def test_a_webhook_gets_the_messages_of_a_line(outbox: Outbox) -> None:
    """With a key by which it knows one that comes twice; what it refuses for good is not sent again."""
    web = Web(0, (500, b""), (200, b""), (400, b""), (200, b""))
    for number in range(3):
        outbox.put({"n": number})
    delivery = Delivery(outbox, [Webhook(f"{web.url}/hook?a=1", device="bin7")], None)
    delivery.start()
    empty(outbox)
    delivery.close(wait_s=0)
    web.close()
    assert [(path, headers["Idempotency-Key"]) for path, headers, _ in web.got] == [
        ("/hook?a=1", "bin7-1"), ("/hook?a=1", "bin7-1"), ("/hook?a=1", "bin7-2"), ("/hook?a=1", "bin7-3"),
    ]  # fmt: skip
    assert json.loads(web.got[0][2]) == {"line": "bin7", "topic": "piece", "message": {"n": 0, "seq": 1}}


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b"\xff"])
def test_an_answer_that_is_none_is_asked_for_again(answer: bytes) -> None:
    """Somebody else's server, or a proxy's page."""
    web = Web(0, (200, answer))
    server = Server(web.url)
    try:
        with pytest.raises(OSError, match="expected the answer of binsight serve"):
            server.ask(Entry(1, {}, b"x"))
    finally:
        server.close()
        web.close()
