"""How fast a line is, and how much memory it takes; see docs/line.md. For detection and tracking: line_detect.py.

python benchmarks/line.py latency PHOTOS     frame to command in wall time, a real broker, 10 pieces a second
python benchmarks/line.py idle               share of a core for a belt on which nothing lies
python benchmarks/line.py memory PHOTOS      memory over 24 simulated hours
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from tests.line.services import mosquitto

from binsight.line.clock import SystemClock
from binsight.line.config import LineConfig, parse_line_config
from binsight.line.ledger.database import open_database
from binsight.line.ledger.writer import LedgerWriter
from binsight.line.memory import LineMemory
from binsight.line.records import ENCODER_RANGE, CameraState, Frame
from binsight.line.run import LineRunner
from binsight.line.simulate.photos import read_photos
from binsight.line.simulate.plan import plan_pieces
from binsight.line.simulate.scene import Scene
from binsight.line.simulate.shift import Shift, read_rows, simulate, simulated_config
from binsight.line.sorters.mqtt import MqttSorter
from binsight.predictor import Predictor

_FPS, _SPEED, _SPACING, _COUNTS_PER_MM = 20, 1700.0, 170.0, 10  # 10 pieces a second


class RenderedCamera:
    """Frames that were rendered before, given in real time, over and over."""

    state: CameraState = "ok"
    dropped = 0

    def __init__(self, scene: Scene, clock: SystemClock, *, seconds: float, repeat: int = 1) -> None:
        self._images = [scene.render(_SPEED * i / _FPS) for i in range(round(seconds * _FPS))]
        self._numbers = iter(range(repeat * len(self._images)))
        self._clock, self._began_s = clock, clock.now()

    def read(self, timeout_s: float) -> Frame | None:  # noqa: ARG002 - a frame always comes
        """Wait until the next is due."""
        number = next(self._numbers, None)
        if number is None:
            raise EOFError
        due_s = self._began_s + number / _FPS
        time.sleep(max(0.0, due_s - self._clock.now()))
        return Frame(self._images[number % len(self._images)], due_s, number)

    def close(self) -> None:
        """Nothing is open."""


def answer(port: int, prefix: str) -> Client:
    """A sorter that accepts everything and confirms it when it should have fired."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="bench", protocol=MQTTv5)

    def obey(client: Client, _data: Any, message: Any) -> None:
        command = json.loads(message.payload)
        client.publish(message.properties.ResponseTopic, json.dumps({"seq": command["seq"], "result": "accepted"}), 1)
        done = json.dumps({"seq": command["seq"], "result": "ejected"})
        threading.Timer(command["fire_in_ms"] / 1000, client.publish, [f"{prefix}/confirm", done, 1]).start()

    client.on_message = obey
    client.connect("127.0.0.1", port)
    client.subscribe(f"{prefix}/cmd/sort", 1)
    client.loop_start()

    def report_encoder() -> None:
        while True:
            now = time.monotonic()
            counts = round(_SPEED * _COUNTS_PER_MM * now) % ENCODER_RANGE
            client.publish(f"{prefix}/encoder", json.dumps({"counts": counts, "t_ms": round(1000 * now, 1)}))
            time.sleep(0.02)

    threading.Thread(target=report_encoder, daemon=True).start()
    return client


def line_config(predictor: Predictor, port: int) -> LineConfig:
    """The simulated line's, behind a broker."""
    values = simulated_config(Shift(1, 10.0), predictor.taxonomy).model_dump(exclude_unset=True)
    belt = {"speed_mm_s": _SPEED, "encoder": "mqtt", "counts_per_mm": _COUNTS_PER_MM}
    values |= {"belt": belt, "sorter": {"kind": "mqtt", "url": f"mqtt://127.0.0.1:{port}"}}
    return parse_line_config(values)


def run_line(scene: Scene, *, seconds: float, repeat: int = 1) -> tuple[list[Any], float, float]:
    """Run a line in real time; its rows, and wall and CPU seconds while it ran."""
    predictor, clock = Predictor.load(threads=1), SystemClock()
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as port:
        config = line_config(predictor, port)
        sorter = answer(port, config.prefix)
        url = f"sqlite:///{folder}/ledger.sqlite"
        runner = LineRunner(
            config,
            predictor=predictor,
            source=RenderedCamera(scene, clock, seconds=seconds, repeat=repeat),
            sorter=MqttSorter(config, clock=clock),
            ledger=LedgerWriter(open_database(url)),
            clock=clock,
            memory=LineMemory(Path(folder), config, predictor.bundle.manifest),
        )
        wall_s, cpu_s = time.monotonic(), time.process_time()
        runner.run()
        wall_s, cpu_s = time.monotonic() - wall_s, time.process_time() - cpu_s
        print(f"frames dropped {runner.engine.frames_dropped}, load of the machine {os.getloadavg()[0]:.1f}")
        sorter.loop_stop()
        return read_rows(url), wall_s, cpu_s


def latency(photos: str, seconds: float = 40.0) -> None:
    """Frame to command."""
    predictor = Predictor.load(threads=1)
    images = [p.image for p in read_photos(Path(photos), predictor.taxonomy, most=200, seed=0)]
    rng = np.random.default_rng(0)
    count = round(10 * seconds) - 40
    pieces = plan_pieces(pieces=count, photos=len(images), spacing_mm=_SPACING, start_mm=5000, rng=rng)
    rows, wall_s, cpu_s = run_line(Scene(images, pieces, rng=rng), seconds=seconds)
    times = [row.latency_ms for row in rows if row.commanded_at is not None and row.latency_ms is not None]
    decided = [row.latency_ms for row in rows if row.latency_ms is not None]
    print(Counter((row.status, row.reason) for row in rows))
    print(f"{count} pieces, {len(rows)} seen, {len(times)} commanded; {cpu_s / wall_s:.2f} cores")
    for name, values in (("capture to command", times), ("capture to decision or command, all pieces", decided)):
        print(f"{name}: " + ", ".join(f"p{q} {np.percentile(values, q):.0f} ms" for q in (50, 90, 95, 99)))


def idle() -> None:
    """A belt on which nothing lies, at 20 frames a second, with a broker."""
    scene = Scene([np.zeros((8, 8, 3), np.uint8)], [], rng=np.random.default_rng(0))
    _, wall_s, cpu_s = run_line(scene, seconds=5.0, repeat=4)
    print(f"{100 * cpu_s / wall_s:.1f} % of a core")


def memory(photos: str, hours: float = 24.0) -> None:
    """Resident memory, hour by hour, at one piece in 50 s."""
    predictor = Predictor.load(threads=1)
    images = read_photos(Path(photos), predictor.taxonomy, most=100, seed=0)
    shift = Shift(round(hours * 3600 * 0.02), 0.02, frames_per_second=0.2, pace_s=0.25)
    each = shift.pieces // round(hours)
    marks: dict[int, float] = {}

    def note(done: int) -> None:
        if done // each not in marks:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            marks[done // each] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            print(f"hour {done // each}: {marks[done // each]:.1f} MB", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        result = simulate(
            shift, predictor=predictor, photos=images, ledger_url=f"sqlite:///{folder}/l.sqlite", on_progress=note
        )
    settled = [value for hour, value in marks.items() if hour >= 5]
    print(f"{result.virtual_s / 3600:.1f} simulated hours, {result.seen} pieces, {len(result.faults)} faults")
    print(
        f"{min(settled):.1f} to {max(settled):.1f} MB from hour 5 on, when the simulator's own pictures are in memory"
    )


if __name__ == "__main__":
    name, *arguments = sys.argv[1:] or [""]
    commands: dict[str, Any] = {"latency": latency, "idle": idle, "memory": memory}
    if name not in commands:
        sys.exit(__doc__)
    commands[name](*arguments)
