"""Connections: uvicorn's, with a time limit on the headers and on answers that nobody reads, and our own refusals."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import h11
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from binsight.serving.bridge import MAX_HEADERS, Bridge
from binsight.serving.certificates import load_certificate
from binsight.serving.problems import ProblemError
from binsight.serving.settings import Settings

__all__ = ["HttpServer"]

_WRITE_TIMEOUT_S = 30.0
# Files that a server holds beside its connections: models, logs, libraries.
_OTHER_FILES = 256
_KINDS = {431: "headers_too_large", 501: "unsupported_media_type"}  # 501: a transfer coding other than chunked
_BACKLOG = 1024


class Connection(H11Protocol):
    """A client's connection."""

    _header_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    @property
    def _bridge(self) -> Bridge:
        return cast("Bridge", self.config.app)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Close it at once if there are too many; else its first request has a time limit."""
        super().connection_made(transport)
        if len(self.connections) > self._bridge.service.settings.max_connections:
            transport.abort()
        else:
            self._limit_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time limits."""
        self._set_header_timer(None)
        self._set_write_timer(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Whatever drips in, there is a time for all headers of a request together."""
        if self.conn.their_state is not h11.ERROR:  # what follows nonsense is passed over
            super().data_received(data)
        self._limit_headers()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """A client that has said all that it had to say may still wait for the answer."""
        if self._is_answering and self.cycle.more_body:
            self.conn.receive_data(b"")
            self.handle_events()  # which finds that the body was cut short
        elif self._is_answering:
            self.cycle.keep_alive = False
            return True
        return False

    def pause_writing(self) -> None:
        """The client does not read: that, too, has a time limit."""
        super().pause_writing()
        self._set_write_timer(self.loop.call_later(_WRITE_TIMEOUT_S, self.transport.abort))

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._set_write_timer(None)

    def send_400_response(self, msg: str) -> None:
        """What was no request gets the answer that every refusal gets; a whole one before it is answered first."""
        if self._is_answering and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._refuse(ProblemError(_KINDS.get(status, "bad_request"), str(error or msg)))

    def _limit_headers(self) -> None:
        """While no request is in work, and those for the next began to arrive."""
        if self._is_answering:
            self._set_header_timer(None)
        elif self._header_timer is None:
            seconds = self._bridge.service.settings.header_timeout_s
            self._set_header_timer(self.loop.call_later(seconds, self._end_slow))

    def _set_header_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
        self._header_timer = timer

    def _set_write_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
        self._write_timer = timer

    def _end_slow(self) -> None:
        if self.conn.our_state is h11.IDLE and not self.conn.trailing_data[0]:
            self.transport.close()  # a connection that a browser opened in advance is no request
            return
        self._refuse(ProblemError("slow_upload", "the request's headers did not arrive in time"))

    def _refuse(self, problem: ProblemError) -> None:
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE} and not self.transport.is_closing():
            answer = self._bridge.refuse(problem, self._scope())
            headers = [*self.server_state.default_headers, *answer.headers, (b"connection", b"close")]
            for event in (
                h11.Response(status_code=answer.status, headers=headers),
                h11.Data(data=answer.body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _scope(self) -> dict[str, Any]:
        return {
            "method": "-",
            "raw_path": b"/",
            "query_string": b"",
            "http_version": "1.1",
            "headers": [],
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
        }


class HttpServer:
    """Listens from the start, and answers on a thread of its own.

    Raises:
        OSError: the address cannot be listened on.
        InputError: the certificate or its key cannot be used.
    """

    def __init__(self, bridge: Bridge) -> None:
        settings = bridge.service.settings
        self._bridge = bridge
        allow_files(settings.max_connections + _OTHER_FILES)
        self._server = Server(
            Config(
                bridge,
                http=Connection,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=[("server", "binsight")],
                backlog=_BACKLOG,
                timeout_keep_alive=settings.idle_timeout_s,  # type: ignore[arg-type]  # passed on to `call_later`
                timeout_graceful_shutdown=1,
                h11_max_incomplete_event_size=MAX_HEADERS,
                ssl_context_factory=_tls(settings),
            )
        )
        self._server.config.load()
        self._socket = _listen(settings.host, settings.port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="binsight-http", daemon=True)
        self._thread.start()

    def drain(self, timeout_s: float) -> bool:
        """Let the requests in work finish, while the port stays open and says that others are refused.

        Returns:
            Whether all were finished in time.
        """
        future = asyncio.run_coroutine_threadsafe(self._drain(timeout_s), self._loop)
        return future.result()

    def stop(self) -> None:
        """Close the port and all connections."""
        self._server.should_exit = True
        self._thread.join()
        self._bridge.close()

    async def _drain(self, timeout_s: float) -> bool:
        return await self._bridge.drain(self._server.server_state.tasks, timeout_s)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve(sockets=[self._socket]))


def _tls(settings: Settings) -> Callable[..., ssl.SSLContext] | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    context = load_certificate(settings.tls_certificate, settings.tls_key)
    return lambda *_: context


def allow_files(count: int) -> None:
    """Let this process have so many files open, as far as the system lets it."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - Unix has it

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < count:
            with suppress(OSError, ValueError):
                resource.setrlimit(
                    resource.RLIMIT_NOFILE, (count if hard == resource.RLIM_INFINITY else min(count, hard), hard)
                )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    found = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    # asyncio sends at once (TCP_NODELAY) only where the socket names its protocol; else an answer takes 40 ms longer.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=found.detach())
