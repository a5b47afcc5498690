"""How the page looks, and how it is for those who cannot see it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.browser.steps import BLUE, RED, WIDTHS, expect, photo, send, shows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from binsight.serving.server import RunningServer


class TestLooks:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", WIDTHS)
    def test_screenshots(self, open_page: Callable[..., Page], tmp_path: Path, width: str, scheme: str) -> None:
        """The page fits a phone and a desktop, in light and dark; pictures go to `BINSIGHT_SCREENSHOTS`."""
        folder = Path(os.environ.get("BINSIGHT_SCREENSHOTS", tmp_path))
        size = {"width": WIDTHS[width][0], "height": WIDTHS[width][1]}
        page = open_page(viewport=size, color_scheme=scheme, is_mobile=width == "phone", has_touch=width == "phone")
        page.screenshot(path=folder / f"{width}-{scheme}-empty.png")
        assert fits(page)
        send(page, photo(RED, "a-rather-long-file-name-as-phones-like-to-give-them-20260301-120000.png"), photo(BLUE))
        expect(page.locator(".tile-title")).to_have_text(["Red things", "Not sure"])
        page.screenshot(path=folder / f"{width}-{scheme}-result.png")
        assert fits(page)
        background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert background == {"light": "rgb(245, 244, 239)", "dark": "rgb(15, 21, 18)"}[scheme]

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_accessible(self, open_page: Callable[..., Page], scheme: str) -> None:
        """The checker axe finds nothing serious: at first, with a result, correcting, failing, in the camera."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        page = open_page(color_scheme=scheme)
        found = {"empty": serious(axe, page)}
        send(page, photo(RED))
        shows(page, "Red things")
        found["result"] = serious(axe, page)
        send(page, photo(BLUE))
        shows(page, "Not sure")
        page.click("#wrong")
        page.locator("#correction [type=submit]").click()
        found["correcting"] = serious(axe, page)
        send(page, {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b""})
        expect(page.locator("#failed")).to_be_visible()
        found["failed"] = serious(axe, page)
        page.click("#open-camera")
        expect(page.locator("#shutter")).to_be_enabled()
        found["camera"] = serious(axe, page)
        assert {state: faults for state, faults in found.items() if faults} == {}

    def test_stays_home(self, browser: Browser, server: RunningServer) -> None:
        """The page asks no other server for anything."""
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        page.wait_for_selector("#server[data-state=ready]")
        send(page, photo(RED))
        shows(page, "Red things")
        page.close()
        assert len(asked) > 10
        assert [url for url in asked if not url.startswith((server.url, "blob:", "data:"))] == []


def fits(page: Page) -> bool:
    """Return whether nothing sticks out sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def serious(axe: Any, page: Page) -> list[str]:
    """Return what axe finds of the two worse grades."""
    faults = axe.run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:200]} {node['failureSummary']}"
        for fault in faults
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"]
    ]
