"""What is known of a line at this moment."""

from __future__ import annotations

import base64
import datetime as dt
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from PIL import Image
from tests.line.fakes import FakeClock
from tests.line.watched import WatchedLine, jpeg

from binsight.errors import InputError, UnsupportedImageError
from binsight.line.account import LedgerAwayError
from binsight.line.monitor import NotHereError
from binsight.line.purity_watch import PurityWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def make_line(tmp_path: Path) -> Iterator[Callable[..., WatchedLine]]:
    """Make lines that end with the test."""
    made: list[WatchedLine] = []

    def make(**values: Any) -> WatchedLine:
        made.append(WatchedLine(tmp_path, **{"clock": FakeClock()} | values))
        return made[-1]

    yield make
    for line in made:
        line.close()


def test_overview(make_line: Callable[..., WatchedLine]) -> None:
    """Lanes count what lies in them, reviews and latencies all; a lost piece is in no lane."""
    line = make_line()
    for _ in range(3):
        line.piece()
    line.piece(status="unknown", reason="no_answer", confirmed_at=None, confirm_result=None)
    line.piece(reason="missed", confirm_result="missed")
    line.review(latency_ms=138.5)
    found = line.monitor.overview()
    assert {lane["number"]: lane["pieces"] for lane in found["lanes"]} == {1: 3, 2: 0, 0: 2}
    assert found["ends"] == {"confirmed": 4, "unknown": 1, "fail_safe": 1}
    assert (found["pieces"], found["review_share"]) == (6, pytest.approx(1 / 6))
    assert found["latency_ms"]["p50"] == 38.5
    assert found["state"]["state_name"] == "execute"
    assert found["lanes"][0]["categories"] == ["red"]
    assert found["lanes"][2]["categories"] == ["blue"]


def test_each_piece_counts_once(make_line: Callable[..., WatchedLine]) -> None:
    """A piece counts when it has its end, not before."""
    line = make_line()
    piece = line.piece(status="commanded", confirmed_at=None, confirm_result=None)
    line.change(replace(piece, status="acknowledged"))
    assert line.monitor.overview()["pieces"] == 0
    line.change(replace(piece, status="confirmed"))
    assert line.monitor.overview()["pieces"] == 1


def test_rates(make_line: Callable[..., WatchedLine]) -> None:
    """Pieces a minute are those of the last minute."""
    clock = FakeClock()
    line = make_line(clock=clock)
    clock.seconds += 100
    for _ in range(6):
        line.piece()
        clock.seconds += 5
    assert line.monitor.overview()["per_minute"] == 6
    clock.seconds += 45
    assert line.monitor.overview()["per_minute"] == 3


def test_a_restart_goes_on_counting(make_line: Callable[..., WatchedLine]) -> None:
    """What the ledger has of the present shift is counted; of another shift it is not."""
    clock = FakeClock()
    first = make_line(clock=clock)
    first.piece()
    first.piece(seen_at=clock.utc() - dt.timedelta(days=3))
    first.close()
    overview = make_line(clock=clock).monitor.overview()
    assert overview["pieces"] == 1
    assert overview["latency_ms"] == {"p50": 38.5, "p95": 38.5, "p99": 38.5}


def test_a_shift_begins_at_nought(make_line: Callable[..., WatchedLine]) -> None:
    """At the change of shift the counts begin anew; what metrics count goes on."""
    clock = FakeClock()
    line = make_line(clock=clock)
    line.piece()
    clock.seconds += 86_400
    line.piece()
    assert line.monitor.overview()["pieces"] == 1
    assert line.monitor.figures()["pieces"] == {(1, "confirmed"): 2}


def test_news(make_line: Callable[..., WatchedLine]) -> None:
    """News are told once: a piece that changed twice in its last state, alarms each, the overview once a second."""
    clock = FakeClock()
    line = make_line(clock=clock)
    piece = line.piece(status="commanded")
    line.change(replace(piece, status="confirmed"))
    line.engine.alarms.set("link", active=True, detail="no connection")
    line.show(7, {1: piece})
    news = {name: data for name, data, _ in line.monitor.news()}
    assert [entry["status"] for entry in news["pieces"]] == ["confirmed"]
    assert news["alarm"]["code"] == "link"
    assert [alarm["code"] for alarm in news["overview"]["alarms"]] == ["link"]
    assert line.monitor.news() == []
    clock.seconds += 1
    assert [name for name, _, _ in line.monitor.news()] == ["overview"]


def test_frame(make_line: Callable[..., WatchedLine]) -> None:
    """The frame is a JPEG with a box for each track, as shares of the picture; pieces have their names."""
    line = make_line()
    piece = line.piece()
    line.show(7, {1: piece})
    frame = next(data for name, data, passing in line.monitor.news() if name == "frame" and passing)
    with Image.open(io.BytesIO(base64.b64decode(frame["jpeg"]))) as picture:
        assert picture.size == (320, 240)
    named, nameless = frame["boxes"]
    assert (named["id"], named["category"], nameless["id"]) == (piece.id, "red", None)
    assert [named[side] for side in ("left", "top", "right", "bottom")] == pytest.approx(
        [10 / 320, 0.25, 60 / 320, 0.5], abs=1e-4
    )
    first = line.monitor.jpeg()
    line.show(8)
    assert first is not None
    assert line.monitor.jpeg() is first  # not encoded again so soon
    line.clock.seconds += 0.2
    assert line.monitor.jpeg() is not first


def test_elsewhere(make_line: Callable[..., WatchedLine]) -> None:
    """A line of another program is followed by its ledger: pieces, their changes and alarms."""
    clock = FakeClock()
    line = make_line(here=False, clock=clock)
    before = line.piece(status="commanded", confirmed_at=None)
    found = line.monitor.overview()
    assert (found["here"], found["state"], found["pieces"]) == (False, None, 0)
    line.monitor.news()
    line.change(replace(before, status="confirmed"))
    after = line.piece()
    line.engine.alarms.set("late", active=True, detail="3 % late")
    assert line.monitor.news() == []  # not asked again so soon
    clock.seconds += 1
    news = {name: data for name, data, _ in line.monitor.news()}
    assert [entry["id"] for entry in news["pieces"]] == [before.id, after.id]
    assert (news["alarm"]["code"], news["overview"]["pieces"]) == ("late", 2)
    line.engine.alarms.set("late", active=False)
    clock.seconds += 1
    assert next(data for name, data, _ in line.monitor.news() if name == "alarm")["active"] is False
    with pytest.raises(NotHereError, match="another program"):
        line.monitor.push(jpeg(), device="", sequence=None, age_s=0)


def test_a_follower_counts_anew_after_a_pause(make_line: Callable[..., WatchedLine]) -> None:
    """What happened while nobody looked is counted by the database, not told piece by piece."""
    clock = FakeClock()
    line = make_line(here=False, clock=clock)
    line.monitor.overview()
    for _ in range(5):
        line.piece()
    clock.seconds += 1000
    assert line.monitor.overview()["pieces"] == 5
    assert [name for name, _, _ in line.monitor.news()] == ["overview"]


def test_push(make_line: Callable[..., WatchedLine]) -> None:
    """Frames reach a camera that is `push`, and no other; an age that cannot be, or no picture, is refused."""
    line = make_line()
    assert line.monitor.push(jpeg(), device="cam", sequence=1, age_s=0.05)
    assert not line.monitor.push(jpeg(), device="cam", sequence=1, age_s=0.05)
    with pytest.raises(UnsupportedImageError):
        line.monitor.push(b"%PDF-1.7", device="cam", sequence=2, age_s=0)
    with pytest.raises(InputError):
        line.monitor.push(jpeg(), device="cam", sequence=2, age_s=-1)
    line.monitor.attach(line, source=None)  # type: ignore[arg-type]
    with pytest.raises(NotHereError, match="push"):
        line.monitor.push(jpeg(), device="cam", sequence=3, age_s=0)


def test_trigger(make_line: Callable[..., WatchedLine]) -> None:
    """A trigger reaches the engine of a line that asks for it."""
    first = make_line()
    with pytest.raises(NotHereError, match="external"):
        first.monitor.trigger(None)
    first.close()
    line = make_line(camera={"trigger": "external"})
    line.monitor.trigger(5)
    line.monitor.trigger(None)
    assert [None if reading is None else reading.counts for reading in line.engine.triggers] == [5, None]


def test_purity_alarm(make_line: Callable[..., WatchedLine]) -> None:
    """A lane whose interval lies below its target raises an alarm, and the sorter hears the figures."""
    line = make_line()
    published: dict[str, Any] = {}
    watch = PurityWatch(line.monitor, line, lambda topic, payload, *, retain: published.update({topic: payload}))  # type: ignore[arg-type]
    pieces = [line.piece(thumbnail=f"t{n}", audit_probability=1.0) for n in range(40)]
    watch.check()
    assert line.engine.alarms.active == ()
    for n, piece in enumerate(pieces[:30]):
        line.monitor.label(piece.id, "green" if n % 2 else "red", "ada")
    watch.check()
    assert [alarm.code for alarm in line.engine.alarms.active] == ["purity_lane_1"]
    assert published["purity/1"]["high"] < 0.9
    assert line.monitor.overview()["lanes"][0]["purity"]["purity"] == pytest.approx(0.5)
    assert line.monitor.figures()["purities"][1, "purity"] == pytest.approx(0.5)


def test_ledger_away(make_line: Callable[..., WatchedLine]) -> None:
    """A database that does not answer is an error of ours, which names no host."""
    line = make_line()
    line.monitor.account.database = sa.create_engine("sqlite:////nowhere/at/all.sqlite")
    with pytest.raises(LedgerAwayError) as caught:
        line.monitor.anew()
    assert "nowhere" not in str(caught.value)
