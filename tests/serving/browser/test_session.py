"""What the page remembers, copies and passes on."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tests.serving.browser.steps import BLUE, RED, expect, photo, reverse_proxy, send, serve, shows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from binsight.serving.server import RunningServer


class TestSession:
    def test_survives_reload(self, page: Page) -> None:
        """The session's photos are there again after a reload, until they are cleared."""
        send(page, photo(RED, "a.png"), photo(BLUE, "b.png"))
        expect(page.locator(".tile-title")).to_have_text(["Red things", "Not sure"])
        page.reload()
        expect(page.locator(".tile-title")).to_have_text(["Red things", "Not sure"])
        shows(page, "Red things")
        expect(page.locator("#heat-toggle")).to_be_hidden()
        page.click("#clear")
        expect(page.locator(".tile")).to_have_count(0)
        page.reload()
        expect(page.locator("#title")).to_be_visible()
        expect(page.locator(".tile")).to_have_count(0)

    def test_curl(self, open_page: Callable[..., Page], server: RunningServer) -> None:
        """The copied curl command is right for a shell, whatever the photo's name."""
        page = open_page(permissions=["clipboard-read", "clipboard-write"])
        send(page, photo(RED, 'it\'s "my" can; 1.png'))
        shows(page, "Red things")
        page.click("#curl")
        expect(page.locator("#curl")).to_have_text("Copied")
        words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
        assert words == ["curl", "-X", "POST", "-F", 'file=@"it\'s \\"my\\" can; 1.png"', f"{server.url}/predict"]


class TestCorrection:
    def test_stored(self, page: Page, corrections: Path) -> None:
        """A correction is stored with the photo, and the page says thank you."""
        send(page, photo((250, 10, 60)))
        shows(page, "Red things")
        page.click("#wrong")
        expect(page.locator(".choices label")).to_have_text(["Green things", "Blue things"])
        page.get_by_label("Blue things").check()
        page.locator("#correction [type=submit]").click()
        expect(page.locator("#thanks")).to_have_text("Thank you. Stored as: Blue things.")
        assert len(list((corrections / "photos" / "blue").glob("*.jpg"))) == 1

    def test_unsure(self, page: Page, corrections: Path) -> None:
        """Of a result that is not sure, the best guess can be confirmed."""
        send(page, photo((20, 20, 250)))
        shows(page, "Not sure")
        expect(page.locator("#wrong")).to_have_text("Tell what it is")
        page.click("#wrong")
        expect(page.locator(".choices label")).to_have_count(3)

    def test_nothing_chosen(self, page: Page) -> None:
        """A correction without a choice asks for one; Escape closes the form and keeps the focus."""
        send(page, photo(RED))
        shows(page, "Red things")
        page.click("#wrong")
        page.locator("#correction [type=submit]").click()
        expect(page.locator("#correction-error")).to_have_text("Choose what it is first.")
        page.keyboard.press("Escape")
        expect(page.locator("#correction")).to_be_hidden()
        expect(page.locator("#wrong")).to_be_focused()

    def test_behind_a_proxy(self, open_page: Callable[..., Page], server: RunningServer) -> None:
        """A correction is taken through a proxy that passes the address of the server as Host, as most do at first."""
        with reverse_proxy(server.url) as url:
            page = open_page(url)
            send(page, photo((250, 20, 20)))
            shows(page, "Red things")
            page.click("#wrong")
            page.get_by_label("Green things").check()
            page.locator("#correction [type=submit]").click()
            expect(page.locator("#thanks")).to_have_text("Thank you. Stored as: Green things.")
            page.goto("about:blank")

    def test_off(self, open_page: Callable[..., Page], model: Path) -> None:
        """Without the operator's leave there is nothing to correct with."""
        server = serve(model)
        try:
            page = open_page(server.url)
            send(page, photo(RED))
            shows(page, "Red things")
            expect(page.locator("#wrong")).to_be_hidden()
            page.goto("about:blank")
        finally:
            server.stop()
