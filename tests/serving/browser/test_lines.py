"""The pages of a line in a real browser: a real server and ledger, pieces that come when the test says so."""

from __future__ import annotations

import datetime as dt
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.line.watched import NOON, WatchedLine, film
from tests.serving.browser.steps import WIDTHS, expect
from tests.serving.browser.test_looks import fits, serious

from binsight.serving.security import new_key
from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page


@pytest.fixture
def line(tmp_path: Path) -> Iterator[WatchedLine]:
    """Return a line in this process, on which something has happened already."""
    line = WatchedLine(tmp_path)
    for n in range(12):
        line.piece(category="green" if n % 3 == 0 else "red", lane=2 if n % 3 == 0 else 1, thumbnail=f"t{n}",
                   audit_probability=1.0)  # fmt: skip
    line.review(thumbnail="r", audit_probability=1.0)
    line.monitor.measure_purities()
    yield line
    line.close()


@pytest.fixture
def serve_line(model: Path, line: WatchedLine) -> Iterator[Callable[..., RunningServer]]:
    """Start servers that show the line."""
    servers: list[RunningServer] = []

    def start(**values: Any) -> RunningServer:
        settings = {"models": (str(model),), "port": 0, "workers": 1, "access_log": False, "queue_size": 32}
        servers.append(RunningServer(Settings(**settings | values), lines=[line.monitor]))
        servers[-1].load()
        return servers[-1]

    yield start
    for server in servers:
        if server.service.state != "draining":  # a test may have stopped it
            server.stop()


@pytest.fixture
def open_line(serve_line: Callable[..., RunningServer], open_page: Callable[..., Page]) -> Callable[..., Page]:
    """Give a function that opens a page of the line."""
    server = serve_line()

    def open_(path: str = "/lines/line1", **options: Any) -> Page:
        return open_page(server.url + path, **options)

    return open_


class TestBoard:
    def test_follows_the_line(self, line: WatchedLine, open_line: Callable[..., Page]) -> None:
        """Pieces, figures, boxes and alarms come by themselves, as they happen."""
        page = open_line("/lines")  # the only line's page
        expect(page.locator("#state")).to_have_text("Running")
        expect(page.locator("#pieces li")).to_have_count(13)
        expect(page.locator("#no-frame")).to_be_visible()
        moving = line.piece(status="commanded", confirmed_at=None, confirm_result=None)
        line.show(1, {1: moving})
        expect(page.locator("#pieces li").first).to_contain_text("#14")
        expect(page.locator("#pieces li").first).to_contain_text("commanded")
        expect(page.locator("#frame")).to_be_visible()
        expect(page.locator("#boxes rect")).to_have_count(2)
        expect(page.locator("#labels a")).to_have_text("#14 Red things")
        line.change(replace(moving, status="confirmed", confirm_result="ejected"))
        expect(page.locator("#pieces li").first).to_contain_text("confirmed")
        expect(page.locator("#numbers dd").first).to_have_text("14")
        line.engine.alarms.set("link", active=True, detail="no connection to the sorter")
        expect(page.locator("#alarm-list")).to_contain_text("No connection to the sorter")
        expect(page.locator("#events")).to_contain_text("No connection to the sorter")
        line.engine.alarms.set("link", active=False)
        expect(page.locator("#alarms")).to_be_hidden()

    def test_figures(self, line: WatchedLine, open_line: Callable[..., Page]) -> None:
        """Lanes with their purity and its interval, what came, shifts."""
        for piece in line.monitor.account.pieces(limit=50, lane=1)["pieces"]:
            line.monitor.label(piece["id"], "red", "ada")
        line.monitor.measure_purities()
        page = open_line()
        first = page.locator("#lanes .lane").first
        expect(first).to_contain_text("8 pieces")
        expect(first).to_contain_text("wanted 90.0")
        expect(first).to_contain_text("(8 of 8 audited)")
        expect(page.locator("#classes li").first).to_contain_text("Red things")
        expect(page.locator("#shift-rows tr")).to_have_count(1)

    def test_reconnects(
        self, line: WatchedLine, serve_line: Callable[..., RunningServer], open_page: Callable[..., Page]
    ) -> None:
        """When the server is gone the page says that what it shows is old; when it is back, it goes on by itself."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        first = serve_line(port=port)
        page = open_page(first.url + "/lines/line1")
        expect(page.locator("#server")).to_have_text("Live")
        expect(page.locator("#pieces li")).to_have_count(13)
        first.stop()
        expect(page.locator("#notice")).to_contain_text("What you see is old")
        expect(page.locator("#server")).to_have_text("No connection")
        line.piece()
        serve_line(port=port)
        expect(page.locator("#notice")).to_be_hidden()
        expect(page.locator("#pieces li")).to_have_count(14)
        page.goto("about:blank")

    def test_offline(self, line: WatchedLine, open_line: Callable[..., Page]) -> None:
        """So it does when the network is gone."""
        page = open_line()
        expect(page.locator("#pieces li")).to_have_count(13)
        page.context.set_offline(True)
        page.evaluate("window.dispatchEvent(new Event('pagehide')); window.dispatchEvent(new Event('pageshow'))")
        expect(page.locator("#server")).to_have_text("No connection")
        page.context.set_offline(False)
        expect(page.locator("#server")).to_have_text("Live")

    def test_elsewhere(self, tmp_path: Path, model: Path, open_page: Callable[..., Page]) -> None:
        """A line of another program is shown from its ledger, and the page says so."""
        line = WatchedLine(tmp_path, here=False, line={"name": "far"})
        line.piece()
        server = RunningServer(Settings(models=(str(model),), port=0, access_log=False), lines=[line.monitor])
        server.load()
        page = open_page(server.url + "/lines/far")
        expect(page.locator("#state")).to_contain_text("Runs elsewhere")
        line.piece()
        expect(page.locator("#pieces li")).to_have_count(2)
        page.goto("about:blank")
        server.stop()
        line.close()

    def test_keys(self, serve_line: Callable[..., RunningServer], open_page: Callable[..., Page]) -> None:
        """A server with keys asks for one, once."""
        key, stored = new_key("board")
        page = open_page(serve_line(api_keys=(stored,)).url + "/lines/line1", ready=False)
        page.fill("#key-value", key)
        page.click("#key button[value=save]")
        expect(page.locator("#pieces li")).to_have_count(13)
        page.goto("about:blank")

    def test_keyboard(self, line: WatchedLine, open_line: Callable[..., Page]) -> None:
        """All is reached with the keyboard; the list stands still under the focus, and a piece opens with Enter."""
        page = open_line()
        expect(page.locator("#pieces li")).to_have_count(13)
        seen = []
        for _ in range(12):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("document.activeElement.textContent.trim()"))
            if seen[-1].startswith("#"):
                break
        assert seen[0] == "To the content"
        assert "Hold" in seen
        assert seen[-1].startswith("#13")
        line.piece()
        expect(page.locator("#numbers dd").first).to_have_text("14")
        assert page.evaluate("document.activeElement.textContent.trim()").startswith("#13")
        page.keyboard.press("Enter")
        expect(page.locator("#piece-title")).to_have_text("#13 Red things")


class TestPiece:
    def test_all_about_it(self, line: WatchedLine, open_line: Callable[..., Page]) -> None:
        """Its picture, its scores, why it went where it went, and when."""
        piece = line.change(line.piece(thumbnail="here"), film=film())
        page = open_line(f"/lines/line1/piece/{piece.id}")
        expect(page.locator("#why")).to_have_text(
            "Taken for Red things with 98.0\u00a0% and sent to lane 1, Reds; the sorter confirms it."
        )
        expect(page.locator("#picture")).to_be_visible()
        expect(page.locator("#times > li")).to_have_count(6)
        expect(page.locator("#scores li").first).to_contain_text("98.0")

    def test_its_views(self, line: WatchedLine, open_line: Callable[..., Page]) -> None:
        """Each that was kept: its picture, what the model said of it, and whether it counted."""
        piece = line.change(line.piece(thumbnail="here", captured_at=NOON), film=film())
        page = open_line(f"/lines/line1/piece/{piece.id}")
        views = page.locator("#views > li")
        expect(views).to_have_count(3)
        expect(views.nth(0)).to_contain_text("Red things 98.0")
        expect(views.nth(0).locator("p").first).to_have_text("counted")
        expect(views.nth(2).locator("p").first).to_have_text("too blurred to count")
        page.wait_for_function("[...document.querySelectorAll('#views img')].every((img) => img.naturalWidth > 0)")

    def test_followed_to_its_end(self, line: WatchedLine, open_line: Callable[..., Page]) -> None:
        """A piece on its way is followed."""
        piece = line.piece(
            status="commanded", acknowledged_at=None, ack_result=None, confirmed_at=None, confirm_result=None
        )
        page = open_line(f"/lines/line1/piece/{piece.id}")
        expect(page.locator("#why")).to_contain_text("the answer is awaited")
        line.change(replace(piece, status="unknown", reason="no_answer"))
        expect(page.locator("#why")).to_contain_text("the sorter did not answer in time")

    def test_gone(self, open_line: Callable[..., Page]) -> None:
        """One that is not kept any more says so."""
        page = open_line("/lines/line1/piece/01J")
        expect(page.locator("#notice")).to_contain_text("not in the ledger")


class TestAudit:
    def test_labelling_with_the_keyboard(self, line: WatchedLine, open_line: Callable[..., Page]) -> None:
        """Name, keys, skip, back; each answer is kept at once, and nothing tells what the model said."""
        page = open_line("/lines/line1/audit")
        page.fill("#who", "Ada")
        page.keyboard.press("Enter")
        expect(page.locator("#progress")).to_have_text("0 labelled, 13 to go")
        assert "Reds" not in page.inner_text("main")
        assert "%" not in page.inner_text("main")
        expect(page.locator("#desk")).to_be_visible()
        for key, progress in (
            ("1", "1 labelled, 12 to go"),
            ("s", "1 labelled, 12 to go"),
            ("0", "2 labelled, 11 to go"),
        ):
            before = page.get_attribute("#picture", "src") or ""
            page.keyboard.press(key)
            expect(page.locator("#picture")).not_to_have_attribute("src", before)
            expect(page.locator("#progress")).to_have_text(progress)
        for labelled in range(3, 12):
            before = page.get_attribute("#picture", "src") or ""
            page.keyboard.press("2")
            expect(page.locator("#picture")).not_to_have_attribute("src", before)
            expect(page.locator("#progress")).to_have_text(f"{labelled} labelled, {13 - labelled} to go")
        page.keyboard.press("2")
        expect(page.locator("#done-text")).to_have_text("12 pieces are labelled. You skipped 1.")
        labels = [
            line.monitor.account.piece(entry["id"])["audit"]
            for entry in line.monitor.account.pieces(limit=50)["pieces"]
        ]  # type: ignore[index]
        assert {label["by"] for label in labels} <= {"Ada", None}
        assert sum(label["true_category"] is not None for label in labels) == 12

    def test_going_back(self, line: WatchedLine, open_line: Callable[..., Page]) -> None:
        """The piece before comes again, and another answer replaces the first."""
        page = open_line("/lines/line1/audit")
        page.fill("#who", "Ada")
        page.click("#who-form button")
        page.click("#answers button:has-text('Red')")
        expect(page.locator("#undo")).to_be_enabled()
        page.click("#undo")
        expect(page.locator("#undo")).to_be_disabled()
        page.click("#answers button:has-text('Blue')")
        expect(page.locator("#undo")).to_be_enabled()
        pieces = line.monitor.account.pieces(limit=50)["pieces"]
        found = [line.monitor.account.piece(entry["id"])["audit"]["true_category"] for entry in pieces]  # type: ignore[index]
        assert [category for category in found if category] == ["blue"]


class TestLooks:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", WIDTHS)
    def test_screenshots(
        self, line: WatchedLine, open_line: Callable[..., Page], tmp_path: Path, width: str, scheme: str
    ) -> None:
        """The pages fit a phone and a desktop, in light and dark, and axe finds nothing serious."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        folder = Path(os.environ.get("BINSIGHT_SCREENSHOTS", tmp_path))
        size = {"width": WIDTHS[width][0], "height": WIDTHS[width][1]}
        look = {"viewport": size, "color_scheme": scheme, "is_mobile": width == "phone", "has_touch": width == "phone"}
        piece = line.change(line.piece(thumbnail="here", captured_at=NOON + dt.timedelta(seconds=0.2)), film=film())
        line.show(1, {1: piece})
        line.engine.alarms.set("late", active=True, detail="3.0% of the last commands were late")
        found = {}
        for name, path, shown in (
            ("board", "/lines/line1", "#boxes rect"),
            ("piece", f"/lines/line1/piece/{piece.id}", "#views > li"),
            ("audit", "/lines/line1/audit", "#who"),
        ):
            page = open_line(path, **look)
            expect(page.locator(shown).first).to_be_visible()
            if name == "audit":
                page.fill("#who", "Ada")
                page.keyboard.press("Enter")
                expect(page.locator("#answers button").first).to_be_visible()
            found[name] = serious(axe, page)
            page.screenshot(path=folder / f"line-{name}-{width}-{scheme}.png", full_page=True)
            assert fits(page), name
            page.goto("about:blank")
        assert {name: faults for name, faults in found.items() if faults} == {}

    def test_stays_home(self, line: WatchedLine, open_line: Callable[..., Page]) -> None:
        """The pages ask no other server for anything."""
        page = open_line("/lines/line1")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        expect(page.locator("#pieces li")).to_have_count(13)
        home = page.url.partition("/lines")[0]
        assert len(asked) > 6
        assert [url for url in asked if not url.startswith((home, "blob:", "data:"))] == []
