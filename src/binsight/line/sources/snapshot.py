"""A camera that gives one JPEG for each HTTP request, as small cameras do."""

from __future__ import annotations

import base64
import hashlib
import http.client
import ssl
import threading
from collections.abc import Iterator
from functools import partial
from urllib.parse import SplitResult, unquote, urlsplit

from binsight.errors import ImageError
from binsight.imaging import ImageLimits, decode_image, read_header
from binsight.line.ports import Clock
from binsight.line.sources.slot import Shot

__all__ = ["Snapshots"]

_CHUNK = 65536


class Snapshots:
    """Asks for picture after picture over one kept connection.

    The time of capture is when the picture was asked for. A picture byte for byte like the one before is the same old
    one: it is not given again, so that a camera that hangs shows as `stalled`. Basic authentication is taken from the
    address.

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
        self._url, self._clock, self._gap_s = urlsplit(url), clock, 1 / frames_per_second
        self._open_timeout_s, self._read_timeout_s = open_timeout_s, read_timeout_s
        self._limits = limits or ImageLimits()

    def __call__(self, stop: threading.Event) -> Iterator[Shot]:
        """Connect and give shots until something fails.

        Raises:
            OSError: no connection, no answer in time, or not the answer of a camera.
        """
        connection = _connect(self._url, self._open_timeout_s)
        last = b""
        try:
            while not stop.is_set():
                asked_s = self._clock.now()
                data = self._fetch(connection, asked_s + self._read_timeout_s)
                digest = hashlib.blake2b(data, digest_size=16).digest()
                if digest != last:
                    last = digest
                    yield Shot(asked_s, partial(decode_image, data, limits=self._limits))
                stop.wait(max(0.0, asked_s + self._gap_s - self._clock.now()))
        except http.client.HTTPException as error:
            raise OSError(f"broken answer ({type(error).__name__} {error})") from error
        finally:
            connection.close()

    def _fetch(self, connection: http.client.HTTPConnection, deadline_s: float) -> bytes:
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(self._read_timeout_s)
        target = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        connection.request("GET", target, headers={"Accept": "image/*", **_credentials(self._url)})
        with connection.getresponse() as response:
            if response.status != http.client.OK:
                raise OSError(f"expected a picture, got HTTP {response.status} {response.reason}")
            data = self._read(response, connection, deadline_s)
        try:
            read_header(data, limits=self._limits)
        except ImageError as error:
            raise OSError(str(error)) from error
        return data

    def _read(
        self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline_s: float
    ) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            left_s = deadline_s - self._clock.now()
            if left_s <= 0:
                raise TimeoutError(f"the picture was not complete after {self._read_timeout_s:g} s")
            if connection.sock is not None:  # gone once the answer says that it closes the connection
                connection.sock.settimeout(left_s)
            part = response.read1(_CHUNK)
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > self._limits.max_bytes:
                raise OSError(f"expected at most {self._limits.max_bytes:,} bytes, got more")
        if response.length:
            raise OSError(f"the picture ends {response.length:,} bytes too early")
        return b"".join(parts)


def _connect(url: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "https":
        return http.client.HTTPSConnection(host, url.port, timeout=timeout_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, url.port, timeout=timeout_s)


def _credentials(url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
