"""Events for many readers: none is lost but those that pass, and none holds a thread."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.line.watched import WatchedLine
from tests.patience import PATIENCE_S

from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings
from binsight.serving.streams import Broadcaster, Event, Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine gives; on a thread of its own, since browser tests leave a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def subscription(room: int = 3, without: tuple[str, ...] = ()) -> Subscription:
    """Return a place for one reader."""
    return Subscription(lambda: b"anew", room=room, without=without, on_close=lambda _: None)


def put(place: Subscription, *events: Event) -> None:
    """Let events wait."""
    place.put([(event, event.encode()) for event in events])


def test_encoding() -> None:
    """As the standard has it: a name, one line of data, an empty line."""
    assert Event("piece", {"id": "a\nb"}).encode() == b'event: piece\ndata: {"id":"a\\nb"}\n\n'


def test_a_slow_reader_gets_all_but_old_frames() -> None:
    """Events come in order; of frames only the newest."""
    place = subscription()
    put(place, Event("frame", 1, passing=True), Event("piece", 1))
    put(place, Event("piece", 2), Event("frame", 2, passing=True))
    assert run(place.next()) == (b"event: piece\ndata: 1\n\nevent: piece\ndata: 2\n\nevent: frame\ndata: 2\n\n")


def test_a_reader_that_is_too_slow_begins_anew() -> None:
    """Where events had to be left out, all that counts is said instead; then it goes on as before."""

    async def read() -> list[bytes | None]:
        place = subscription(room=2)
        put(place, *(Event("piece", n) for n in range(3)))
        first = await place.next()
        put(place, Event("piece", 4))
        return [first, await place.next()]

    assert run(read()) == [b"anew", b"event: piece\ndata: 4\n\n"]


def test_unwanted_events_are_left_out() -> None:
    """A reader without frames gets none."""
    place = subscription(without=("frame",))
    put(place, Event("frame", 1, passing=True), Event("piece", 1))
    assert run(place.next()) == b"event: piece\ndata: 1\n\n"


def test_closing_ends_the_waiting() -> None:
    """From another thread, too."""

    async def read() -> bytes | None:
        place = subscription()
        threading.Timer(0, place.close).start()
        return await place.next()

    assert run(read()) is None


def test_news_are_collected_only_while_somebody_listens() -> None:
    """Encoded once for all readers; the thread ends with the last of them."""
    collected = threading.Semaphore(0)

    def collect() -> list[Event]:
        collected.release()
        return [Event("overview", 1, passing=True)]

    broadcaster = Broadcaster(collect, lambda: Event("anew", {}), period_s=0.001)
    assert not collected.acquire(timeout=0.02)
    readers = [broadcaster.subscribe() for _ in range(3)]
    assert [run(reader.next()) for reader in readers] == [b"event: overview\ndata: 1\n\n"] * 3
    thread = broadcaster._thread
    assert thread is not None
    broadcaster.close()
    assert (broadcaster.readers, broadcaster._thread, thread.is_alive()) == (0, None, False)


def test_a_fault_ends_no_stream(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be collected now may be later."""
    answers: list[Any] = [OSError("away"), [Event("overview", 1)]]

    def collect() -> list[Event]:
        answer = answers.pop(0) if answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    broadcaster = Broadcaster(collect, lambda: Event("anew", {}), period_s=0.001)
    assert run(broadcaster.subscribe().next()) == b"event: overview\ndata: 1\n\n"
    broadcaster.close()
    assert "could not be collected" in caplog.text


class Listener:
    """A client that reads events from a socket."""

    def __init__(self, url: str, path: str = "/lines/line1/events") -> None:
        host, port = url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")

    def until(self, name: str) -> Any:
        """Read up to an event, and return its data."""
        for row in self.file:
            if row.strip() == b"event: " + name.encode():
                return json.loads(next(iter(self.file)).removeprefix(b"data: "))
        raise EOFError(name)

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def serve_line(shared_bundle: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[WatchedLine, RunningServer]]]:
    """Start servers with a line."""
    made: list[tuple[WatchedLine, RunningServer]] = []

    def start(**values: Any) -> tuple[WatchedLine, RunningServer]:
        line = WatchedLine(tmp_path)
        settings = Settings(models=(str(shared_bundle),), port=0, access_log=False, queue_size=32, **values)
        server = RunningServer(settings, lines=[line.monitor])
        server.load()
        made.append((line, server))
        return made[-1]

    yield start
    for line, server in made:
        if server.service.state != "draining":  # a test may have stopped it
            server.stop()
        line.close()


def test_events_over_the_wire(serve_line: Callable[..., tuple[WatchedLine, RunningServer]]) -> None:
    """All that counts first, then what happens, as it happens."""
    line, server = serve_line()
    line.piece()
    listener = Listener(server.url)
    assert listener.until("anew")["overview"]["pieces"] == 1
    piece = line.piece()
    while piece.id not in [entry["id"] for entry in listener.until("pieces")]:
        pass
    line.show(1, {1: piece})
    assert listener.until("frame")["boxes"][0]["id"] == piece.id
    line.engine.alarms.set("link", active=True)
    assert listener.until("alarm")["code"] == "link"
    assert listener.until("overview")["alarms"][0]["code"] == "link"
    listener.close()


def test_listeners_hold_no_thread(serve_line: Callable[..., tuple[WatchedLine, RunningServer]]) -> None:
    """A hundred listeners, more than there are threads, each get their events."""
    before = set(threading.enumerate())
    line, server = serve_line()
    listeners = [Listener(server.url, "/lines/line1/events?frames=0") for _ in range(100)]
    for listener in listeners:
        listener.until("anew")
    line.piece()
    for listener in listeners:
        listener.until("pieces")
    assert sum(thread.name == "binsight-events" for thread in set(threading.enumerate()) - before) == 1
    for listener in listeners:
        listener.close()


def test_draining_ends_the_streams(serve_line: Callable[..., tuple[WatchedLine, RunningServer]]) -> None:
    """A server that stops sends its listeners away in good order, and does not wait for them."""
    _, server = serve_line(drain_timeout_s=20)
    listener = Listener(server.url)
    listener.until("anew")
    assert server.stop()
    assert listener.file.read().endswith(b"0\r\n\r\n")
    listener.close()
