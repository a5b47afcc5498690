"""What the closed loop costs: `/predict` without `--loop`, with it, and with a challenger in the shadow too.

    python benchmarks/loop.py PHOTO... [--rounds 12] [--clients 1]

The three servers take turns in one process, each round with photos that none has seen; the challenger is the champion
under another version. Between two turns the shadow has time to finish. Printed are, as medians over the rounds: photos
per second and the share of the throughput that is left; processor time of a photo, but for what the threads in the
background took, which is the better measure on a busy machine; and what the shadow did meanwhile. No photo is drawn to
be kept, as in use nearly none is: that takes as much again as an answer, in the background, once.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from flask import Flask
from PIL import Image

from binsight.bundle import load_bundle, resolve_bundle, write_bundle
from binsight.loop.registry import Registry
from binsight.serving.app import create_app
from binsight.serving.settings import Settings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--clients", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        apps = make_apps(Path(folder))
        seconds: dict[str, list[float]] = {name: [] for name in apps}
        live: dict[str, list[float]] = {name: [] for name in apps}
        for number in range(options.rounds + 1):
            for name, app in apps.items():
                files = [alter(path, rng) for path in options.photos]
                await_quiet(app)
                begin, spent = time.perf_counter(), live_time()
                with ThreadPoolExecutor(options.clients) as pool:
                    list(pool.map(lambda data, app=app: send(app, data), files))
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - begin)
                    live[name].append(live_time() - spent)
        shadow = apps["with a shadow"].extensions["binsight"].shadow
        await_quiet(apps["with a shadow"])
        print(f"{options.clients} clients, {options.rounds} rounds of {len(options.photos)} photos")
        for name, found in seconds.items():
            kept = statistics.median(base / own for base, own in zip(seconds["without"], found, strict=True))
            rate = len(options.photos) / statistics.median(found)
            cpu = statistics.median(base / own for base, own in zip(live["without"], live[name], strict=True))
            cost_ms = 1000 * statistics.median(live[name]) / len(options.photos)
            print(f"{name}: {rate:.1f} photos a second, {kept:.1%} of the throughput; "
                  f"{cost_ms:.1f} ms of processor time a photo, {cpu:.1%} of the throughput")  # fmt: skip
        print(f"the shadow: {dict(shadow.results)}")
        for app in apps.values():
            app.extensions["binsight"].drain(10)


def make_apps(folder: Path) -> dict[str, Flask]:
    """The three servers."""
    champion = load_bundle(resolve_bundle("waste8"))
    registry = Registry(folder / "registry", create=True)
    files = {name: champion.read(name) for name in champion.manifest.files}
    challenger = write_bundle(folder / "challenger", replace(champion.manifest, version="99.0.0"), files)
    for path in (champion.path, challenger):
        registry.add(path, by="benchmark")

    def make(**values: Path) -> Flask:
        return create_app(Settings(access_log=False, keep_random="0", keep_review="0", **values))  # type: ignore[arg-type]

    apps = {
        "without": make(),
        "with --loop": make(loop_dir=folder / "loop"),
        "with a shadow": make(loop_dir=folder / "shadowed", registry_dir=registry.directory),
    }
    apps["with a shadow"].extensions["binsight"].shadow.look()
    return apps


def live_time() -> float:
    """Processor seconds of this process, but for the threads that keep photos and run models in the shadow."""
    background = [t for t in threading.enumerate() if t.name.startswith(("binsight-keeper", "binsight-shadow"))]
    clocks = [time.pthread_getcpuclockid(t.ident) for t in background if t.ident is not None]
    return time.process_time() - sum(time.clock_gettime(clock) for clock in clocks)


def alter(path: Path, rng: np.random.Generator) -> bytes:
    """The file of a photo that nobody has seen: a part of one, perhaps mirrored."""
    with Image.open(path) as photo:
        width, height = photo.size
        left, top = (int(rng.integers(0, side // 4 + 1)) for side in (width, height))
        part = photo.convert("RGB").crop((left, top, left + 3 * width // 4, top + 3 * height // 4))
    if rng.random() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    file = io.BytesIO()
    part.save(file, "JPEG", quality=90)
    return file.getvalue()


def send(app: Flask, data: bytes) -> None:
    """Have a photo classified."""
    assert app.test_client().post("/predict", data=data, content_type="image/jpeg").status_code == 200  # noqa: S101


def await_quiet(app: Flask) -> None:
    """Wait until keeper and shadow have nothing to do."""
    service = app.extensions["binsight"]
    while (service.keeper and service.keeper.waiting) or (service.shadow and service.shadow.waiting):
        time.sleep(0.05)
    time.sleep(0.2)  # the last one is in work


if __name__ == "__main__":
    main()
