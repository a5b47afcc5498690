"""Files that are no photos, and servers and networks that are not there."""

from __future__ import annotations

import io
import json
import re
import socket
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from tests.serving.browser.steps import GREEN, RED, expect, photo, send, serve, shows, until
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.probability import ReviewThresholds
from binsight.serving.security import new_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page, Route

HASTE = "window.setTimeout = ((real) => (f, ms) => real(f, ms / 100))(window.setTimeout)"
INTERCEPTED: list[dict[str, Any]] = [
    {"status": 200, "content_type": "text/html", "body": "<h1>Welcome to our network: sign in</h1>"},
    {"status": 200, "content_type": "application/json", "body": '{"login": "https://portal.example"}'},
    {"status": 200, "content_type": "application/json", "body": "null"},
    {"status": 200, "content_type": "application/json", "body": '{"predicted_category": "re'},
    {"status": 200, "body": ""},
    {"status": 204},
    {"status": 511, "content_type": "text/html", "body": "<h1>Sign in</h1>"},
]


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
        page = open_page(script=HASTE)
        page.route("**/predict", lambda route: route.abort())
        send(page, photo(RED))
        expect(page.locator("#failed-title")).to_have_text("The server does not answer")
        page.unroute("**/predict")
        page.click("#again")
        shows(page, "Red things")

    @pytest.mark.parametrize("answer", INTERCEPTED, ids=[str(i) for i in range(len(INTERCEPTED))])
    def test_intercepted(self, page: Page, answer: dict[str, Any]) -> None:
        """Where another page answers in the server's place, the page says so, and goes on when it is gone."""
        page.route("**/predict", lambda route: route.fulfill(**answer))
        send(page, photo(RED))
        expect(page.locator("#busy-title")).to_have_text(re.compile("^Something else answered, perhaps this network's"))
        expect(page.locator("#busy-text")).to_contain_text("Your photo is safe here")
        page.unroute("**/predict")
        # By script: the page may have begun to try again by itself, and hidden the button.
        page.evaluate("document.getElementById('try-now').click()")
        shows(page, "Red things")

    def test_redirected(self, page: Page) -> None:
        """So it does where the request is sent on to a page."""
        page.route("**/predict", lambda route: route.fulfill(status=302, headers={"Location": "docs"}))
        send(page, photo(RED))
        expect(page.locator("#busy-title")).to_have_text(re.compile("^Something else answered"))

    @pytest.mark.parametrize("body", ["", "<h1>Bad gateway</h1>", "null", '"text"', "[]", "{"])
    def test_error_page(self, page: Page, body: str) -> None:
        """A proxy's error page, whatever is in it, is taken by its status."""
        page.route("**/predict", lambda route: route.fulfill(status=502, content_type="text/html", body=body))
        send(page, photo(RED))
        expect(page.locator("#busy-title")).to_have_text("The server is starting")
        page.unroute("**/predict")
        page.click("#try-now")
        shows(page, "Red things")

    def test_refused_by_a_proxy(self, page: Page) -> None:
        """So is a refusal that is not the server's own, and it ends the waiting."""
        page.route("**/predict", lambda route: route.fulfill(status=403, content_type="text/html", body="<h1>No</h1>"))
        send(page, photo(RED))
        expect(page.locator("#failed-title")).to_have_text("That did not work")

    def test_intercepted_for_long(self, open_page: Callable[..., Page]) -> None:
        """In the end the page stops trying, and says what to do."""
        page = open_page(script=HASTE)
        page.route("**/predict", lambda route: route.fulfill(**INTERCEPTED[0]))
        send(page, photo(RED))
        expect(page.locator("#failed-title")).to_have_text("Something else answered")
        expect(page.locator("#failed-text")).to_contain_text("Sign in there")
        page.unroute("**/predict")
        page.click("#again")
        shows(page, "Red things")

    def test_intercepted_from_the_start(self, open_page: Callable[..., Page]) -> None:
        """A sign-in page in the place of the probe is no server that is ready; nor is one of the models the models."""
        page = open_page(script=HASTE)
        probe, models = re.compile("/health/ready$"), re.compile("/models")
        page.route(probe, lambda route: route.fulfill(**INTERCEPTED[0]))
        page.route(models, lambda route: route.fulfill(**INTERCEPTED[0]))
        page.reload()
        expect(page.locator("#server")).to_have_text("No connection")
        page.unroute(probe)
        expect(page.locator("#server")).to_have_text("Ready")
        expect(page.locator("#model option")).to_have_count(0)
        page.unroute(models)
        expect(page.locator("#model option")).to_have_text("tiny")

    def test_intercepted_correction(self, page: Page) -> None:
        """A correction that another page answered is not thanked for; it is sent again."""
        send(page, photo(RED, "intercepted.png"))
        shows(page, "Red things")
        page.route("**/feedback", lambda route: route.fulfill(**INTERCEPTED[0]))
        page.click("#wrong")
        page.check("#choices input[value=green]")
        page.click("#correction [type=submit]")
        expect(page.locator("#correction-error")).to_contain_text("Something else answered")
        expect(page.locator("#thanks")).to_be_hidden()
        page.unroute("**/feedback")
        page.evaluate("window.dispatchEvent(new Event('online'))")
        expect(page.locator("#thanks")).to_be_visible()

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

    def test_late_refusal(self, open_page: Callable[..., Page], model: Path) -> None:
        """A photo whose refusal comes after the key was given is sent again with it, and nobody is asked twice."""
        key, stored = new_key("page")
        server = serve(model, api_keys=(stored,))
        held: list[Route] = []

        def hold(route: Route) -> None:  # Playwright marks what it is given, which a method of a list does not take
            held.append(route)

        try:
            page = open_page(server.url)
            page.route("**/predict", hold, times=1)
            send(page, photo(RED, "held.png"), photo(GREEN))
            page.fill("#key-value", key)
            page.click("#key button[value=save]")
            expect(page.locator(".tile-title").nth(1)).to_have_text("Green things")
            until(page, lambda: held)
            held[0].continue_()
            expect(page.locator(".tile-title")).to_have_text(["Red things", "Green things"])
            expect(page.locator("#key")).to_be_hidden()
            page.goto("about:blank")
        finally:
            server.stop()

    def test_strange_camera(self, open_page: Callable[..., Page], tmp_path: Path) -> None:
        """Photos that are strange to the model as a whole are said to be, once, with what can be done."""
        review = ReviewThresholds(confidence=(0.0,) * 3, unfamiliarity=1.2)
        manifest = tiny_manifest(review=review, training={"unfamiliarity_median": 0.2})
        server = serve(tiny_bundle(tmp_path / "tiny", manifest=manifest))
        try:
            page = open_page(server.url)
            send(page, *[photo(RED, f"{n}.png") for n in range(19)])
            expect(page.locator("#announce")).to_contain_text("19 photos done")
            expect(page.locator("#strange")).to_be_hidden()
            send(page, photo(GREEN))
            expect(page.locator("#strange")).to_contain_text("20 of your last 20 photos look unlike")
            shows(page, "Not sure")  # while it is strange, nothing of it is accepted
            expect(page.locator("#reason")).to_contain_text("photos of this camera are unlike")
            expect(page.locator("#advice")).to_contain_text("Another photo will not help")
            page.click("#strange-close")
            send(page, photo(RED))
            expect(page.locator("#strange")).to_be_hidden()
            shows(page, "Not sure")
            page.goto("about:blank")
        finally:
            server.stop()

    def test_a_camera_on_trial(self, open_page: Callable[..., Page], model: Path) -> None:
        """A page that is one camera's has nothing accepted until the model is known to be familiar with it."""
        server = serve(model)
        try:
            page = open_page(f"{server.url}/?camera=bin-3")
            send(page, photo(RED))
            shows(page, "Not sure")
            expect(page.locator("#reason")).to_contain_text("this camera is new")
            expect(page.locator("#advice")).to_contain_text("15 to 30 photos")
            expect(page.locator("#strange")).to_be_hidden()
            send(page, *[photo(RED, f"{n}.png") for n in range(8)])
            expect(page.locator("#announce")).to_contain_text("8 photos done")
            send(page, photo(GREEN))
            shows(page, "Green things")
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
