"""A camera that gives one JPEG for each HTTP request, as small cameras do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from binsight.errors import ImageError
from binsight.imaging import read_header
from binsight.line.sources.http_camera import HttpCamera, HttpPictures
from binsight.line.sources.slot import Shot

__all__ = ["Snapshots"]


class Snapshots(HttpPictures):
    """Asks for picture after picture over one kept connection.

    The time of capture is when the picture was asked for; or earlier, when the camera stamps its pictures and gives one
    that it had kept. A picture byte for byte like the one before is the same old one: it is not given again, so that a
    camera that hangs shows as `stalled`.

    Args:
        frames_per_second: how often to ask, at most.
        options: as for every `HttpPictures`.
    """

    accept = "image/*"

    def __init__(self, url: str, *, frames_per_second: float = 20.0, **options: Any) -> None:
        super().__init__(url, **options)
        self._gap_s = 1 / frames_per_second

    def _shots(self, camera: HttpCamera, stop: threading.Event) -> Iterator[Shot]:
        while not stop.is_set():
            asked_s = self.clock.now()
            data, stamp = self._fetch(camera, asked_s + self.read_timeout_s)
            shot = camera.shot(data, stamp, arrived_s=self.clock.now(), latest_s=asked_s)
            if shot is not None:
                yield shot
            stop.wait(max(0.0, asked_s + self._gap_s - self.clock.now()))

    def _fetch(self, camera: HttpCamera, deadline_s: float) -> tuple[bytes, str | None]:
        """One picture, and what the camera says of its time."""
        with camera.ask() as response:
            data = bytearray()
            while part := camera.read(response, deadline_s):
                data += part
                if len(data) > self.limits.max_bytes:
                    raise OSError(f"expected at most {self.limits.max_bytes:,} bytes, got more")
            if response.length:
                raise OSError(f"the picture ends {response.length:,} bytes too early")
            stamp = response.headers.get("X-Timestamp")
        try:
            read_header(bytes(data), limits=self.limits)
        except ImageError as error:
            raise OSError(str(error)) from error
        return bytes(data), stamp
