"""A camera that answers each request with a JPEG, and does it badly."""

import base64
import threading
import time

import pytest
from tests.line.sources.cameras import jpeg, serve, wait_until
from tests.line.sources.test_reader import RealClock

from binsight.line.sources import reader as reader_module
from binsight.line.sources.opening import open_source
from binsight.line.sources.snapshot import Snapshots


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(reader_module, "_FIRST_PAUSE_S", 0.01)


def request(connection) -> bytes:
    """Read one request from the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(4096)
        if not part:
            raise OSError("closed")
        data += part
    return data


def reply(connection, body: bytes, *, length: int | None = None) -> None:
    """Answer with a body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body) if length is None else length}"
    connection.sendall(head.encode() + b"\r\n\r\n" + body)


def snapshots(port: int, **settings) -> Snapshots:
    """The reader of a camera on this port."""
    settings = {"clock": RealClock(), "frames_per_second": 500, "read_timeout_s": 0.3, **settings}
    return Snapshots(f"http://127.0.0.1:{port}/capture?size=1", **settings)


def test_pictures_come_over_one_kept_connection():
    """Pictures come over one kept connection."""
    connections = []

    def answer(connection, number):
        connections.append(number)
        for shade in range(0, 250, 10):
            assert request(connection).startswith(b"GET /capture?size=1 HTTP/1.1")
            reply(connection, jpeg(shade))

    with serve(answer) as port:
        shots = snapshots(port)(threading.Event())
        assert [round(next(shots).decode().mean()) for _ in range(5)] == [0, 10, 20, 30, 40]
        shots.close()
    assert connections == [0]


def test_age_counts_from_the_request():
    """Age counts from the request."""
    asked = []

    def answer(connection, number):
        request(connection)
        asked.append(time.monotonic())
        reply(connection, jpeg(1))

    with serve(answer) as port:
        before = time.monotonic()
        shot = next(snapshots(port)(threading.Event()))
        assert before <= shot.captured_s <= asked[0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + jpeg(1)),
            "too early|not complete|timed",
        ),
        (lambda c: reply(c, b"<html>busy</html>"), "web page"),
        (lambda c: reply(c, b""), "0 bytes"),
        (lambda c: c.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), "HTTP 503 Busy"),
        (lambda c: c.sendall(b"nonsense\r\n\r\n"), "broken answer"),
        (lambda c: None, "broken answer|closed"),
        (lambda c: reply(c, jpeg(1), length=10**12), "too early|not complete|timed"),
    ],
)
def test_a_bad_answer_is_an_error_in_time(bad, message):
    """Also one that stops in the middle: it is given up when its time is over."""

    def answer(connection, number):
        request(connection)
        bad(connection)

    with serve(answer) as port:
        started = time.monotonic()
        with pytest.raises(OSError, match=message):
            next(snapshots(port)(threading.Event()))
        assert time.monotonic() - started < 3


def test_an_answer_that_trickles_is_given_up_when_its_whole_time_is_over():
    """An answer that trickles is given up when its whole time is over."""

    def answer(connection, number):
        request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)

    with serve(answer) as port:
        started = time.monotonic()
        with pytest.raises(OSError, match=r"0\.3 s|timed out"):
            next(snapshots(port)(threading.Event()))
        assert 0.25 < time.monotonic() - started < 3


def test_chunks_and_a_closing_camera_are_fine():
    """Chunked, without length; then HTTP/1.0, where the end of the connection ends the picture."""

    def answer(connection, number):
        request(connection)
        body = jpeg(100 + number)
        if number == 0:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
            for start in range(0, len(body), 100):
                part = body[start : start + 100]
                connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)

    with serve(answer) as port:
        shots = snapshots(port)(threading.Event())
        assert [round(next(shots).decode().mean()) for _ in range(3)] == [100, 101, 102]


def test_the_same_picture_again_is_no_new_one_and_the_camera_stalls():
    """The same picture again is no new one and the camera stalls."""

    def answer(connection, number):
        while True:
            request(connection)
            reply(connection, jpeg(7))

    with serve(answer) as port:
        source = open_source(f"http://127.0.0.1:{port}/", RealClock(), frames_per_second=200, stalled_after_s=0.15)
        try:
            assert source.read(3.0) is not None
            wait_until(lambda: source.state == "stalled")
            assert source.read(0.05) is None
        finally:
            source.close()


def test_a_camera_that_drops_every_connection_is_read_all_the_same():
    """A camera that drops every connection is read all the same."""

    def answer(connection, number):
        request(connection)
        if number % 2:
            reply(connection, jpeg(number % 256))

    with serve(answer) as port:
        source = open_source(f"http://127.0.0.1:{port}/", RealClock(), frames_per_second=100)
        try:
            frames = [source.read(3.0) for _ in range(3)]
            assert all(frame is not None for frame in frames)
        finally:
            source.close()


def test_a_name_and_password_in_the_address_are_sent():
    """A name and password in the address are sent."""
    seen = []

    def answer(connection, number):
        seen.append(request(connection))
        reply(connection, jpeg(1))

    with serve(answer) as port:
        next(Snapshots(f"http://me:p%40ss@127.0.0.1:{port}/", clock=RealClock())(threading.Event()))
    assert b"Authorization: Basic " + base64.b64encode(b"me:p@ss") in seen[0]


def test_a_jpeg_without_its_end_mark_is_shown():
    """Every pixel is there; only the last two bytes are not."""

    def answer(connection, number):
        request(connection)
        reply(connection, jpeg(90)[:-2])

    with serve(answer) as port:
        assert round(next(snapshots(port)(threading.Event())).decode().mean()) == 90
