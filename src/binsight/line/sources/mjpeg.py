"""A camera that sends JPEG after JPEG in one HTTP answer (MJPEG, `multipart/x-mixed-replace`)."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesHeaderParser

from binsight.line.ports import Clock
from binsight.line.sources.http_camera import HttpCamera, HttpPictures
from binsight.line.sources.slot import Shot

__all__ = ["MotionJpeg"]

_MOST_HEAD = 4096


class MotionJpeg(HttpPictures):
    """Pictures as they come, with the time at which they were taken where the camera stamps them, else of arrival.

    After a gap in the network, what waited in the camera arrives at once; its stamps tell that it is old.
    """

    accept = "multipart/x-mixed-replace"

    def _shots(self, camera: HttpCamera, stop: threading.Event) -> Iterator[Shot]:
        with camera.ask() as response:
            for head, data in self._parts(camera, response):
                if stop.is_set():
                    return
                now = self.clock.now()
                shot = camera.shot(data, head.get("X-Timestamp"), arrived_s=now, latest_s=now)
                if shot is not None:
                    yield shot

    def _parts(self, camera: HttpCamera, response: http.client.HTTPResponse) -> Iterator[tuple[Message, bytes]]:
        """The head and the content of each part."""
        # Some cameras announce their boundary with the dashes that only stand before it.
        boundary = str(response.headers.get_param("boundary", "")).lstrip("-")
        if response.headers.get_content_maintype() != "multipart" or not boundary:
            raise OSError(f"expected a stream of JPEGs, got {response.headers.get('Content-Type', 'no content type')}")
        body = _Body(camera, response, self.clock, self.read_timeout_s)
        mark = b"--" + boundary.encode("latin-1", "replace")
        body.until(mark, most=_MOST_HEAD)
        while not (text := body.until(b"\r\n\r\n", most=_MOST_HEAD)).startswith(b"--"):
            head = BytesHeaderParser().parsebytes(text.lstrip())
            length = head.get("Content-Length", "")
            if length.isascii() and length.isdecimal():
                if int(length) > self.limits.max_bytes:
                    raise OSError(f"expected at most {self.limits.max_bytes:,} bytes, got {length[:20]}")
                data = body.exactly(int(length))
                body.until(mark, most=self.limits.max_bytes)  # as a rule after a line end; after a wrong length, later
            else:
                data = body.until(b"\r\n" + mark, most=self.limits.max_bytes)
            yield head, data
            body.begin()


class _Body:
    """The bytes of an answer without end; all that is asked for between two calls of `begin` must come in time."""

    def __init__(self, camera: HttpCamera, response: http.client.HTTPResponse, clock: Clock, timeout_s: float) -> None:
        self._camera, self._response, self._clock, self._timeout_s = camera, response, clock, timeout_s
        self._bytes = bytearray()
        self.begin()

    def begin(self) -> None:
        """The time runs from here."""
        self._deadline_s = self._clock.now() + self._timeout_s

    def until(self, mark: bytes, *, most: int) -> bytes:
        """What stands before the next `mark`, which is taken too."""
        searched = 0
        while (place := self._bytes.find(mark, searched)) < 0:
            searched = max(0, len(self._bytes) - len(mark) + 1)
            if searched > most:
                raise OSError(f"expected {mark!r} within {most:,} bytes of the stream")
            self._fill()
        return self._take(place, len(mark))

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        while len(self._bytes) < size:
            self._fill()
        return self._take(size, 0)

    def _take(self, size: int, more: int) -> bytes:
        taken = bytes(self._bytes[:size])
        del self._bytes[: size + more]
        return taken

    def _fill(self) -> None:
        part = self._camera.read(self._response, self._deadline_s)
        if not part:
            raise OSError("the stream ended")
        self._bytes += part
