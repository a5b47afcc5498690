"""An ESP32-CAM with the firmware that it is sold with: two HTTP servers on loopback, and its quirks.

`/capture` gives one JPEG, `/stream` on the other port JPEG after JPEG in chunks; both stamp each picture with the
camera's own clock. It has no thread to spare: one client at a time on each port. What it does wrong can be set:
pictures without their last two bytes, pictures that were kept since long before, answers that dribble, connections that
are dropped, pictures that are cut off, and a radio that is gone for a while.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from PIL import Image
from tests.line.sources.cameras import serve

__all__ = ["Esp32Cam"]

_BOUNDARY = "123456789000000000000987654321"
_SEGMENT = 1436  # bytes that its network sends at once


@dataclass
class Esp32Cam:
    """The camera; use it in a `with` block.

    Attributes:
        behind: `/capture` gives the picture of so many requests ago, as a driver that fills its buffers and waits does.
        no_end: every so many pictures lacks its end mark.
        cut: every so many is cut off in the middle, though its length is right.
        drops: the connection is closed without an answer at every so many requests, or pictures of the stream.
        dribble_s: pause between two segments.
        frame_s: from picture to picture of the stream.
        gap: at this picture of the stream the radio is gone for `gap_s`; what waited then comes at once.
        stamps: whether pictures are stamped; old firmware does not.
        lengths: whether the parts of the stream tell theirs.
        now: its clock.
        requests: how many came.
        exposed: when each picture was taken, by its number.
    """

    behind: int = 0
    no_end: int = 0
    cut: int = 0
    drops: int = 0
    dribble_s: float = 0.0
    frame_s: float = 0.02
    gap: int = 0
    gap_s: float = 0.0
    stamps: bool = True
    lengths: bool = True
    now: Callable[[], float] = time.monotonic
    requests: int = 0
    exposed: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._started = self.now()
        self._busy = threading.Lock()
        self._kept: deque[int] = deque()
        self._stack = ExitStack()
        self.port = self._stack.enter_context(serve(self._capture))
        self.stream_port = self._stack.enter_context(serve(self._stream))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def capture_url(self) -> str:
        """Of one picture."""
        return f"http://127.0.0.1:{self.port}/capture"

    @property
    def stream_url(self) -> str:
        """Of the stream."""
        return f"http://127.0.0.1:{self.stream_port}/stream"

    def number(self, image: np.ndarray) -> int:
        """Which picture it is: its shade tells, 5 apart."""
        return round(float(image[:20].mean()) / 5)  # the upper part: the lower may be cut off

    def _expose(self) -> int:
        self.exposed.append(self.now())
        return len(self.exposed) - 1

    def _picture(self, number: int) -> bytes:
        shade = np.full((120, 160, 3), 5 * (number % 50), dtype=np.uint8)
        # Noise below makes it as long as real ones, so that it comes in several segments.
        shade[60:] = np.random.default_rng(number).integers(0, 255, (60, 160, 3))
        data = io.BytesIO()
        Image.fromarray(shade).save(data, "JPEG", quality=90)
        jpeg = data.getvalue()
        if self.no_end and number % self.no_end == 0:
            jpeg = jpeg[:-2]
        if self.cut and number % self.cut == self.cut - 1:
            jpeg = jpeg[: len(jpeg) // 2] + bytes(len(jpeg) - len(jpeg) // 2)
        return jpeg

    def _stamp(self, number: int) -> str:
        return f"X-Timestamp: {self.exposed[number] - self._started:.6f}\r\n" if self.stamps else ""

    def _send(self, connection: socket.socket, data: bytes) -> None:
        for start in range(0, len(data), _SEGMENT):
            connection.sendall(data[start : start + _SEGMENT])
            if self.dribble_s:
                time.sleep(self.dribble_s)

    def _capture(self, connection: socket.socket, _number: int) -> None:
        while True:
            if not _read_request(connection):
                return
            self.requests += 1
            if self.drops and self.requests % self.drops == 0:
                return
            with self._busy:
                while len(self._kept) <= self.behind:
                    self._kept.append(self._expose())
                number = self._kept.popleft()
                body = self._picture(number)
                head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n"
                head += "Content-Disposition: inline; filename=capture.jpg\r\nAccess-Control-Allow-Origin: *\r\n"
                self._send(connection, (head + self._stamp(number) + "\r\n").encode() + body)

    def _stream(self, connection: socket.socket, _number: int) -> None:
        with suppress(OSError), self._busy:  # a second client waits until the first has gone
            if not _read_request(connection):
                return
            self.requests += 1
            head = f"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary={_BOUNDARY}\r\n"
            connection.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
            waiting: list[bytes] = []
            for position in range(1, 100000):
                number = self._expose()
                body = self._picture(number)
                length = f"Content-Length: {len(body)}\r\n" if self.lengths else ""
                part = f"Content-Type: image/jpeg\r\n{length}{self._stamp(number)}\r\n".encode()
                waiting += [f"\r\n--{_BOUNDARY}\r\n".encode(), part, body]
                if self.drops and position % self.drops == 0:
                    return
                is_away = self.gap and self.gap <= position < self.gap + self.gap_s / self.frame_s
                while waiting and not is_away:
                    chunk = waiting.pop(0)
                    self._send(connection, f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                time.sleep(self.frame_s)


def _read_request(connection: socket.socket) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(4096)
        if not part:
            return False
        data += part
    return True
