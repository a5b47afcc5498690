"""A real object store on loopback, and a proxy before it that disturbs requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["KEY", "SECRET", "Proxy", "find_weed", "running_proxy", "running_store"]

KEY, SECRET = "test-key", "test-secret"
_IDENTITY = {
    "name": "tests",
    "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
    "actions": ["Admin", "Read", "Write", "List"],
}
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_REFUSED = b"<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"


def find_weed() -> str | None:
    """Return SeaweedFS's program, from this environment or the path; None where there is none."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


@contextlib.contextmanager
def running_store(program: str, folder: Path) -> Iterator[int]:
    """Run SeaweedFS with its S3 side, and give the port of that."""
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [_IDENTITY]}))
    parts = ("master", "volume", "filer", "s3")
    ports = _free_ports(2 * len(parts))
    named = [f"-{part}.port{kind}={ports.pop()}" for part in parts for kind in ("", ".grpc")]
    port = int(named[-2].partition("=")[2])
    command = [
        *(program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", *named),
        *(f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64"),
        "-volume.max=20",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder) as process:
        try:
            while not _answers(port):
                assert process.poll() is None, "SeaweedFS has ended"
                time.sleep(0.05)
            yield port
        finally:
            process.kill()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


@dataclass
class Proxy:
    """Passes requests on; `fault` says of a method and a path what happens instead.

    `throttle`: 503; `refuse`: 403; `reset`: the connection ends without an answer; `truncate`: in the middle of it.
    """

    port: int = 0
    fault: Callable[[str, str], str | None] = lambda _method, _path: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, store: int, proxy: Proxy) -> None:
        self.store, self.proxy = store, proxy
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        proxy = self.server.proxy
        with proxy.lock:
            proxy.requests.append((self.command, path))
            fault = proxy.fault(self.command, path)
        if fault == "reset":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault in {"throttle", "refuse"}:
            status, data = (503, _SLOW_DOWN) if fault == "throttle" else (403, _REFUSED)
            self._answer(status, {}, data)
        else:
            self._forward(body, cuts=fault == "truncate")

    def _forward(self, body: bytes, *, cuts: bool) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.store, timeout=30)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)  # `Host` too: it is signed
        upstream.endheaders(body or None)
        found = upstream.getresponse()
        data = found.read()
        headers = {n: v for n, v in found.getheaders() if n.lower() not in {"transfer-encoding", "connection"}}
        upstream.close()
        self._answer(found.status, headers, data, cuts=cuts)

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cuts: bool = False) -> None:
        self.send_response_only(status)
        if self.command == "HEAD":
            data = b""
        else:
            headers = {n: v for n, v in headers.items() if n.lower() != "content-length"}
            headers["Content-Length"] = str(len(data))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cuts else data)
        if cuts:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass  # noqa: N815 - as the library names them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - likewise
        """Say nothing."""


@contextlib.contextmanager
def running_proxy(store: int) -> Iterator[Proxy]:
    """Run a proxy before the store at a port."""
    proxy = Proxy()
    with _Server(store, proxy) as server:
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
