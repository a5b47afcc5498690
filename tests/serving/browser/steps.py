"""What every browser test does: serve, send photos, wait for what is shown."""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from PIL import Image

from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

__all__ = [
    "BLUE", "GREEN", "RED", "WHITE", "WIDTHS", "expect", "photo", "reverse_proxy", "send", "serve", "shows", "until",
]  # fmt: skip

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
HOP_BY_HOP = {"host", "connection", "content-length", "transfer-encoding", "keep-alive"}
WIDTHS = {"phone": (390, 844), "desktop": (1280, 860)}
PATIENCE_MS = 60_000  # of what a page is waited for, on a machine that does other work too


def serve(model: Path, **changes: Any) -> RunningServer:
    """Return a small server that takes photos."""
    settings: dict[str, Any] = {"models": (str(model),), "port": 0, "workers": 1, "access_log": False}
    server = RunningServer(
        Settings(**settings | {"queue_size": 32, "idle_timeout_s": 2.0, "deadline_s": PATIENCE_MS / 1000} | changes)
    )
    server.load()
    return server


@contextmanager
def reverse_proxy(target: str) -> Iterator[str]:
    """Give the address of a proxy in front of a server, which hears its own address as Host."""

    class Forwarding(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            request = Request(target + self.path, body or None, headers, method=self.command)  # noqa: S310
            try:
                answer = urlopen(request, timeout=PATIENCE_MS / 1000)  # noqa: S310 - a server of this test
            except HTTPError as error:
                answer = error
            with answer:
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in HOP_BY_HOP | {"date", "server"}:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Forwarding) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{proxy.server_port}"
        proxy.shutdown()
        thread.join()


def photo(colour: tuple[int, int, int], name: str = "thing.png") -> Any:
    """Return a small photo of one colour, as Playwright takes files."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(buffer, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()}


def send(page: Page, *photos: Any) -> None:
    """Choose photos."""
    page.set_input_files("#files", list(photos))


def expect(locator: Any) -> Any:
    """Return Playwright's waiting assertion."""
    from playwright.sync_api import expect as expect_  # noqa: PLC0415 - it may be missing

    expect_.set_options(timeout=PATIENCE_MS)
    return expect_(locator)


def shows(page: Page, category: str) -> None:
    """Wait until the result on the stage is `category`."""
    expect(page.locator("#category")).to_have_text(category)
    expect(page.locator("#answer")).to_be_visible()


def until(page: Page, there: Callable[[], object]) -> None:
    """Wait until something is there, such as a request that a route holds; handlers run meanwhile."""
    ends = time.monotonic() + PATIENCE_MS / 1000
    while not there() and time.monotonic() < ends:
        page.wait_for_timeout(20)
    assert there()
