"""`binsight line run` in real time: a video file, a real broker, a sorter of the test's own, and kill -9."""

from __future__ import annotations

import datetime as dt
import json
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from PIL import Image
from tests.line.services import mosquitto
from tests.patience import PATIENCE_S

from binsight.line.ledger.database import open_database
from binsight.line.ledger.writer import LedgerWriter
from binsight.line.recorder import recording
from binsight.line.records import ENDS, Piece
from binsight.line.simulate.plan import PlannedPiece
from binsight.line.simulate.scene import Scene
from binsight.line.simulate.shift import read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PREFIX = "binsight/v1/plant/line1"
SPEED, SPACING, PIECES, RUN_IN = 600.0, 200.0, 10, 1500.0  # mm/s, mm
ID = rb'"[0-9A-HJKMNP-TV-Z]{26}"'
COMMAND = rb'\{"id":' + ID + rb',"seq":\d+,"lane":[12],"target":null,"fire_in_ms":\d+,"dwell_ms":60\}'
PIECE = (
    rb'\{"id":' + ID + rb',"seq":\d+,"t":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","encoder":null,'
    rb'"category":"(red|green|blue)","confidence":[01]\.\d+,"decision":"accept","reason":(null|"\w+"),"frames":[1-4],'
    rb'"lane":[0-2],"status":"(acknowledged|confirmed|fail_safe|late|refused|unknown|dropped)"\}'
)
STATE = (
    rb'\{"online":true,"state":\d+,"mode":1,"camera":"\w+","frame_age_ms":(\d+|null),"ack_rtt_ms":(\d+\.\d|null),'
    rb'"model":"tiny 1\.0\.0"\}'
)


class BenchSorter:
    """What a plant would have: it knows the topics and nothing of binsight. It answers, fires once, and keeps books."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.commands: list[tuple[dict[str, Any], MQTTMessage]] = []
        self.fired: list[int] = []
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="bench", protocol=MQTTv5)
        self.client.on_message = self._on_message
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe(f"{PREFIX}/#", qos=1)
        self.client.loop_start()
        assert ready.wait(PATIENCE_S)

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        self.messages.append((message.topic, message.payload, message.retain))
        if message.topic != f"{PREFIX}/cmd/sort":
            return
        command = json.loads(message.payload)
        self.commands.append((command, message))
        answer = json.dumps({"seq": command["seq"], "result": "accepted"})
        client.publish(message.properties.ResponseTopic, answer, qos=1)  # type: ignore[union-attr]  # MQTT 5 has them
        threading.Timer(command["fire_in_ms"] / 1000, self._fire, [command["seq"]]).start()

    def _fire(self, seq: int) -> None:
        self.fired.append(seq)
        self.client.publish(f"{PREFIX}/confirm", json.dumps({"seq": seq, "result": "ejected"}), qos=1)

    def of(self, word: str) -> list[bytes]:
        return [payload for topic, payload, _ in self.messages if topic == f"{PREFIX}/{word}"]

    def wait_for(self, happened: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, f"waited in vain; so far {len(self.messages)} messages"
            time.sleep(0.02)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def bench_sorter(port: int) -> Iterator[BenchSorter]:
    """Run one."""
    sorter = BenchSorter(port)
    try:
        yield sorter
    finally:
        sorter.close()


def write_belt_video(path: Path) -> None:
    """Write a video of red, green and blue cards that pass after a stretch of empty belt."""
    rng = np.random.default_rng(0)
    colours = ((220, 40, 30), (30, 210, 40), (40, 50, 230))
    photos = [np.clip(rng.integers(-25, 25, (60, 60, 1)) + np.array(c), 0, 255).astype(np.uint8) for c in colours]
    pieces = [PlannedPiece(i, i % 3, RUN_IN + i * SPACING, 0.5, 0, mirrored=False) for i in range(PIECES)]
    scene = Scene(photos, pieces, size=(240, 320), rng=rng)
    seconds = (RUN_IN + PIECES * SPACING + 400) / SPEED
    with recording(path) as video:
        for frame in range(round(25 * seconds)):
            video.add(Image.fromarray(scene.render(SPEED * frame / 25)), frame / 25)


@pytest.fixture(scope="module")
def belt_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the video."""
    path = tmp_path_factory.mktemp("video") / "belt.mp4"
    write_belt_video(path)
    return path


def write_settings(folder: Path, *, bundle: Path, source: str, port: int, distance_mm: float = 1200) -> Path:
    """Write the line.toml of a red and a green lane."""
    path = folder / "line.toml"
    path.write_text(
        f"""
        [line]
        name = "line1"
        strange = "warn"
        site = "plant"
        model = "{bundle}"
        [camera]
        source = "{source}"
        frames_per_second = 25
        field_mm = 600
        [belt]
        speed_mm_s = {SPEED}
        [[lanes]]
        number = 1
        categories = ["red"]
        distance_mm = {distance_mm}
        [[lanes]]
        number = 2
        categories = ["green"]
        distance_mm = {distance_mm + 300}
        [sorter]
        kind = "mqtt"
        url = "mqtt://127.0.0.1:{port}"
        ack_timeout_ms = 1000
        """
    )
    return path


@contextmanager
def running(settings: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `binsight line run` in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "binsight", "line", "run", settings, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def test_a_line_survives_kill_9_with_every_piece_accounted_for(
    tmp_path: Path, belt_video: Path, shared_bundle: Path
) -> None:
    """Killed in the middle and started again: one end a piece, no number twice, nothing commanded again."""
    with mosquitto(tmp_path) as port, bench_sorter(port) as sorter:
        settings = write_settings(tmp_path, bundle=shared_bundle, source=str(belt_video), port=port)
        url = f"sqlite:///{tmp_path}/line1.sqlite"
        with running(settings) as process:
            sorter.wait_for(lambda: len(sorter.commands) >= 4)
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=PATIENCE_S)
        sorter.wait_for(lambda: b'{"online":false}' in sorter.of("state"))  # its last will
        before = {row.seq: row for row in read_rows(url)}
        assert any(row.status not in ENDS for row in before.values())
        with running(settings) as process:
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, err.decode()
        sorter.wait_for(lambda: len(sorter.fired) == len(sorter.commands))

        rows = {row.seq: row for row in read_rows(url)}
        assert list(rows) == list(range(1, len(rows) + 1))
        assert {row.status for row in rows.values()} <= set(ENDS)
        assert len({row.id for row in rows.values()}) == len(rows)
        # The recording plays from its beginning once more; a machine that is held up sees fewer of its pieces.
        assert len(before) < len(rows) <= len(before) + PIECES
        commanded = [command["seq"] for command, _ in sorter.commands]
        assert len(set(commanded)) == len(commanded)
        left_open = {seq for seq, row in before.items() if row.status in {"commanded", "acknowledged"}}
        assert all((rows[seq].status, rows[seq].reason) == ("unknown", "restart") for seq in left_open)
        for seq, row in rows.items():
            assert sorter.fired.count(seq) == (1 if seq in commanded else 0)
            assert (row.status in {"confirmed", "unknown", "acknowledged"}) == (seq in commanded)
            assert row.status != "confirmed" or row.category in {"red", "green"}
        ended = [json.loads(line) for line in out.splitlines()]
        assert [piece["seq"] for piece in sorted(ended, key=lambda p: p["seq"])] == sorted(rows.keys() - before.keys())


def test_the_messages_are_those_of_the_contract(tmp_path: Path, belt_video: Path, shared_bundle: Path) -> None:
    """Byte for byte, with the properties of MQTT 5; red goes to lane 1, green to lane 2, blue stays."""
    with mosquitto(tmp_path) as port, bench_sorter(port) as sorter:
        settings = write_settings(tmp_path, bundle=shared_bundle, source=str(belt_video), port=port)
        with running(settings) as process:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err.decode()
        rows = {row.seq: row for row in read_rows(f"sqlite:///{tmp_path}/line1.sqlite")}
        assert 0 < len(rows) <= PIECES
        assert sorter.commands
        for command, message in sorter.commands:
            assert re.fullmatch(COMMAND, message.payload), message.payload
            assert not message.retain
            assert message.qos == 1
            properties: Any = message.properties
            assert properties.ResponseTopic == f"{PREFIX}/ack/binsight-plant-line1"
            assert properties.CorrelationData == str(command["seq"]).encode()
            assert properties.MessageExpiryInterval == 1
            assert command["id"] == rows[command["seq"]].id
            assert rows[command["seq"]].category == {1: "red", 2: "green"}[command["lane"]]
            # 1.2 m and 1.5 m at 600 mm/s, less the lead and what passed since the crossing.
            assert 0 < command["fire_in_ms"] <= {1: 1980, 2: 2480}[command["lane"]]
        assert all(re.fullmatch(PIECE, payload) for payload in sorter.of("piece")), sorter.of("piece")
        states = sorter.of("state")
        assert states[-1] == b'{"online":false}'
        assert all(re.fullmatch(STATE, payload) for payload in states[:-1]), states
        assert all(set(json.loads(p)) == {"code", "active"} for p in sorter.of("fault"))
        assert {row.status for row in rows.values()} <= {"confirmed", "fail_safe", "late", "dropped", "unknown"}


def test_sigterm_ends_a_line_in_good_order(tmp_path: Path, shared_bundle: Path) -> None:
    """A line whose camera never says anything says goodbye and ends with 0; it removed what was older than 30 days."""
    url = f"sqlite:///{tmp_path / 'line1.sqlite'}"
    writer = LedgerWriter(open_database(url))
    writer.start("line1", dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    for seq in (1, 2):
        seen_at = dt.datetime(2020, 1, seq, tzinfo=dt.UTC)
        writer.put(Piece(id=f"{seq:026}", line="line1", seq=seq, seen_at=seen_at, status="fail_safe"))
    writer.close()
    with mosquitto(tmp_path) as port, bench_sorter(port) as sorter:
        with running(write_settings(tmp_path, bundle=shared_bundle, source="push", port=port)) as process:
            sorter.wait_for(lambda: bool(sorter.of("state")))
            # The newest row stays, so that no sequence number comes again.
            sorter.wait_for(lambda: [row.seq for row in read_rows(url)] == [2])
            process.terminate()
            assert process.wait(timeout=PATIENCE_S) == 0
        sorter.wait_for(lambda: sorter.of("state")[-1] == b'{"online":false}')
