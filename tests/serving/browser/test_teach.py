"""Teaching a camera on its page, from the first photo to undo, with mouse, keyboard and finger."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from tests.adapt.world import factory_bundle
from tests.serving.browser.steps import RED, WIDTHS, expect, photo, serve
from tests.serving.browser.test_looks import fits, serious
from tests.serving.test_lessons import KEY, STORED, pictures

from binsight.serving.teaching import Teaching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from binsight.serving.server import RunningServer

pytestmark = pytest.mark.usefixtures("quick_lessons")

# No dialog of the system's, which nothing here could answer.
CHOOSER = "HTMLInputElement.prototype.click = function () { this.dataset.asked = 'yes'; };"
WITH_KEY = f"sessionStorage.setItem('binsight.key', '{KEY}'); {CHOOSER}"

TAUGHT_MS = 120_000  # at most, on a machine that does much else


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that can be taught."""
    return factory_bundle(tmp_path_factory.mktemp("factory") / "tiny")


@pytest.fixture
def school(factory: Path, tmp_path: Path) -> Iterator[RunningServer]:
    """Give a server that takes lessons, with an empty one."""
    server = serve(factory, admin_keys=(STORED,), teach_dir=tmp_path / "lessons")
    yield server
    server.stop()


def files(name: str, count: int, seed: int = 1) -> list[Any]:
    """Return photos of a colour in the plant's light, as Playwright takes files."""
    data = pictures(name, count, seed)
    return [{"name": f"{name}-{i}.png", "mimeType": "image/png", "buffer": each} for i, each in enumerate(data)]


def card(page: Page, category: str) -> Any:
    """Return a class's card."""
    return page.locator(f'[data-category="{category}"]')


def choose(page: Page, category: str, photos: list[Any]) -> None:
    """Choose photos of a class, with the keyboard."""
    button = card(page, category).locator(".choose")
    expect(button).to_be_enabled()
    button.press("Enter")
    expect(page.locator("#files")).to_have_attribute("data-asked", "yes")
    page.set_input_files("#files", photos)
    page.evaluate("delete document.getElementById('files').dataset.asked")


def shows_photos(page: Page, category: str, count: int) -> None:
    """Wait until a class has so many."""
    expect(card(page, category).locator(".shots li")).to_have_count(count)


def version(server: RunningServer) -> str:
    """Return the version of the model that answers."""
    with urlopen(f"{server.url}/models") as answer:  # noqa: S310 - a server of this test
        return str(json.load(answer)["models"][0]["bundle"]["version"])


def test_the_whole_story(open_page: Callable[..., Page], school: RunningServer, tmp_path: Path) -> None:
    """Key, photos, teaching, figures, use, undo, on a desktop and in the dark on a phone; nothing serious for axe.

    Pictures go to `BINSIGHT_SCREENSHOTS`.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    folder = Path(os.environ.get("BINSIGHT_SCREENSHOTS", tmp_path))
    page = open_page(school.url, script=CHOOSER)
    page.click("footer a[href=teach]")
    page.fill("#key-value", KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#summary")).to_contain_text("Add photos of two classes or more")

    red = files("red", 13)
    choose(page, "red", red[:12])
    shows_photos(page, "red", 12)
    expect(card(page, "red").locator(".chip")).to_have_text("12 of about 15")
    expect(page.locator("#summary")).to_contain_text("needs another class")
    choose(page, "green", [*files("green", 12), red[12]])
    shows_photos(page, "green", 13)
    expect(page.locator("#teach")).to_be_enabled()
    expect(card(page, "green").locator("img").first).to_have_js_property("naturalWidth", 16)
    page.locator("#teach").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#result-title")).to_be_focused(timeout=TAUGHT_MS)
    rows = page.locator("#figures tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.first.locator("td")).to_contain_text([" to ", " to "])
    expect(page.locator("#by-class tbody tr")).to_have_count(2)
    expect(page.locator("#kept")).to_contain_text("1.0.0-adapted1.zip")
    expect(page.locator("#suspects li p")).to_have_text("In Green things, but looks like Red things.")
    found = {"desktop": serious(axe, page)}
    assert fits(page)
    page.screenshot(path=folder / "teach-desktop-light.png", full_page=True)
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "tiny-1.0.0-adapted1.zip"

    assert version(school) == "1.0.0"
    page.locator("#use").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#undo")).to_be_focused()
    expect(page.locator("#result-state")).to_have_text("in use")
    assert version(school) == "1.0.0-adapted1"

    size = {"width": WIDTHS["phone"][0], "height": WIDTHS["phone"][1]}
    phone = open_page(
        f"{school.url}/teach", script=WITH_KEY, viewport=size, color_scheme="dark", is_mobile=True, has_touch=True
    )
    expect(phone.locator("#undo")).to_be_visible()
    found["phone"] = serious(axe, phone)
    assert fits(phone)
    phone.screenshot(path=folder / "teach-phone-dark.png", full_page=True)
    phone.tap("#undo")
    expect(phone.locator("#undoing")).to_be_hidden()
    assert version(school) == "1.0.0"
    phone.tap("text=Move to Red things")
    shows_photos(phone, "red", 13)
    expect(phone.locator("#suspects")).to_be_hidden()
    expect(phone.locator("#result-note")).to_contain_text("teach it again")
    assert {state: faults for state, faults in found.items() if faults} == {}


def test_photos_come_and_go(open_page: Callable[..., Page], school: RunningServer) -> None:
    """Dropped, taken, removed with the keyboard, there after a reload; what was there, and what is none, is said."""
    page = open_page(f"{school.url}/teach", script=WITH_KEY)
    red = files("red", 3)
    choose(page, "red", red)
    shows_photos(page, "red", 3)
    card(page, "red").get_by_role("button", name="Remove photo 2 of Red things").focus()
    page.keyboard.press("Enter")
    shows_photos(page, "red", 2)
    expect(card(page, "red").get_by_role("button", name="Remove photo 2 of Red things")).to_be_focused()

    (blue,) = pictures("blue", 1)
    drop = """([bytes, place]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'a.png', {type: 'image/png'}));
        const at = document.querySelector(place);
        for (const type of ['dragenter', 'drop']) {
            at.dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
        }
    }"""
    page.evaluate(drop, [list(blue), "footer"])
    expect(page.locator("#notice")).to_contain_text("onto one of the classes")
    page.evaluate(drop, [list(blue), '[data-category="blue"] h3'])
    shows_photos(page, "blue", 1)
    page.evaluate(drop, [list(blue), '[data-category="not-waste"] h3'])
    shows_photos(page, "not-waste", 1)
    shows_photos(page, "blue", 0)
    expect(page.locator("#refused")).to_contain_text("was in another class")

    there = {"name": "blue.png", "mimeType": "image/png", "buffer": blue}
    cut = {"name": "cut.png", "mimeType": "image/png", "buffer": photo(RED)["buffer"][:60]}
    choose(page, "not-waste", [there, cut])
    expect(page.locator("#refused li")).to_have_count(2)
    expect(page.locator("#refused")).to_contain_text("was there already")
    expect(page.locator("#refused")).to_contain_text("cut.png: The photo")

    card(page, "green").locator(".take").press("Enter")
    expect(page.locator("#shutter")).to_be_enabled()
    page.click("#shutter")
    expect(page.locator("#camera-message")).to_contain_text("1 taken of Green things")
    page.keyboard.press("Escape")
    shows_photos(page, "green", 1)
    page.reload()
    for category, count in {"red": 2, "green": 1, "blue": 0, "not-waste": 1}.items():
        shows_photos(page, category, count)


def test_a_new_class(open_page: Callable[..., Page], school: RunningServer) -> None:
    """It is added with the keyboard alone, refused with a reason, and taken away again."""
    page = open_page(f"{school.url}/teach", script=WITH_KEY)
    summary = page.locator("#new summary")
    expect(summary).to_be_visible()
    summary.press("Enter")
    expect(page.locator("#new-title")).to_be_visible()
    page.locator("#new-title").focus()
    page.keyboard.type("Red things")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("the model has that class: red")
    page.locator("#new-title").fill("Glass & jars")
    page.keyboard.press("Enter")
    expect(card(page, "glass_jars").locator("h3")).to_have_text("Glass & jars (new)")
    expect(card(page, "glass_jars").locator(".choose")).to_be_focused()
    card(page, "glass_jars").get_by_role("button", name="Remove the class").click()
    expect(card(page, "glass_jars")).to_have_count(0)


def test_a_reload_while_it_learns(
    open_page: Callable[..., Page], school: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns on; the page shows that, lets nothing be changed, and can cancel it."""
    held, follow = threading.Event(), Teaching._follow

    def late(self: Any, *arguments: Any) -> None:
        held.wait(60)
        follow(self, *arguments)

    monkeypatch.setattr(Teaching, "_follow", late)
    page = open_page(f"{school.url}/teach", script=WITH_KEY)
    for name in ("red", "green"):
        choose(page, name, files(name, 4))
        shows_photos(page, name, 4)
    expect(page.locator("#teach")).to_be_enabled()
    page.click("#teach")
    expect(page.locator("#learning-text")).to_have_text("Starting…")
    page.reload()
    expect(page.locator("#learning-text")).to_have_text("Starting…")
    expect(card(page, "red").locator(".choose")).to_be_disabled()
    expect(page.locator("#cancel")).to_be_visible()
    page.click("#cancel")
    held.set()
    expect(page.locator("#learning")).to_be_hidden()
    expect(page.locator("#fault")).to_be_hidden()
    expect(page.locator("#teach")).to_be_enabled()
    shows_photos(page, "red", 4)


def test_a_camera_that_it_knew_needs_no_lesson(open_page: Callable[..., Page], school: RunningServer) -> None:
    """Where all was right before, no photos in the wrong class are looked for."""
    page = open_page(f"{school.url}/teach", script=WITH_KEY)
    folder = page.locator("link[href*='teach-words.js']").evaluate("link => link.href")
    for right, accepted, said in (
        ((1, 1), (1, 0.7), "needs no lesson"),
        ((1, 1), (0.4, 0.9), ""),
        ((1, 0.9), (1, 0.7), "wrong class"),
        ((0.8, 0.8), (0.4, 0.4), "wrong class"),
        ((0.8, 0.9), (0.8, 0.4), ""),
    ):
        shares = {"accuracy": right, "accepted": accepted, "known": (0.9, 0.9)}
        figures = {name: {"value": after} for name, (_, after) in shares.items()}
        figures |= {f"{name}_before": {"value": before} for name, (before, _) in shares.items()}
        words = "async ([file, figures]) => (await import(file)).noteOf({ is_current: true, figures })"
        note = page.evaluate(words, [folder, figures])
        assert said in note, (right, accepted)
        assert bool(said) == bool(note), (right, accepted)


def test_no_connection(open_page: Callable[..., Page], school: RunningServer) -> None:
    """Photos wait in the page and are sent when the server is back."""
    page = open_page(f"{school.url}/teach", script=WITH_KEY)
    expect(card(page, "red").locator(".choose")).to_be_enabled()
    page.context.set_offline(True)
    choose(page, "red", files("red", 3))
    expect(page.locator("#summary")).to_contain_text("No answer from the server")
    page.context.set_offline(False)
    shows_photos(page, "red", 3)


def test_a_wrong_key(open_page: Callable[..., Page], school: RunningServer) -> None:
    """The page says what is wrong and asks again."""
    page = open_page(f"{school.url}/teach")
    page.fill("#key-value", "guessed")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("needs an admin key")
    page.click("#unlock")
    page.fill("#key-value", KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#summary")).to_be_visible()
    expect(page.locator("#notice")).to_be_hidden()


def test_where_it_is_off(open_page: Callable[..., Page], server: RunningServer) -> None:
    """The page says why, and how to turn it on."""
    page = open_page(f"{server.url}/teach", ready=False)
    expect(page.locator("main")).to_contain_text("binsight serve --teach DIR --admin-keys FILE")
