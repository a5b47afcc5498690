"""A line that runs in another program, heard over a real broker."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt import publish
from tests.line.fakes import FakeClock, Heard
from tests.line.services import free_port, mosquitto
from tests.line.sources.cameras import wait_until
from tests.line.watched import WatchedLine
from tests.patience import PATIENCE_S

from binsight.line.remote import RemoteLine
from binsight.line.sorters.mqtt import MqttSorter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PREFIX = "binsight/v1/plant/line1"
STATE = {
    "online": True, "state": 6, "mode": 1, "camera": "ok", "frame_age_ms": 38, "ack_rtt_ms": 0.6,
    "model": "waste8 1.2.0",
}  # fmt: skip


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Return the port of a broker."""
    with mosquitto(tmp_path_factory.mktemp("broker")) as port:
        yield port


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[[int], WatchedLine]]:
    """Return a function that shows a line from its ledger and the broker at a port; its clock stands still."""
    lines: list[WatchedLine] = []

    def start(port: int) -> WatchedLine:
        sorter = {"kind": "mqtt", "url": f"mqtt://127.0.0.1:{port}"}
        lines.append(WatchedLine(tmp_path, here=False, clock=FakeClock(), sorter=sorter))
        lines[-1].monitor.listen()
        return lines[-1]

    yield start
    for line in lines:
        line.monitor.close()
        line.close()


@pytest.fixture
def plant(broker: int, watch: Callable[[int], WatchedLine]) -> Iterator[tuple[WatchedLine, MqttSorter]]:
    """Return a line that is watched, and the sorter of the program in which it runs."""
    line = watch(broker)
    sorter, heard = MqttSorter(line.config, clock=line.clock), Heard()
    sorter.start(heard)
    assert heard.link.get(timeout=PATIENCE_S)
    wait_until(lambda: presence(line)["broker"], PATIENCE_S)
    yield line, sorter
    sorter.close()
    publish.single(f"{PREFIX}/state", None, retain=True, port=broker)  # the next test begins with nothing


def presence(line: WatchedLine) -> dict[str, Any]:
    """Return what is heard of a line."""
    found = line.monitor.overview()["remote"]
    assert found is not None
    return found


def test_its_state_is_shown_until_it_says_goodbye(plant: tuple[WatchedLine, MqttSorter]) -> None:
    """As the contract's `state` message has it; then it is offline, and what was is not shown as if it were."""
    line, sorter = plant
    assert (presence(line)["online"], line.monitor.overview()["state"]) == (None, None)
    sorter.publish("state", STATE, retain=True)
    wait_until(lambda: presence(line)["online"] is True, PATIENCE_S)
    assert line.monitor.overview()["state"] == STATE | {"state_name": "execute", "mode_name": "production"}
    assert line.monitor.figures()["frame_age_s"] == 0.038
    sorter.close()
    wait_until(lambda: presence(line)["online"] is False, PATIENCE_S)
    assert line.monitor.overview()["state"] is None
    assert line.monitor.figures()["frame_age_s"] is None


def test_silence_is_no_life(plant: tuple[WatchedLine, MqttSorter]) -> None:
    """Its last word was that all is well; without a heartbeat that means nothing."""
    line, sorter = plant
    sorter.publish("state", STATE, retain=True)
    wait_until(lambda: presence(line)["online"] is True, PATIENCE_S)
    line.clock.seconds += 4.9
    assert presence(line)["online"] is True
    line.clock.seconds += 0.2
    assert presence(line) == {"broker": True, "online": False, "silent_s": 5.1}
    sorter.publish("state", STATE, retain=True)
    wait_until(lambda: presence(line)["online"] is True, PATIENCE_S)


def test_alarms_come_at_once_and_once(plant: tuple[WatchedLine, MqttSorter]) -> None:
    """Before the ledger has them; its details follow, and count for no second alarm."""
    line, sorter = plant
    line.monitor.news()
    sorter.publish("fault", {"code": "link", "active": True})
    wait_until(lambda: [alarm["code"] for alarm in line.monitor.overview()["alarms"]] == ["link"], PATIENCE_S)
    line.engine.alarms.set("link", active=True, detail="no connection to the sorter")
    line.clock.seconds += 1
    assert line.monitor.overview()["alarms"][0]["detail"] == "no connection to the sorter"
    assert line.monitor.figures()["alarm_counts"] == {"link": 1}
    told = [data["active"] for name, data, _ in line.monitor.news() if name == "alarm"]
    assert told == [True]
    sorter.publish("fault", {"code": "link", "active": False})
    wait_until(lambda: line.monitor.overview()["alarms"] == [], PATIENCE_S)


@pytest.mark.parametrize("topic", ["state", "fault"])
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"online":"yes"}',
        b'{"online":true,"state":99,"mode":1}',
        b'{"code":"made_up","active":true}',
    ],
)
def test_what_makes_no_sense_is_passed_over(
    broker: int, plant: tuple[WatchedLine, MqttSorter], topic: str, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Others may write to a broker: it is logged, and what follows is heard."""
    line, sorter = plant
    publish.single(f"{PREFIX}/{topic}", payload, qos=1, port=broker)
    wait_until(lambda: "cannot make sense" in caplog.text, PATIENCE_S)
    assert line.monitor.overview()["state"] is None
    sorter.publish("state", STATE, retain=True)
    wait_until(lambda: presence(line)["online"] is True, PATIENCE_S)


def test_a_state_that_lacks_its_number_is_no_life(broker: int, plant: tuple[WatchedLine, MqttSorter]) -> None:
    """Nor does it break what asks."""
    line, _ = plant
    publish.single(f"{PREFIX}/state", json.dumps({"online": True, "mode": 1}), qos=1, port=broker)
    wait_until(lambda: presence(line)["online"] is False, PATIENCE_S)
    assert line.monitor.overview()["state"] is None


def test_a_broker_that_comes_later_and_goes(tmp_path: Path, watch: Callable[[int], WatchedLine]) -> None:
    """It is tried until it is there; the ledger is shown meanwhile."""
    port = free_port()
    line = watch(port)
    line.piece()
    assert presence(line) == {"broker": False, "online": None, "silent_s": None}
    assert line.monitor.overview()["pieces"] == 1
    with mosquitto(tmp_path, port=port):
        wait_until(lambda: presence(line)["broker"], PATIENCE_S)
    wait_until(lambda: not presence(line)["broker"], PATIENCE_S)


def test_a_line_without_a_broker_is_not_listened_to(tmp_path: Path) -> None:
    """Its ledger is all there is."""
    line = WatchedLine(tmp_path, here=False, sorter={"kind": "none"})
    line.monitor.listen()
    assert line.monitor.overview()["remote"] is None
    line.monitor.close()
    line.close()


def test_nothing_is_left_running(broker: int, watch: Callable[[int], WatchedLine]) -> None:
    """After it is closed."""
    before = set(threading.enumerate())
    remote = RemoteLine(watch(broker).config, FakeClock(), tell_fault=lambda _code, _active: None)
    remote.start()
    wait_until(lambda: remote.presence()["broker"], PATIENCE_S)
    remote.close()
    assert len(set(threading.enumerate()) - before) == 1  # that of the line of this test
