"""What the page shows of a photo."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.serving.browser.steps import BLUE, GREEN, RED, WHITE, expect, photo, send, shows, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page


class TestResult:
    def test_upload(self, page: Page) -> None:
        """A photo gives its category, how sure that is, whether it rots, its stream and what to do with it."""
        send(page, photo(GREEN))
        shows(page, "Green things")
        expect(page.locator("#facts li")).to_have_text(["96\u00a0% sure", "Biodegradable"])
        expect(page.locator("#stream")).to_have_text("Compost")
        expect(page.locator("#advice")).to_have_text("Let it rot.")

    def test_bars(self, page: Page) -> None:
        """Every class has a bar, the most probable first."""
        send(page, photo(RED))
        expect(page.locator("#bars li")).to_have_text(
            ["Red things96\u00a0%", "Green things2\u00a0%", "Blue things2\u00a0%"]
        )

    def test_preview_at_once(self, page: Page) -> None:
        """The photo is shown before the server has answered."""
        release: list[Callable[[], None]] = []
        page.route("**/predict", lambda route: release.append(route.continue_))
        send(page, photo(RED))
        expect(page.locator("#photo")).to_be_visible()
        expect(page.locator("#busy-title")).to_have_text("Sending…")
        expect(page.locator("#answer")).to_be_hidden()
        until(page, lambda: release)  # "Sending…" is there before the request is
        release[0]()
        shows(page, "Red things")

    def test_several(self, page: Page) -> None:
        """Several photos at once each get their own result, and one that is broken does not stop the others."""
        broken = {"name": "b.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff\xe0 no more"}
        send(page, photo(RED, "a.png"), broken, photo(GREEN, "c.png"))
        titles = page.locator(".tile-title")
        expect(titles).to_have_text(["Red things", "This photo is cut off", "Green things"])
        page.locator(".tile").nth(2).click()
        shows(page, "Green things")
        expect(page.locator("#source")).to_have_text("c.png")
        expect(page.locator("#announce")).to_have_text("3 photos done: 2 recognised, 0 not sure, 1 failed.")

    @pytest.mark.parametrize(("colour", "words"), [(BLUE, "is not enough to be sure"), (WHITE, "does not look like")])
    def test_not_sure(self, page: Page, colour: tuple[int, int, int], words: str) -> None:
        """A result that needs review is shown as not sure, with the reason in words."""
        send(page, photo(colour))
        shows(page, "Not sure")
        expect(page.locator("#reason")).to_contain_text(words)
        expect(page.locator("#facts")).to_be_hidden()

    def test_heat_map(self, page: Page) -> None:
        """The heat map is laid over the photo and taken off again."""
        send(page, photo(RED))
        shows(page, "Red things")
        page.click("#heat-toggle")
        expect(page.locator("#heat")).to_be_visible()
        expect(page.locator("#heat")).to_have_attribute("src", re.compile("^data:image/png;base64,"))
        expect(page.locator("#heat-toggle")).to_have_attribute("aria-pressed", "true")
        page.click("#heat-toggle")
        expect(page.locator("#photo")).to_be_visible()
        expect(page.locator("#heat")).to_be_hidden()

    def test_announced(self, page: Page) -> None:
        """A result is spoken as one sentence."""
        send(page, photo(RED, "can.png"))
        expect(page.locator("#announce")).to_have_text(
            "can.png: Red things, 96\u00a0%, not biodegradable. Recycling. Rinse it."
        )
