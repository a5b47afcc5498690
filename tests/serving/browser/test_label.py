"""The label page in a real browser: keyboard only, on a phone, offline in the middle, two people at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.loop.filling import put
from tests.serving.browser.steps import PATIENCE_MS, WIDTHS, expect
from tests.serving.browser.steps import serve as serve_model
from tests.serving.browser.test_looks import fits, serious

from binsight.loop.labelling import Labelling
from binsight.loop.standing import read_status
from binsight.serving.security import new_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from binsight.loop.queue import Queue
    from binsight.serving.server import RunningServer

KEYS = {name: new_key(name) for name in ("ada", "bob")}
PHOTOS = 12


@pytest.fixture
def looped(model: Path, tmp_path: Path) -> Iterator[RunningServer]:
    """Give a server with photos to label, each by one person."""
    keys = tuple(stored for _, stored in KEYS.values())
    server = serve_model(model, loop_dir=tmp_path / "loop", label_keys=keys)
    queue = queue_of(server)
    for number in range(PHOTOS):
        put(queue, number)
    with queue.changing() as rows:
        rows.execute("UPDATE items SET is_double = 0")
    yield server
    server.stop()


def queue_of(server: RunningServer) -> Queue:
    """Return the queue of a server."""
    assert server.service.keeper is not None
    return server.service.keeper.queue


@pytest.fixture
def open_label(open_page: Callable[..., Page], looped: RunningServer) -> Callable[..., Page]:
    """Give a function that opens the page as somebody."""

    def open_(who: str = "ada", **options: Any) -> Page:
        script = f"sessionStorage.setItem('binsight.key', '{KEYS[who][0]}')"
        page = open_page(looped.url + "/label", script=script, **options)
        expect(page.locator("#desk")).to_be_visible()
        return page

    return open_


def press(page: Page, key: str) -> None:
    """Press a key, and wait until another photo is shown, or none."""
    before = page.get_attribute("#picture", "data-item") or ""
    page.keyboard.press(key)
    is_next = "before => picture.dataset.item !== before || desk.hidden"
    page.wait_for_function(is_next, arg=before, timeout=PATIENCE_MS)


def labels(server: RunningServer) -> list[tuple[str, str]]:
    """Return who said what, in order."""
    with queue_of(server).reading() as rows:
        found = rows.execute("SELECT labeller, answer FROM events WHERE kind = 'label' ORDER BY id").fetchall()
    return [tuple(row) for row in found]


def settled(page: Page) -> None:
    """Wait until all answers are with the server."""
    page.wait_for_function("() => localStorage.getItem('binsight.labels') === '[]'", timeout=PATIENCE_MS)


def test_the_keyboard_is_enough(open_label: Callable[..., Page], looped: RunningServer) -> None:
    """Classes, other answers, skip and back; nothing tells what the model said until it is asked for."""
    page = open_label()
    assert "90" not in page.inner_text("main")
    for key in "120muS":
        press(page, key)
    settled(page)
    assert [answer for _, answer in labels(looped)] == ["red", "green", "not_waste", "several", "unclear"]
    shown = page.get_attribute("#picture", "data-item")
    press(page, "z")
    press(page, "3")
    settled(page)
    assert page.get_attribute("#picture", "data-item") == shown
    assert labels(looped)[-1] == ("ada", "blue")
    page.keyboard.press("h")
    expect(page.locator("#said")).to_contain_text("The model said red")
    while page.locator("#desk").is_visible():
        press(page, "1")
    settled(page)
    expect(page.locator("#done-text")).to_contain_text("You skipped 1")
    status = read_status(queue_of(looped))
    assert (status.labelled, status.open, status.labellers) == (PHOTOS - 1, 1, {"ada": PHOTOS - 1})
    with queue_of(looped).reading() as rows:
        assert rows.execute("SELECT COUNT(*) FROM events WHERE saw = 'prediction'").fetchone()[0] == 1


def test_a_visible_person(open_label: Callable[..., Page], looped: RunningServer) -> None:
    """The photo is deleted."""
    page = open_label()
    item = page.get_attribute("#picture", "data-item") or ""
    press(page, "p")
    settled(page)
    assert not queue_of(looped).photo(item).exists()


def test_offline_in_the_middle(open_label: Callable[..., Page], looped: RunningServer) -> None:
    """Photos that are there are labelled all the same; no answer is lost or doubled, not even by opening it again."""
    page = open_label()
    expect(page.locator("#desk")).to_have_attribute("data-ready", "4")
    press(page, "1")
    settled(page)
    page.context.set_offline(True)
    for key in "23":
        press(page, key)
    expect(page.locator("#notice")).to_contain_text("no connection")
    assert len(labels(looped)) == 1
    page.context.set_offline(False)
    settled(page)
    expect(page.locator("#notice")).to_be_hidden()
    assert [answer for _, answer in labels(looped)] == ["red", "green", "blue"]


def test_answers_outlive_the_page(open_label: Callable[..., Page], looped: RunningServer) -> None:
    """One that could not be sent goes out when the page is opened again."""
    page = open_label()
    page.route("**/label/items/*", lambda route: route.abort())
    press(page, "2")
    expect(page.locator("#notice")).to_contain_text("Your answer is kept")
    page.unroute_all(behavior="ignoreErrors")
    page.reload()
    settled(page)
    assert labels(looped) == [("ada", "green")]


def test_two_people_at_once(open_label: Callable[..., Page], looped: RunningServer) -> None:
    """Nobody gets the other's photos, and each is labelled once."""
    pages = {who: open_label(who) for who in KEYS}
    first = {page.get_attribute("#picture", "data-item") for page in pages.values()}
    assert len(first) == 2
    while visible := [page for page in pages.values() if page.locator("#desk").is_visible()]:
        for page in visible:
            press(page, "1")
    for page in pages.values():
        settled(page)
    found = labels(looped)
    assert len(found) == PHOTOS
    assert {who for who, _ in found} == {"ada", "bob"}


@pytest.mark.parametrize("width", WIDTHS)
def test_looks(open_label: Callable[..., Page], tmp_path: Path, width: str) -> None:
    """The page fits a phone and a desktop, targets are large, and axe finds nothing serious."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    folder = Path(os.environ.get("BINSIGHT_SCREENSHOTS", tmp_path))
    size = {"width": WIDTHS[width][0], "height": WIDTHS[width][1]}
    page = open_label(viewport=size, is_mobile=width == "phone", has_touch=width == "phone")
    page.screenshot(path=folder / f"label-{width}.png", full_page=True)
    assert fits(page)
    assert serious(axe, page) == []
    heights = page.eval_on_selector_all(
        "main button:not([hidden])", "all => all.map(b => b.offsetHeight).filter(h => h)"
    )
    assert min(heights) >= 44
    page.click("#answers button:has-text('Red')")
    expect(page.locator("#desk")).to_be_visible()


def fill_grid(server: RunningServer) -> set[str]:
    """Let all photos be for training, and two people know two of them to be blue; return these."""
    queue = queue_of(server)
    items = [put(queue, number) for number in range(PHOTOS, PHOTOS + 2)]
    with queue.changing() as rows:
        rows.execute("UPDATE items SET split = 'train', is_double = 0")
        rows.executemany("UPDATE items SET is_double = 1 WHERE id = ?", [(item,) for item in items])
    desk = Labelling(queue, ("red", "green", "blue"))
    for item in items:
        for who in ("bob", "eve"):
            desk.answer(who, item, "blue", event=f"{who}-{item}")
    return set(items)


@pytest.mark.parametrize("width", WIDTHS)
def test_many_at_once_by_keyboard(
    open_label: Callable[..., Page], looped: RunningServer, width: str, tmp_path: Path
) -> None:
    """Keys mark what is something else; the others are labelled; single photos come when there are no more."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    planted = fill_grid(looped)
    size = {"width": WIDTHS[width][0], "height": WIDTHS[width][1]}
    page = open_label(viewport=size, is_mobile=width == "phone", has_touch=width == "phone")
    page.keyboard.press("g")
    expect(page.locator("#grid-title")).to_have_text("Tap those that are not: Red things")
    expect(page.locator("#desk")).to_be_hidden()
    folder = Path(os.environ.get("BINSIGHT_SCREENSHOTS", tmp_path))
    page.screenshot(path=folder / f"label-grid-{width}.png", full_page=True)
    assert fits(page)
    assert serious(axe, page) == []
    tiles = page.locator(".tile")
    names = [tiles.nth(n).get_attribute("data-item") for n in range(tiles.count())]
    for place, name in enumerate(names):
        if name in planted:
            page.keyboard.press("123456789abc"[place])
    expect(page.locator("#grid-count")).to_have_text(f"The other {len(names) - 2} are")
    page.keyboard.press("Enter")
    expect(page.locator("#desk")).to_be_visible()
    assert [one for one in labels(looped) if one[0] == "ada"] == [("ada", "red")] * (len(names) - 2)


def test_a_missed_tile_brings_single_photos_back(open_label: Callable[..., Page], looped: RunningServer) -> None:
    """And says so; nothing is labelled."""
    fill_grid(looped)
    page = open_label()
    page.click("#open-grid")
    expect(page.locator("#grid")).to_be_visible()
    page.click("#grid-send")
    expect(page.locator("#said")).to_contain_text("was missed")
    expect(page.locator("#desk")).to_be_visible()
    page.keyboard.press("g")
    expect(page.locator("#said")).to_contain_text("single ones come first")
    assert [one for one in labels(looped) if one[0] == "ada"] == []
