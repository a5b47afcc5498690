"""A web server of the test's own, on this machine, that can break off, forget and lie."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Web", "serve"]


@dataclass
class Web:
    """What the server has and does.

    Attributes:
        files: path → content.
        url: where it listens.
        break_after: path → bytes after which the next answers break off, one number for each.
        statuses: path → statuses of the next answers.
        ranges: whether it can give a part of a file.
        redirects: path → address.
        requests: path and range of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    url: str = ""
    break_after: dict[str, list[int]] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def count(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(path for path, _ in self.requests)


@contextmanager
def serve() -> Iterator[Web]:
    """A running server; what it has is filled in by the test."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            web.requests.append((self.path, wanted))
            if statuses := web.statuses.get(self.path):
                self.send_error(statuses.pop(0))
            elif self.path in web.redirects:
                self.send_response(302)
                self.send_header("Location", web.redirects[self.path])
                self.end_headers()
            elif self.path in web.files:
                self._send(web.files[self.path], wanted)
            else:
                self.send_error(404)

        def _send(self, data: bytes, wanted: str | None) -> None:
            tag = f'"{hash(data)}"'
            start = 0
            if wanted and web.ranges and self.headers.get("If-Range", tag) == tag:
                start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
                if start >= len(data):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(data) - start))
            self.send_header("ETag", tag)
            self.end_headers()
            stops = web.break_after.get(self.path)
            self.wfile.write(data[start:][: stops.pop(0)] if stops else data[start:])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
