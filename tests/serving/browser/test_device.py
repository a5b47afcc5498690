"""The page without the server, in a real browser: the same answers, nothing sent, what goes wrong."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from tests.serving.browser.device_runtime import forget_files, write_runtime
from tests.serving.browser.steps import BLUE, GREEN, PATIENCE_MS, RED, WHITE, WIDTHS, expect, photo, send, serve, shows
from tests.serving.browser.test_looks import fits, serious
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.serving import page as page_module
from binsight.serving.security import new_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from binsight.serving.server import RunningServer

NINE = (9, 9, 9)  # what takes all memory of the played runtime
OFFLINE = "Works offline"


@pytest.fixture(scope="module", autouse=True)
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Play that the extra is installed."""
    folder = tmp_path_factory.mktemp("runtime")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setattr(page_module, "_RUNTIME", write_runtime(folder))
        forget_files()
        yield
    forget_files()


@pytest.fixture
def start(model: Path) -> Iterator[Callable[..., RunningServer]]:
    """Give a function that starts a server."""
    servers: list[RunningServer] = []

    def start_(path: Path = model, **settings: Any) -> RunningServer:
        servers.append(serve(path, **settings))
        return servers[-1]

    yield start_
    for server in servers:
        if server.service.state != "draining":
            server.stop()


@pytest.fixture(scope="module")
def offering(runtime: None, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a server that offers the switch, and corrections."""
    server = serve(model, feedback_dir=tmp_path_factory.mktemp("kept"))
    yield server
    server.stop()


def turn_on(page: Page) -> None:
    """Turn "On this device" on, and wait until it is."""
    page.check("#device")
    expect(page.locator("#server-text")).to_have_text(OFFLINE)


class TestOnThisDevice:
    def test_goes_on_without_the_server(
        self, open_page: Callable[..., Page], start: Callable[..., RunningServer]
    ) -> None:
        """Photos are classified, and the page opens again, when the server is gone; the switch is remembered."""
        server = start()
        page = open_page(server.url)
        turn_on(page)
        server.stop()
        page.reload()
        expect(page.locator("#server-text")).to_have_text(OFFLINE)
        expect(page.locator("#device")).to_be_checked()
        send(page, photo(RED))
        shows(page, "Red things")
        expect(page.locator("#advice")).to_have_text("Rinse it.")
        expect(page.locator("#made-by")).to_contain_text("tiny 1.0.0")
        send(page, photo(BLUE))
        shows(page, "Not sure")
        expect(page.locator("#reason")).to_contain_text("is not enough")
        send(page, photo(WHITE))
        expect(page.locator("#reason")).to_contain_text("does not look like anything")

    def test_no_photo_leaves(self, open_page: Callable[..., Page], offering: RunningServer) -> None:
        """While it is on nothing is sent, whatever the photo; what would send something is not offered."""
        page = open_page(offering.url)
        turn_on(page)
        sent: list[str] = []
        page.context.on("request", lambda asked: sent.append(asked.url) if asked.method != "GET" else None)
        send(page, photo(GREEN))
        shows(page, "Green things")
        for name in ("#heat-toggle", "#wrong", "#curl", "#privacy"):
            expect(page.locator(name)).to_be_hidden()
        expect(page.locator("#privacy-device")).to_be_visible()
        tiff = io.BytesIO()
        Image.new("RGB", (64, 48), RED).save(tiff, "TIFF")
        send(page, {"name": "scan.tif", "mimeType": "image/tiff", "buffer": tiff.getvalue()})
        expect(page.locator("#failed-title")).to_have_text("This browser cannot read this photo")
        assert sent == []
        page.uncheck("#device")
        expect(page.locator("#server-text")).to_have_text("Ready")
        page.click("#again")
        shows(page, "Red things")
        assert [url.rpartition("/")[2] for url in sent] == ["predict"]

    def test_turning_off_forgets(self, open_page: Callable[..., Page], offering: RunningServer) -> None:
        """Nothing stays in the browser."""
        page = open_page(offering.url)
        turn_on(page)
        assert page.evaluate("() => caches.keys().then((names) => names.length)") == 2
        page.uncheck("#device")
        workers = "(await navigator.serviceWorker.getRegistrations()).length"
        nothing = f"async () => !(await caches.keys()).length && !{workers} && !localStorage.length"
        page.wait_for_function(nothing, timeout=PATIENCE_MS)

    def test_takes_a_new_model(
        self, open_page: Callable[..., Page], start: Callable[..., RunningServer], tmp_path: Path
    ) -> None:
        """The next time that the server is there, with another model."""
        path = tiny_bundle(tmp_path / "tiny")
        server = start(path)
        page = open_page(server.url)
        turn_on(page)
        server.service.reload("tiny", tiny_bundle(tmp_path / "next", manifest=tiny_manifest(version="2.0.0")))
        page.reload()
        expect(page.locator("#server-text")).to_have_text(OFFLINE)
        send(page, photo(RED))
        expect(page.locator("#made-by")).to_contain_text("tiny 2.0.0")
        places = "() => caches.open('binsight-model').then((c) => c.keys()).then((all) => all.length)"
        assert page.evaluate(places) == 2

    def test_asks_for_a_key(self, open_page: Callable[..., Page], start: Callable[..., RunningServer]) -> None:
        """Where photos need one, the model does; without the server it is not needed again."""
        key, stored = new_key("phone")
        server = start(api_keys=(stored,))
        page = open_page(server.url)
        page.check("#device")
        page.fill("#key-value", key)
        page.click("#key [value=save]")
        expect(page.locator("#server-text")).to_have_text(OFFLINE)
        other = page.context.new_page()
        other.goto(server.url)
        expect(other.locator("#server-text")).to_have_text(OFFLINE)
        send(other, photo(RED))
        shows(other, "Red things")

    def test_can_be_installed(self, open_page: Callable[..., Page], offering: RunningServer) -> None:
        """Chromium finds nothing that is missing for an app."""
        page = open_page(offering.url)
        turn_on(page)
        session = page.context.new_cdp_session(page)
        faults = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
        assert {fault["errorId"] for fault in faults} <= {"in-incognito"}
        manifest = session.send("Page.getAppManifest")
        assert (manifest["errors"], manifest["manifest"]["startUrl"]) == ([], offering.url + "/")

    @pytest.mark.parametrize(("width", "scheme"), [("phone", "dark"), ("desktop", "light")])
    def test_looks(
        self, open_page: Callable[..., Page], offering: RunningServer, tmp_path: Path, width: str, scheme: str
    ) -> None:
        """It fits a phone and a desktop, and axe finds nothing serious."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        folder = Path(os.environ.get("BINSIGHT_SCREENSHOTS", tmp_path))
        size = {"width": WIDTHS[width][0], "height": WIDTHS[width][1]}
        page = open_page(
            offering.url, viewport=size, color_scheme=scheme, is_mobile=width == "phone", has_touch=width == "phone"
        )
        page.screenshot(path=folder / f"device-{width}-{scheme}-off.png")
        assert fits(page)
        turn_on(page)
        send(page, photo(RED))
        shows(page, "Red things")
        page.screenshot(path=folder / f"device-{width}-{scheme}-on.png")
        assert fits(page)
        assert serious(axe, page) == []


class TestTrouble:
    def test_old_browser(self, open_page: Callable[..., Page], offering: RunningServer) -> None:
        """It is said, and the server still answers."""
        page = open_page(offering.url, script="delete globalThis.WebAssembly")
        page.click("#device")
        expect(page.locator("#notice")).to_contain_text("too old to classify photos by itself")
        expect(page.locator("#device")).not_to_be_checked()
        send(page, photo(RED))
        shows(page, "Red things")

    def test_large_model(self, open_page: Callable[..., Page], offering: RunningServer) -> None:
        """One that is too large for a browser is not taken."""
        page = open_page(offering.url)

        def enlarge(route: Any) -> None:
            manifest = route.fetch().json()
            manifest["files"]["model.onnx"]["bytes"] = 10**9
            route.fulfill(json=manifest)

        page.route("**/bundle/bundle.json", enlarge)
        page.click("#device")
        expect(page.locator("#notice")).to_contain_text("too large for a browser")
        expect(page.locator("#device")).not_to_be_checked()

    def test_altered_model(self, open_page: Callable[..., Page], offering: RunningServer) -> None:
        """One that does not arrive as it was announced is not taken."""
        page = open_page(offering.url)
        page.route("**/bundle/model.onnx", lambda route: route.fulfill(body=b"damaged"))
        page.click("#device")
        expect(page.locator("#notice")).to_contain_text("The model changed meanwhile")
        expect(page.locator("#device")).not_to_be_checked()
        assert page.evaluate("() => localStorage.length") == 0

    def test_memory(self, open_page: Callable[..., Page], offering: RunningServer) -> None:
        """A photo that takes all of it is told; the next one finds a fresh start."""
        page = open_page(offering.url)
        turn_on(page)
        send(page, photo(NINE))
        expect(page.locator("#failed-title")).to_have_text("This device has too little memory")
        send(page, photo(RED))
        shows(page, "Red things")

    def test_no_longer_offered(
        self, open_page: Callable[..., Page], offering: RunningServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the extra is gone, the page works with the server and forgets what it kept."""
        page = open_page(offering.url)
        turn_on(page)
        monkeypatch.setattr(page_module, "has_runtime", lambda: False)
        page.reload()
        expect(page.locator("#server-text")).to_have_text("Ready")
        expect(page.locator("#device-choice")).to_be_hidden()
        page.wait_for_function("async () => !(await caches.keys()).length", timeout=PATIENCE_MS)
