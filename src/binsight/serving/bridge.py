"""From ASGI to the WSGI application: bodies are received without a thread, and only whole requests get one.

So a client that trickles its upload holds a socket and the bytes that it sent, and nothing that others wait for.

References:
    ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html; WSGI: PEP 3333.
"""

from __future__ import annotations

import asyncio
import io
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask
from werkzeug.test import run_wsgi_app

from binsight.serving.problems import ProblemError
from binsight.serving.service import Service, draining
from binsight.serving.streams import STREAMS, Subscription
from binsight.serving.uploads import ADMITTED, BEGUN, REFUSED, BodyAwaited, Holding, body_too_large

__all__ = ["MAX_HEADERS", "Bridge", "RawAnswer"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# As much comes together with the headers: nothing would be gained by asking the application before it is received.
_SMALL = 1 << 16
MAX_HEADERS = 1 << 15
# For the answers to those who were cut off.
_LAST_WORD_S = 2.0


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer, as it is sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class _Awaited:
    """Stands for a body that is not there yet."""

    def read(self, size: int) -> bytes:
        raise BodyAwaited(size)


class _GoneError(Exception):
    """The client went away."""


class Bridge:
    """An ASGI application that runs `application` on threads.

    Args:
        application: answers; before a large body is received it is asked whether it wants it.
        service: whose settings, budget and state count.
        threads: requests in work at a time.
    """

    def __init__(self, application: Flask, service: Service, *, threads: int) -> None:
        self.service = service
        self._application = application
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="binsight-http")
        # Few: when a thousand uploads begin at once, probes must not wait behind all of the questions.
        self._asking = ThreadPoolExecutor(2, thread_name_prefix="binsight-ask")
        self._receiving: set[asyncio.Timeout] = set()
        self._streams: set[Subscription] = set()
        self._cut_at = float("inf")
        self._cut = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        streams: list[Subscription] = []
        environ = _environ(scope) | {STREAMS: streams}
        with self.service.budget.hold() as holding:
            try:
                answer = await self._answer(environ, receive, holding)
            except _GoneError:
                return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": bool(streams)})
        for stream in streams:
            await self._continue(stream, receive, send)

    def refuse(self, problem: ProblemError, scope: Message) -> RawAnswer:
        """The answer to what was no request at all; it gets an id and is logged and counted like any other."""
        answer = self._run({**_environ(scope), REFUSED: problem, "wsgi.input": io.BytesIO()})
        assert isinstance(answer, RawAnswer)  # noqa: S101 - nobody awaits this body
        return answer

    async def drain(self, requests: Iterable[asyncio.Task[None]], timeout_s: float) -> bool:
        """Let those requests finish; who has not sent all of it by then gets 503.

        Returns:
            Whether all were finished in time.
        """
        self._cut_at = asyncio.get_running_loop().time() + timeout_s
        for stream in list(self._streams):
            stream.close()
        for limit in self._receiving:
            limit.reschedule(min(limit.when() or self._cut_at, self._cut_at))
        pending: set[asyncio.Task[None]] = set()
        if tasks := set(requests):
            _, pending = await asyncio.wait(tasks, timeout=timeout_s + _LAST_WORD_S)
        return not pending and not self._cut

    def close(self) -> None:
        """Take no more requests."""
        self._pool.shutdown(wait=False)
        self._asking.shutdown(wait=False)

    async def _answer(self, environ: dict[str, Any], receive: Receive, holding: Holding) -> RawAnswer:
        loop, body = asyncio.get_running_loop(), b""
        size = 0 if REFUSED in environ else int(environ.get("CONTENT_LENGTH") or 0)
        is_chunked = "HTTP_TRANSFER_ENCODING" in environ and REFUSED not in environ
        if size > _SMALL or is_chunked or "HTTP_EXPECT" in environ:
            early = await loop.run_in_executor(self._asking, self._run, {**environ, "wsgi.input": _Awaited()})
            if isinstance(early, RawAnswer):
                return early
            environ[ADMITTED], size = True, early
        if size:
            try:
                body = await self._receive(receive, size, holding)
            except ProblemError as problem:
                environ[REFUSED] = problem
        answer = await loop.run_in_executor(self._pool, self._run, {**environ, "wsgi.input": io.BytesIO(body)})
        assert isinstance(answer, RawAnswer)  # noqa: S101 - the body is there
        return answer

    async def _continue(self, stream: Subscription, receive: Receive, send: Send) -> None:
        """Send what comes, without a thread, until it ends or the client goes away."""
        gone = asyncio.ensure_future(_until_gone(receive))
        gone.add_done_callback(lambda _: stream.close())
        self._streams.add(stream)
        if self._cut_at != float("inf"):
            stream.close()
        try:
            while (part := await stream.next()) is not None:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._streams.discard(stream)
            stream.close()
            gone.cancel()

    async def _receive(self, receive: Receive, limit: int, holding: Holding) -> bytes:
        """The body, up to `limit` bytes.

        Raises:
            ProblemError: it came too slowly, is too large, or there is no memory left for it.
        """
        loop, body, more = asyncio.get_running_loop(), io.BytesIO(), True
        try:
            async with asyncio.timeout_at(
                min(loop.time() + self.service.settings.body_timeout_s, self._cut_at)
            ) as deadline:
                self._receiving.add(deadline)
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    holding.grow(len(message["body"]))
                    if body.tell() + len(message["body"]) > limit:  # of a body that did not say its length
                        raise body_too_large(limit - 1)
                    body.write(message["body"])
                    more = message["more_body"]
        except TimeoutError:
            if loop.time() >= self._cut_at:
                self._cut += 1
                raise draining() from None
            raise ProblemError("slow_upload", "the request's body did not arrive in time") from None
        finally:
            self._receiving.discard(deadline)
        return body.getvalue()

    def _run(self, environ: dict[str, Any]) -> RawAnswer | int:
        """The application's answer, or the size of the body that it waits for."""
        try:
            parts, status, headers = run_wsgi_app(self._application, environ, buffered=True)
        except BodyAwaited as awaited:
            return awaited.size
        fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return RawAnswer(int(status.split(" ", 1)[0]), fields, b"".join(parts))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _environ(scope: Message) -> dict[str, Any]:
    """PEP 3333's variables, without the body."""
    host, raw_path = _target(scope["raw_path"].decode("latin-1"))
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(raw_path).decode("latin-1") or "/",
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": (scope["server"] or ("localhost",))[0],
        "SERVER_PORT": str((scope["server"] or ("", 0))[1]),
        "REMOTE_ADDR": (scope["client"] or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        BEGUN: time.perf_counter(),
    }
    _add_headers(environ, scope["headers"])
    if host:
        environ["HTTP_HOST"] = host
    if fault := _fault(scope, environ):
        environ[REFUSED] = fault
    return environ


def _target(raw_path: str) -> tuple[str, str]:
    """Host and path of a request's target in absolute form, RFC 9112 section 3.2.2; in any other, it is the path."""
    if raw_path.startswith("/"):
        return "", raw_path
    with suppress(ValueError):
        parts = urlsplit(raw_path)
        if parts.scheme in {"http", "https"}:
            return parts.netloc.rpartition("@")[2], parts.path
    return "", raw_path


def _add_headers(environ: dict[str, Any], headers: Iterable[tuple[bytes, bytes]]) -> None:
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").upper(), raw_value.decode("latin-1")
        if "_" in name:  # would be taken for the name with a hyphen, which a proxy may have checked
            continue
        key = name.replace("-", "_") if name in {"CONTENT-TYPE", "CONTENT-LENGTH"} else "HTTP_" + name.replace("-", "_")
        environ[key] = f"{environ[key]},{value}" if key in environ else value


def _fault(scope: Message, environ: dict[str, Any]) -> ProblemError | None:
    """What HTTP leaves to the one who reads it: no guess is made that a proxy in front might make differently."""
    closing = {"Connection": "close"}
    if environ["SERVER_PROTOCOL"] not in {"HTTP/1.0", "HTTP/1.1"}:
        return ProblemError("http_version", f"{environ['SERVER_PROTOCOL']} is not spoken here", headers=closing)
    if "CONTENT_LENGTH" in environ and "HTTP_TRANSFER_ENCODING" in environ:
        return ProblemError("bad_request", "Content-Length stands beside Transfer-Encoding", headers=closing)
    # What comes in one piece was not limited before.
    size = len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(n) + len(v) + 4 for n, v in scope["headers"])
    if size > MAX_HEADERS:
        return ProblemError("headers_too_large", f"expected at most {MAX_HEADERS:,} bytes", headers=closing)
    return None
