"""What every browser test does: serve, send photos, wait for what is shown."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from PIL import Image

from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

__all__ = ["BLUE", "GREEN", "RED", "WHITE", "WIDTHS", "expect", "photo", "send", "serve", "shows"]

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
WIDTHS = {"phone": (390, 844), "desktop": (1280, 860)}


def serve(model: Path, **changes: Any) -> RunningServer:
    """Return a small server that takes photos."""
    settings: dict[str, Any] = {"models": (str(model),), "port": 0, "workers": 1, "access_log": False}
    server = RunningServer(Settings(**settings | {"queue_size": 32, "idle_timeout_s": 2.0} | changes))
    server.load()
    return server


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

    return expect_(locator)


def shows(page: Page, category: str) -> None:
    """Wait until the result on the stage is `category`."""
    expect(page.locator("#category")).to_have_text(category)
    expect(page.locator("#answer")).to_be_visible()
