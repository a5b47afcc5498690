"""A camera that gives one JPEG for each HTTP request, as small cameras do."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator

from binsight.errors import ImageError
from binsight.imaging import ImageLimits, read_header
from binsight.line.ports import Clock
from binsight.line.sources.http_camera import HttpCamera
from binsight.line.sources.slot import Shot

__all__ = ["Snapshots"]


class Snapshots:
    """Asks for picture after picture over one kept connection.

    The time of capture is when the picture was asked for; or earlier, when the camera stamps its pictures and gives one
    that it had kept. A picture byte for byte like the one before is the same old one: it is not given again, so that a
    camera that hangs shows as `stalled`.

    Args:
        url: `http://` or `https://`.
        clock: the line's.
        frames_per_second: how often to ask, at most.
        open_timeout_s: for the connection.
        read_timeout_s: for one whole answer, however slowly it trickles.
        limits: of one picture.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        frames_per_second: float = 20.0,
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 2.0,
        limits: ImageLimits | None = None,
    ) -> None:
        self._url, self._clock, self._gap_s = url, clock, 1 / frames_per_second
        self._open_timeout_s, self._read_timeout_s = open_timeout_s, read_timeout_s
        self._limits = limits or ImageLimits()

    def __call__(self, stop: threading.Event) -> Iterator[Shot]:
        """Connect and give shots until something fails.

        Raises:
            OSError: no connection, no answer in time, or not the answer of a camera.
        """
        camera = HttpCamera(
            self._url,
            clock=self._clock,
            accept="image/*",
            open_timeout_s=self._open_timeout_s,
            read_timeout_s=self._read_timeout_s,
            limits=self._limits,
        )
        try:
            while not stop.is_set():
                asked_s = self._clock.now()
                data, stamp = self._fetch(camera, asked_s + self._read_timeout_s)
                shot = camera.shot(data, stamp, arrived_s=self._clock.now(), latest_s=asked_s)
                if shot is not None:
                    yield shot
                stop.wait(max(0.0, asked_s + self._gap_s - self._clock.now()))
        except http.client.HTTPException as error:
            raise OSError(f"broken answer ({type(error).__name__} {error})") from error
        finally:
            camera.close()

    def _fetch(self, camera: HttpCamera, deadline_s: float) -> tuple[bytes, str | None]:
        """One picture, and what the camera says of its time."""
        with camera.ask() as response:
            data = bytearray()
            while part := camera.read(response, deadline_s):
                data += part
                if len(data) > self._limits.max_bytes:
                    raise OSError(f"expected at most {self._limits.max_bytes:,} bytes, got more")
            if response.length:
                raise OSError(f"the picture ends {response.length:,} bytes too early")
            stamp = response.headers.get("X-Timestamp")
        try:
            read_header(bytes(data), limits=self._limits)
        except ImageError as error:
            raise OSError(str(error)) from error
        return bytes(data), stamp
