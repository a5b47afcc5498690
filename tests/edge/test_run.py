"""`binsight edge run` as it is run: a camera, a real broker, a real server, each of which may be away; and kill -9."""

from __future__ import annotations

import io
import itertools
import json
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from PIL import Image
from tests.line.predictions import prediction
from tests.line.services import free_port, mosquitto
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.edge.device import Novelty
from binsight.probability import ReviewThresholds
from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PREFIX = "binsight/v1/plant/edge1"
COLOURS = ("red", "green", (170, 170, 0), "blue")  # the model is not sure of the third
WAIT_S = 120


class Camera:
    """An HTTP camera: another colour for each picture."""

    def __init__(self) -> None:
        pictures = itertools.cycle([self._jpeg(colour) for colour in COLOURS])

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                picture = next(pictures)
                self.send_response(200)
                self.send_header("Content-Length", str(len(picture)))
                self.end_headers()
                self.wfile.write(picture)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/capture"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @staticmethod
    def _jpeg(colour: Any) -> bytes:
        stream = io.BytesIO()
        Image.new("RGB", (64, 48), colour).save(stream, "JPEG", quality=95)
        return stream.getvalue()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Plant:
    """Whoever takes the results: it knows the topics and nothing of binsight."""

    def __init__(self, port: int) -> None:
        self.pieces: dict[int, list[bytes]] = {}
        self.states: list[dict[str, Any]] = []
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="plant", protocol=MQTTv5)
        ready = threading.Event()
        self.client.on_message = self._received
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe([(f"{PREFIX}/piece", 1), (f"{PREFIX}/state", 1)])
        self.client.loop_start()
        assert ready.wait(WAIT_S)

    def _received(self, _client: Any, _data: Any, message: Any) -> None:
        values = json.loads(message.payload)
        if message.topic.endswith("state"):
            self.states.append(values)
        else:
            self.pieces.setdefault(values["seq"], []).append(message.payload)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def camera() -> Iterator[Camera]:
    """Return a camera."""
    found = Camera()
    yield found
    found.close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the tiny bundle, which is not sure of a mixture of colours."""
    return tiny_bundle(tmp_path / "tiny", manifest=tiny_manifest(review=ReviewThresholds(confidence=(0.8,) * 3)))


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


@contextmanager
def device(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command; it is killed at the end, if it still runs."""
    command = [sys.executable, "-m", "binsight", "edge", "run", "--frames-per-second", "20", "--steady-frames", "1"]
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def server(model: Path, port: int) -> Iterator[None]:
    """Run a `binsight serve` that knows better than the device: it accepts everything."""
    sure = tiny_bundle(model.parent / "sure", manifest=tiny_manifest(name="sure"))
    running = RunningServer(Settings(models=(str(sure),), port=port, access_log=False, drain_timeout_s=5))
    try:
        running.load()
        yield
    finally:
        running.stop()


def kept(store: Path) -> dict[int, bool]:
    """What waits in a store: number → whether there is a picture with it."""
    if not store.exists():
        return {}
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)) as database:
        try:
            return dict(database.execute("SELECT seq, photo IS NOT NULL FROM results").fetchall())
        except sqlite3.OperationalError:
            return {}  # it is being made


def test_nothing_is_lost_or_doubled(tmp_path: Path, camera: Camera, model: Path) -> None:
    """Broker and server are away; the device is killed; they come back; it is killed while it tells; it goes on."""
    store, broker_port, server_port = tmp_path / "edge.sqlite", free_port(), free_port()
    arguments = ["--source", camera.url, "--model", str(model), "--store", str(store), "--heartbeat", "0.1"]
    arguments += ["--mqtt", f"mqtt://127.0.0.1:{broker_port}", "--server", f"http://127.0.0.1:{server_port}"]
    with device(*arguments) as process:
        until(lambda: sum(kept(store).values()) >= 3 and len(kept(store)) >= 12)
        process.kill()
    waited = kept(store)
    assert sorted(waited) == list(range(1, len(waited) + 1))
    with mosquitto(tmp_path, port=broker_port), closing(Plant(broker_port)) as plant:
        with device(*arguments) as process:  # the server is still away
            until(lambda: len(plant.pieces) >= 4)
            process.kill()
        asked = {seq for seq, has_photo in kept(store).items() if has_photo}
        assert asked >= {seq for seq, has_photo in waited.items() if has_photo}
        assert not asked & set(plant.pieces)
        with server(model, server_port), device(*arguments) as process:
            until(lambda: set(plant.pieces) >= asked | set(waited))
            process.terminate()
            _, said = process.communicate(timeout=WAIT_S)
            assert process.returncode == 0, said
        until(lambda: plant.states[-1] == {"online": False})
    assert {len(set(payloads)) for payloads in plant.pieces.values()} == {1}
    told = {seq: json.loads(payloads[0]) for seq, payloads in plant.pieces.items()}
    assert set(told) | set(kept(store)) == set(range(1, max(told) + 1))
    assert len({message["id"] for message in told.values()}) == len(told)
    assert {told[seq]["decided_by"] for seq in asked} == {"server"}
    assert {told[seq]["decision"] for seq in told} == {"accept"}
    assert {told[seq]["category"] for seq in set(told) - asked} <= {"red", "green", "blue"}  # whichever it came by
    state = next(state for state in plant.states if state["online"])
    assert state["camera"] in {"ok", "starting"}
    assert (state["model"], state["engine"]) == ("tiny 1.0.0", "onnx")


def test_what_cannot_be_opened_ends_in_one_line(tmp_path: Path, model: Path) -> None:
    """And leaves nothing behind."""
    store = tmp_path / "edge.sqlite"
    with device("--source", "nothing", "--mqtt", "mqtt://a", "--model", str(model), "--store", str(store)) as process:
        _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2
    assert said.startswith(b"binsight: expected a camera")
    assert said.count(b"\n") == 1
    assert not store.exists()


def test_something_is_new_when_several_pictures_agree_on_it() -> None:
    """Flicker is not; what the model is not sure of is all alike."""
    novelty = Novelty(2)
    glass, metal = prediction([0.9, 0.1]), prediction([0.1, 0.9])
    unsure = [prediction([0.6, 0.4], reason="low_confidence"), prediction([0.4, 0.6], reason="low_confidence")]
    found = [novelty.is_new(p) for p in (glass, glass, glass, metal, glass, metal, metal, *unsure, unsure[0], metal)]
    assert found == [False, True, False, False, False, False, True, False, True, False, False]
