"""A connection to a camera that speaks HTTP: kept, and every read of it has an end."""

from __future__ import annotations

import base64
import hashlib
import http.client
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import ClassVar
from urllib.parse import SplitResult, unquote, urlsplit

from binsight.addresses import open_http, request_target
from binsight.imaging import ImageLimits, decode_image
from binsight.line.ports import Clock
from binsight.line.sources.slot import Shot
from binsight.line.sources.stamps import StampClock

__all__ = ["HttpCamera", "HttpPictures"]

_CHUNK = 65536


class HttpCamera:
    """One connection to a camera, and what is remembered of its pictures.

    Basic authentication is taken from the address.
    """

    def __init__(self, of: HttpPictures) -> None:
        self._url, self._clock, self._limits = urlsplit(of.url), of.clock, of.limits
        self._headers = {"Accept": of.accept, **_credentials(self._url)}
        self._read_timeout_s = min(of.open_timeout_s, of.read_timeout_s)
        self._connection = open_http(self._url, of.open_timeout_s)
        self._stamps = StampClock()
        self._last = b""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def ask(self) -> http.client.HTTPResponse:
        """Send the request and read the head of the answer.

        Small cameras close a kept connection when they please: then it is asked once more, over a new one.

        Raises:
            OSError: no connection, no answer in time, or one that is not 200.
            HTTPException: no HTTP.
        """
        is_kept = self._connection.sock is not None
        try:
            response = self._send()
        except (ConnectionError, http.client.RemoteDisconnected):
            self._connection.close()
            if not is_kept:
                raise
            response = self._send()
        if response.status != http.client.OK:
            response.close()
            raise OSError(f"expected a picture, got HTTP {response.status} {response.reason}")
        return response

    def read(self, response: http.client.HTTPResponse, deadline_s: float) -> bytes:
        """What has arrived of a body; nothing at its end.

        Raises:
            OSError: the time is over.
        """
        left_s = deadline_s - self._clock.now()
        if left_s <= 0:
            raise TimeoutError(f"the picture was not complete after {self._read_timeout_s:g} s")
        if self._connection.sock is not None:  # gone once the answer says that it closes the connection
            self._connection.sock.settimeout(left_s)
        return response.read1(_CHUNK)

    def shot(self, data: bytes, stamp: str | None, *, arrived_s: float, latest_s: float) -> Shot | None:
        """The picture as a shot; None for the one before once more, byte for byte.

        Args:
            data: of one picture.
            stamp: its header `X-Timestamp`: seconds of the camera's own clock at exposure, as ESP32 cameras send it.
            arrived_s: when it came.
            latest_s: it is taken for no younger than this.
        """
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if digest == self._last:
            return None
        self._last = digest
        stamp_s = _number(stamp)
        taken_s = latest_s if stamp_s is None else min(latest_s, self._stamps.tell(stamp_s, arrived_s))
        return Shot(taken_s, partial(decode_image, data, limits=self._limits))

    def _send(self) -> http.client.HTTPResponse:
        if self._connection.sock is None:
            self._connection.connect()
        self._connection.sock.settimeout(self._read_timeout_s)
        self._connection.request("GET", request_target(self._url), headers=self._headers)
        return self._connection.getresponse()


class HttpPictures(ABC):
    """A camera's pictures: connected to when they are asked for, and until something fails.

    Args:
        url: `http://` or `https://`.
        open_timeout_s: for the connection.
        read_timeout_s: for one picture.
        limits: of one picture.
    """

    accept: ClassVar[str]

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 2.0,
        limits: ImageLimits | None = None,
    ) -> None:
        self.url, self.clock, self.limits = url, clock, limits or ImageLimits()
        self.open_timeout_s, self.read_timeout_s = open_timeout_s, read_timeout_s

    def __call__(self, stop: threading.Event) -> Iterator[Shot]:
        """Connect and give shots.

        Raises:
            OSError: no connection, no picture in time, or not the answer of a camera.
        """
        camera = HttpCamera(self)
        try:
            yield from self._shots(camera, stop)
        except http.client.HTTPException as error:
            raise OSError(f"broken answer ({type(error).__name__} {error})") from error
        finally:
            camera.close()

    @abstractmethod
    def _shots(self, camera: HttpCamera, stop: threading.Event) -> Iterator[Shot]:
        """Ask a camera, until it is enough."""


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _credentials(url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
