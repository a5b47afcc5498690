"""Cheroot's connections, with a time limit on everything a client does and no more memory than it was granted.

Cheroot limits how long a client may be silent; one that sends a byte every few seconds could hold a thread for ever.
Here the line and headers of a request have a deadline as a whole, and so has its body.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cheroot.server import HTTPConnection, HTTPRequest, KnownLengthRFile
from cheroot.ssl import Adapter
from cheroot.wsgi import Server

from binsight.serving.certificates import load_certificate
from binsight.serving.problems import MEDIA_TYPE
from binsight.serving.settings import Settings
from binsight.serving.sockets import ChunkedReader, SocketReader, SocketTimeout, SocketWriter, wait_readable

__all__ = ["HttpServer"]

_log = logging.getLogger("binsight.serving")
# Read further than this only to keep a connection open, and it would have been cheaper to open a new one.
_MAX_SKIP = 1 << 16
_SKIP_S = 1.0
_MAX_HEADERS = 1 << 15
# A refused upload is read over for a moment, so that the client gets to see the answer.
_LINGER_S = 2.0
_LINGER_BYTES = 64_000_000
_DISCARD = 1 << 16
_MIN_SILENCE_S = 5.0
_NEXT_REQUEST_S = 0.01
_CODES = {"408": "slow_upload", "413": "too_large", "500": "internal"}
_ONCE = frozenset({b"Content-Length", b"Transfer-Encoding", b"Host"})


class _Headers(dict[bytes, bytes]):
    """Refuses to guess which of two contradicting headers is meant: a proxy in front might guess differently."""

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if name in _ONCE and name in self:
            raise ValueError(f"{name.decode('latin-1')} given twice")
        super().__setitem__(name, value)


class _Request(HTTPRequest):
    def __init__(self, server: HttpServer, conn: _Connection) -> None:
        super().__init__(server, conn)
        self.inheaders = _Headers()
        conn.request = self

    def read_request_headers(self) -> bool:
        if not super().read_request_headers():  # type: ignore[no-untyped-call]  # as all of Cheroot
            return False
        self.conn.wfile.flush()  # "100 Continue", if the client waits for it
        length = self.inheaders.get(b"Content-Length")
        if length is not None and (self.chunked_read or not length.isdigit() or len(length) > 15):
            self.simple_response("400 Bad Request", "Content-Length is malformed, or beside Transfer-Encoding")
            return False
        return True

    def respond(self) -> None:
        """As Cheroot does, with a deadline and with our own reader of chunks."""
        self.conn.rfile.deadline = time.monotonic() + self.server.body_timeout_s
        length = int(self.inheaders.get(b"Content-Length", 0))
        self.rfile = ChunkedReader(self.conn.rfile) if self.chunked_read else KnownLengthRFile(self.conn.rfile, length)
        self.server.gateway(self).respond()
        if self.ready:
            self.ensure_headers_sent()
        if self.chunked_write:
            self.conn.wfile.write(b"0\r\n\r\n")
        self.conn.wfile.flush()

    def send_headers(self) -> None:
        if self.is_unread() and not self._skip_rest():
            self.close_connection = True
        super().send_headers()

    def _skip_rest(self) -> bool:
        """Read over what is left of the body, if that is little and comes soon, so that the connection can go on."""
        if not isinstance(self.rfile, KnownLengthRFile) or self.rfile.remaining > _MAX_SKIP:
            return False
        self.conn.rfile.deadline = min(self.conn.rfile.deadline, time.monotonic() + _SKIP_S)
        with suppress(OSError):
            self.rfile.read()
        return not self.is_unread()

    def is_unread(self) -> bool:
        """Whether a part of the body was not read."""
        if isinstance(self.rfile, ChunkedReader):
            return not self.rfile.finished
        return getattr(self.rfile, "remaining", 0) > 0

    def simple_response(self, status: str, msg: str = "") -> None:
        """What HTTP itself forbids is a problem document, too; the connection ends with it."""
        number, _, title = str(status).partition(" ")
        code = _CODES.get(number, "bad_request")
        problem = {
            "type": f"/docs#problem-{code}",
            "title": title,
            "status": int(number),
            "code": code,
            "detail": str(msg)[:200],
        }
        body = json.dumps(problem).encode()
        fields = (f"Content-Type: {MEDIA_TYPE}", f"Content-Length: {len(body)}", "Connection: close")
        head = "\r\n".join((f"HTTP/1.1 {status}", *fields, "", ""))
        self.close_connection = True
        with suppress(OSError):
            self.conn.wfile.write(head.encode("latin-1", "replace") + body)
            self.conn.wfile.flush()


class _Connection(HTTPConnection):
    RequestHandlerClass = _Request

    def __init__(self, server: HttpServer, sock: socket.socket, _makefile: object = None) -> None:
        timeout = SocketTimeout(sock, server.silence_s)
        super().__init__(
            server,
            sock,
            lambda sock, mode, _: SocketReader(sock, timeout) if "r" in mode else SocketWriter(sock, timeout),
        )
        self.request: _Request | None = None
        self.is_new = True
        server.count_connection(1)

    def communicate(self) -> bool:
        """Serve requests for as long as one follows soon on the other; says whether the connection stays open."""
        while self._serve_one():
            if not self._is_next_soon():
                return True
        return False

    def _is_next_soon(self) -> bool:
        """Wait a moment for the client's next request, which spares two changes of threads; not while others wait."""
        if self.rfile.has_data():
            return True
        if not self.server.ready or self.server.requests.qsize:
            return False
        return wait_readable(self.socket, _NEXT_REQUEST_S)

    def _serve_one(self) -> bool:
        self.is_new = False
        self.rfile.deadline = time.monotonic() + self.server.header_timeout_s
        try:
            return bool(super().communicate())  # type: ignore[no-untyped-call]  # as all of Cheroot
        except TimeoutError:
            return False

    def close(self) -> None:
        if self.rfile.closed:
            return
        self.server.count_connection(-1)
        request, self.request = self.request, None
        if request is not None and request.is_unread():
            self._linger()
        super().close()

    def _linger(self) -> None:
        """Read over the rest for a moment: closing at once would make the client's system discard the answer."""
        end, left = time.monotonic() + _LINGER_S, _LINGER_BYTES
        with suppress(OSError, ValueError):
            self.socket.shutdown(socket.SHUT_WR)
            while left > 0 and (wait := end - time.monotonic()) > 0:
                self.socket.settimeout(wait)
                data = self.socket.recv(_DISCARD)
                if not data:
                    return
                left -= len(data)


class _TlsAdapter(Adapter):
    """Leaves the handshake to the thread that reads the request, so that a slow one holds up nobody else."""

    def __init__(self, certificate: str, key: str) -> None:
        super().__init__(certificate, key)
        self.context = load_certificate(Path(certificate), Path(key))

    def wrap(self, sock: socket.socket) -> tuple[socket.socket, dict[str, str]]:
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def bind(self, sock: socket.socket) -> socket.socket:
        return sock

    def get_environ(self) -> dict[str, str]:
        return {}

    def makefile(self, sock: socket.socket, mode: str = "r", bufsize: int = -1) -> None:
        """Not used: the connection makes its own."""


class HttpServer(Server):
    """Serves a WSGI application under the limits of the settings."""

    ConnectionClass = _Connection
    # Connections are limited as a whole, see `max_connections`.
    keep_alive_conn_limit = 1 << 30
    max_request_header_size = _MAX_HEADERS

    def __init__(self, settings: Settings, application: Any, *, threads: int) -> None:
        super().__init__(
            (settings.host, settings.port),
            application,
            numthreads=threads,
            max=threads,
            server_name="binsight",
            request_queue_size=min(settings.max_connections, 1024),
        )
        self.timeout, self.shutdown_timeout = settings.idle_timeout_s, settings.drain_timeout_s
        self.max_request_body_size = settings.max_body_bytes
        self.header_timeout_s, self.body_timeout_s = settings.header_timeout_s, settings.body_timeout_s
        self.silence_s = max(settings.header_timeout_s, _MIN_SILENCE_S)
        self._max_connections = settings.max_connections
        self._connection_count = 0
        self._counting = threading.Lock()
        if settings.tls_certificate is not None and settings.tls_key is not None:
            self.ssl_adapter = _TlsAdapter(str(settings.tls_certificate), str(settings.tls_key))

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind, or close the socket."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def count_connection(self, change: int) -> None:
        """A connection was opened or closed."""
        with self._counting:
            self._connection_count += change

    def process_conn(self, conn: _Connection) -> None:
        """A new connection waits for its first byte without a thread; one with a request gets one."""
        if not conn.is_new:
            super().process_conn(conn)
        elif self._connection_count > self._max_connections:
            conn.close()
        else:
            conn.is_new = False
            self._connections.put(conn)  # type: ignore[attr-defined]  # set by `prepare`

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Cheroot's messages, in our log."""
        _log.log(min(level, logging.WARNING) if "socket.error" in msg else level, "%s", msg, exc_info=traceback)
