"""Files that are no photos, and servers and networks that are not there."""

from __future__ import annotations

import io
import json
import re
import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tests.serving.browser.steps import GREEN, RED, expect, photo, send, serve, shows

from binsight.serving.security import new_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page, Route


class TestTrouble:
    @pytest.mark.parametrize(
        ("name", "kind", "data", "title"),
        [
            ("a.jpg", "image/jpeg", b"", "This file is empty"),
            ("a.pdf", "application/pdf", b"%PDF-1.7", "This is not a photo"),
            ("a.jpg", "image/jpeg", b"%PDF-1.7", "This is not a photo"),
            ("a.png", "image/png", photo(RED)["buffer"][:60], "This photo is cut off"),
        ],
    )
    def test_refused(self, page: Page, name: str, kind: str, data: bytes, title: str) -> None:
        """A file that cannot be classified says why, and offers to choose another."""
        send(page, {"name": name, "mimeType": kind, "buffer": data})
        expect(page.locator("#failed-title")).to_have_text(title)
        with page.expect_file_chooser():
            page.click("#another")

    def test_slow_network(self, page: Page) -> None:
        """While an answer is slow the page says what goes on; it can be cancelled and tried again."""
        page.route("**/predict", lambda route: None)
        send(page, photo(RED))
        expect(page.locator("#busy-title")).to_have_text("Sending…")
        page.click("#cancel")
        expect(page.locator("#failed-title")).to_have_text("Cancelled")
        page.unroute("**/predict")
        page.click("#again")
        shows(page, "Red things")

    def test_slow_upload(self, page: Page) -> None:
        """While a photo goes out slowly the page tells how much of it is there."""
        noise = np.random.default_rng(0).integers(0, 50, (400, 400, 3), np.uint8) + np.array([200, 0, 0], np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise.astype(np.uint8)).save(buffer, "PNG")
        network = page.context.new_cdp_session(page)
        unhindered = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        network.send("Network.emulateNetworkConditions", unhindered | {"uploadThroughput": 60_000})
        send(page, {"name": "noise.png", "mimeType": "image/png", "buffer": buffer.getvalue()})
        expect(page.locator("#busy-text")).to_have_text(re.compile(r"^[1-9]\d? % of the photo is there\.$"))
        assert 0 < page.evaluate("document.getElementById('progress').value") < 1
        network.send("Network.emulateNetworkConditions", unhindered)
        shows(page, "Red things")

    def test_busy_server(self, page: Page) -> None:
        """A server that has too much to do is asked again when it said; a person can ask sooner."""
        answers = [429]

        def answer(route: Route) -> None:
            if not answers:
                route.continue_()
                return
            body = json.dumps({"code": "queue_full", "title": "Busy", "detail": "", "status": answers.pop()})
            route.fulfill(status=429, headers={"Retry-After": "25"}, content_type="application/problem+json", body=body)

        page.route("**/predict", answer)
        send(page, photo(RED))
        expect(page.locator("#busy-title")).to_have_text("The server is busy")
        expect(page.locator("#busy-text")).to_contain_text("Trying again in 25 s (attempt 2)")
        page.click("#try-now")
        shows(page, "Red things")

    def test_server_restart(self, open_page: Callable[..., Page], model: Path) -> None:
        """A photo sent while the server restarts waits, and is classified without anyone doing anything."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        first = serve(model, port=port)
        page = open_page(first.url)
        first.stop()
        send(page, photo(RED))
        expect(page.locator("#server")).to_have_text("No connection")
        expect(page.locator("#busy-text")).to_contain_text("Your photo is safe here")
        second = serve(model, port=port)
        try:
            shows(page, "Red things")
            expect(page.locator("#server")).to_have_text("Ready")
        finally:
            page.goto("about:blank")
            second.stop()

    def test_gives_up(self, open_page: Callable[..., Page]) -> None:
        """A server that stays away is reported in words, with a way to try again."""
        page = open_page(script="window.setTimeout = ((real) => (f, ms) => real(f, ms / 100))(window.setTimeout)")
        page.route("**/predict", lambda route: route.abort())
        send(page, photo(RED))
        expect(page.locator("#failed-title")).to_have_text("The server does not answer")
        page.unroute("**/predict")
        page.click("#again")
        shows(page, "Red things")

    def test_no_script(self, open_page: Callable[..., Page]) -> None:
        """Without JavaScript a photo can still be sent, and the plain answer read."""
        page = open_page(ready=False, java_script_enabled=False)
        page.set_input_files("noscript input, form.plain input", photo(RED))
        page.click("form.plain button")
        page.wait_for_url("**/predict")
        assert '"predicted_category":"red"' in page.content()

    def test_api_key(self, open_page: Callable[..., Page], model: Path) -> None:
        """A server with keys asks for one, once for all photos that wait."""
        key, stored = new_key("page")
        server = serve(model, api_keys=(stored,))
        try:
            page = open_page(server.url)
            send(page, photo(RED), photo(GREEN))
            page.fill("#key-value", key)
            page.click("#key button[value=save]")
            expect(page.locator(".tile-title")).to_have_text(["Red things", "Green things"])
            page.goto("about:blank")
        finally:
            server.stop()

    def test_several_models(self, open_page: Callable[..., Page], model: Path) -> None:
        """Where there are several models one can be chosen."""
        server = serve(model, models=(str(model), f"other={model}"))
        try:
            page = open_page(server.url)
            page.select_option("#model", "other")
            with page.expect_request("**/predict?model=other"):
                send(page, photo(RED))
            shows(page, "Red things")
            page.goto("about:blank")
        finally:
            server.stop()
