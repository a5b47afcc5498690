"""The web page in a real browser: Chromium, driven by Playwright, against the real server with the tiny model.

Needs a Chromium or Chrome of the system (its path in `BINSIGHT_CHROMIUM`, or found by name). Where there is none, these
tests are skipped, but on CI they fail. Playwright's own waiting is used throughout: nothing sleeps.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.browser.steps import WIDTHS, serve
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.probability import ReviewThresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

    from binsight.serving.server import RunningServer

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-ui-for-media-stream --use-fake-device-for-media-stream"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def missing(what: str) -> None:
    """Fail on CI, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and this is CI", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Give one Chromium for all tests."""
    path = os.environ.get("BINSIGHT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing("no Chromium found: install it, or set BINSIGHT_CHROMIUM to its path")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may be missing
    except ImportError:
        missing('Playwright is not installed: pip install "binsight[dev]"')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that is unsure of all but a pure blue, and does not know white."""
    review = ReviewThresholds(confidence=(0.5, 0.5, 0.99), unfamiliarity=2.5)
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny", manifest=tiny_manifest(review=review))


@pytest.fixture(scope="package")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where `server` keeps corrections."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="package")
def server(model: Path, corrections: Path) -> Iterator[RunningServer]:
    """Give a server with corrections turned on."""
    server = serve(model, feedback_dir=corrections)
    yield server
    server.stop()


@pytest.fixture
def open_page(browser: Browser, server: RunningServer) -> Iterator[Callable[..., Page]]:
    """Give a function that opens the page in a context of its own; a script error fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_(url: str = server.url, *, ready: bool = True, script: str | None = None, **options: Any) -> Page:
        width, height = WIDTHS["desktop"]
        defaults = {"viewport": {"width": width, "height": height}, "reduced_motion": "reduce"}
        context = browser.new_context(**defaults | options)
        contexts.append(context)
        context.set_default_timeout(60_000)  # a machine with other work to do
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: errors.append(m.text) if "Content Security Policy" in m.text else None)
        page.goto(url)
        if ready:
            page.wait_for_selector("#server[data-state=ready]")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """Return the page on a desktop."""
    return open_page()
