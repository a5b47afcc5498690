"""How much of the engine's speed reaches the clients, and how the server behaves under too much and under bad input.

    python benchmarks/serve.py [--seconds S] [--rounds N] [PART ...]

Parts: latency, memory, rivals, overload, hostile, wsgi, slow; by default the first five. The issue's full sizes are
`--seconds 10 --rounds 5 --requests 10000 --uploads 10000 --overload-seconds 60`.

Beside binsight[serve] the rivals need packages that nothing else here does; a missing one is left out:

    pip install litserve python-multipart waitress granian gunicorn cheroot hypercorn

Every figure is a ratio of things measured in turn in this run, so a slow or busy machine changes it little. All load
stays on this machine.
"""

from __future__ import annotations

import argparse
import io
import itertools
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from binsight.imaging import prepare_photo
from binsight.predictor import Predictor, available_cores
from serve_load import Client, Load, closed_load, form, open_load, request, run_threads
from serve_processes import binsight, family_cpu_s, family_mb, resident_mb, rivals, started, wsgi_servers
from serve_slow import measure_slow

ROOT = Path(__file__).parent.parent
SHARED_PHOTOS = ROOT.parent / "shared" / "data" / "waste8" / "val"
EXAMPLES = ROOT / "examples"
CLIENTS = (1, 8, 32, 128)
DEADLINE_S = 5.0
OUTPUTS = ("logits", "biodegradable_logit", "unfamiliarity")


def alone_ms(photos: Sequence[bytes], engine: Predictor, seconds: float) -> float:
    """The median of decoding and running one photo after another, in this process."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    for photo in itertools.cycle(photos):
        begun = time.perf_counter()
        if begun > end:
            return statistics.median(times)
        engine.run(prepare_photo(photo, engine.spec)[None], OUTPUTS)
        times.append(1000 * (time.perf_counter() - begun))
    raise AssertionError


def saturated_rate(photos: Sequence[bytes], engine: Predictor, seconds: float) -> float:
    """Photos a second, decoded beforehand, with one thread per core that does nothing but run the network."""
    prepared = [prepare_photo(photo, engine.spec)[None] for photo in photos]
    counts, start = Counter[int](), time.perf_counter()

    def run(number: int) -> None:
        for turn in itertools.count(number):
            if time.perf_counter() - start > seconds:
                return
            engine.run(prepared[turn % len(prepared)], OUTPUTS)
            counts[number] += 1

    run_threads(run, available_cores())
    return counts.total() / (time.perf_counter() - start)


def measure_latency(table: Table, photos: list[bytes], large: dict[str, bytes], options: argparse.Namespace) -> None:
    """One client, eight clients, large photos; beside what decode and engine, or the engine, do alone at the time."""
    wide, narrow = Predictor.load(), Predictor.load(threads=1)
    requests = [form(photo) for photo in photos]
    rows: list[tuple[float, ...]] = []
    errors = 0
    with binsight() as (port, _):
        for _ in range(options.rounds):
            alone = alone_ms(photos, wide, options.seconds)
            loads = [closed_load(port, requests, 1, options.seconds)]
            loads += [closed_load(port, [form(photo)], 1, options.seconds) for photo in large.values()]
            saturated = saturated_rate(photos, narrow, options.seconds)
            loads.append(closed_load(port, requests, 8, options.seconds))
            errors += sum(load.errors for load in loads)
            rows.append((alone, saturated, loads[-1].rate, *(load.at(50) for load in loads[:-1])))
    alone, saturated, rate, one, *bigs = (statistics.median(column) for column in zip(*rows, strict=True))
    _row(table, "one client, 300 px JPEG, p50", f"{one:.1f} ms", f"alone {alone:.1f} ms", rows, (3, 0), "<= 1.5")
    _row(table, "eight clients", f"{rate:.0f}/s", f"engine saturated {saturated:.0f}/s", rows, (2, 1), ">= 0.8")
    for column, (name, big) in enumerate(zip(large, bigs, strict=True), start=4):
        _row(table, f"12 megapixels {name}, p50", f"{big:.1f} ms", f"300 px {one:.1f} ms", rows, (column, 3), "<= 3")
    table.add_row("errors in these", str(errors), "", "", "0")


def _row(
    table: Table, name: str, value: str, other: str, rows: list[tuple[float, ...]], of: tuple[int, int], wanted: str
) -> None:
    """A row with the median of the rounds' ratios."""
    ratio = statistics.median(row[of[0]] / row[of[1]] for row in rows)
    table.add_row(name, value, other, f"{ratio:.2f}", wanted)


def measure_memory(table: Table, photos: list[bytes], options: argparse.Namespace) -> None:
    """Resident memory along `--requests` requests of eight clients."""
    requests = [form(photo) for photo in photos]
    with binsight() as (port, process):
        seen, done = [resident_mb(process)], 0
        while done < options.requests:
            done += closed_load(port, requests, 8, options.seconds).statuses[200]
            seen.append(resident_mb(process))
    half = seen[len(seen) // 2]
    table.add_row(
        f"memory after {done:,} requests",
        f"{seen[-1]:.0f} MB",
        f"half way {half:.0f} MB",
        f"{seen[-1] / half:.2f}",
        "<= 250 MB, flat",
    )


def measure_rivals(console: Console, photos: list[bytes], options: argparse.Namespace) -> None:
    """Answers a second at each number of clients, behind each server, in turn."""
    _compare(console, "The same network behind other servers", rivals(), photos, CLIENTS, options)


def measure_wsgi(console: Console, photos: list[bytes], options: argparse.Namespace) -> None:
    """The same application under each WSGI server that is installed."""
    _compare(console, "The same application under other WSGI servers", wsgi_servers(), photos, CLIENTS, options)


def measure_trickle(console: Console, photos: list[bytes], options: argparse.Namespace) -> None:
    """Each WSGI server, with many clients that send a byte every few seconds beside four that behave."""
    requests, count = [form(photo) for photo in photos], options.slow_clients
    table = Table(
        *("server", "answers/s alone", "beside slow ones", "kept", "CPU ms an answer, alone / beside"),
        *("probes p50 / p99 / max, ms", "MB"),
        title=f"{count:,} clients that trickle headers or bodies",
    )
    for name, command in wsgi_servers().items():
        with started(command) as (port, process):
            closed_load(port, requests, 4, 1)
            cpu_s = partial(family_cpu_s, process)
            run = measure_slow(port, requests, count=count, clients=4, seconds=options.seconds, cpu_s=cpu_s)
            memory = family_mb(process)
        probes = " / ".join(f"{run.probe(percent):,.0f}" for percent in (50, 99, 100))
        cpu = " / ".join(f"{ms:.1f}" for ms in run.cpu_ms)
        table.add_row(
            name, f"{run.before.rate:.0f}", f"{run.during.rate:.0f}", f"{run.kept:.2f}", cpu, probes, f"{memory:.0f}"
        )
    console.print(table)


def _compare(
    console: Console,
    title: str,
    commands: dict[str, list[str]],
    photos: list[bytes],
    clients: Sequence[int],
    options: argparse.Namespace,
) -> None:
    requests = [form(photo) for photo in photos]
    rates: dict[tuple[str, int], list[Load]] = {}
    memory: dict[str, float] = {}
    for _, (name, command) in itertools.product(range(options.rounds), commands.items()):
        with started(command) as (port, process):
            closed_load(port, requests, 4, 1)
            for count in clients:
                rates.setdefault((name, count), []).append(closed_load(port, requests, count, options.seconds))
            memory[name] = family_mb(process)
    table = Table("answers a second (p50 / p99 ms, errors)", *(f"{n} clients" for n in clients), "MB", title=title)
    for name in commands:
        cells = []
        for count in clients:
            loads = rates[name, count]
            middle = sorted(loads, key=lambda load: load.rate)[len(loads) // 2]
            errors = sum(load.errors for load in loads)
            cells.append(f"{middle.rate:.0f} ({middle.at(50):.0f} / {middle.at(99):.0f}, {errors})")
        table.add_row(name, *cells, f"{memory[name]:.0f}")
    console.print(table)


def measure_overload(table: Table, photos: list[bytes], options: argparse.Namespace) -> None:
    """Twice what the server can do: accepted requests keep the deadline, the rest are refused at once."""
    requests = [form(photo) for photo in photos]
    with binsight("--deadline", str(DEADLINE_S)) as (port, process):
        before = closed_load(port, requests, 8, options.seconds)
        load = open_load(port, requests, 2 * before.rate, options.overload_seconds)
        memory = resident_mb(process)
        after = closed_load(port, requests, 8, options.seconds)
    offered, refused = load.statuses.total(), load.statuses[429]
    others = offered - refused - load.statuses[200]
    refusal = float(np.percentile(load.refusal_ms, 50)) if load.refusal_ms else 0.0
    table.add_row(
        f"twice the capacity for {options.overload_seconds:.0f} s, p99",
        f"{load.at(99):.0f} ms",
        f"deadline {1000 * DEADLINE_S:.0f} ms",
        f"{load.at(99) / 1000 / DEADLINE_S:.2f}",
        "<= 1",
    )
    table.add_row(
        "  answered of offered",
        f"{load.rate:.0f}/s",
        f"before {before.rate:.0f}/s",
        f"{load.rate / before.rate:.2f}",
        "",
    )
    table.add_row("  refused with 429, p50", f"{refused:,} of {offered:,}", f"{refusal:.0f} ms", "", "at once")
    table.add_row("  neither 200 nor 429", str(others), str(dict(load.statuses)), "", "0")
    table.add_row(
        "  afterwards, 8 clients",
        f"{after.rate:.0f}/s",
        f"before {before.rate:.0f}/s, {memory:.0f} MB",
        f"{after.rate / before.rate:.2f}",
        "as before",
    )


def measure_hostile(table: Table, photos: list[bytes], options: argparse.Namespace) -> None:
    """Mutated uploads from four clients."""
    turns, statuses, lock = itertools.count(), Counter[int](), threading.Lock()
    with binsight("--no-access-log") as (port, process):
        closed_load(port, [form(p) for p in photos], 4, options.seconds)
        before = resident_mb(process)

        def run(number: int) -> None:
            client, rng = Client(port), np.random.default_rng(number)
            while next(turns) < options.uploads:
                status = client.ask(mutated(photos, rng))
                with lock:
                    statuses[status] += 1
            client.close()

        run_threads(run, 4)
        after, alive = resident_mb(process), process.poll() is None
    worst = sum(count for status, count in statuses.items() if status >= 500)
    table.add_row(
        f"{statuses.total():,} mutated uploads: 5xx", str(worst), str(dict(sorted(statuses.items()))), "", "0"
    )
    table.add_row(
        "  memory, and still alive",
        f"{after:.0f} MB, {alive}",
        f"before {before:.0f} MB",
        f"{after / before:.2f}",
        "flat",
    )


def mutated(photos: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """A photo in some format, damaged; or a sound one in a damaged form; or a header that promises a huge picture."""
    file = io.BytesIO()
    picture = Image.open(io.BytesIO(photos[int(rng.integers(len(photos)))]))
    picture.save(file, ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")[int(rng.integers(6))])
    is_form = rng.random() < 0.2
    raw = bytearray(form(file.getvalue()).split(b"\r\n\r\n", 1)[1] if is_form else file.getvalue())
    at = int(rng.integers(1, len(raw)))
    match int(rng.integers(6)):
        case 0:
            del raw[at:]
        case 1:
            for position in rng.integers(0, len(raw), int(rng.integers(1, 30))):
                raw[position] ^= 1 << int(rng.integers(8))
        case 2:
            raw[at : at + 64] = rng.bytes(64)
        case 3:
            del raw[at : at + 32]
        case 4:
            raw[4:40] = rng.bytes(36)  # where formats say how large the picture is
        case _:
            raw += rng.bytes(200)
    kind = "multipart/form-data; boundary=B" if is_form else "image/jpeg"
    if rng.random() < 0.1:
        kind = ("application/json", "text/html", "multipart/form-data", "image/svg+xml")[int(rng.integers(4))]
    return request(bytes(raw), kind)


def read_photos(options: argparse.Namespace) -> tuple[list[bytes], dict[str, bytes]]:
    """JPEGs of 300 pixels, and some of 12 megapixels by what they are."""
    folder = options.photos or (SHARED_PHOTOS if SHARED_PHOTOS.is_dir() else EXAMPLES)
    paths = sorted(folder.rglob("*.jpg"))
    if not paths:
        raise SystemExit(f"expected .jpg photos below {folder}, found none")
    pictures = [Image.open(path).convert("RGB") for path in paths[:: max(1, len(paths) // 40)]]
    return [_jpeg(picture.resize((300, 300))) for picture in pictures], _large(pictures[0])


def _large(picture: Image.Image) -> dict[str, bytes]:
    """The same photo in 12 megapixels, as smooth as it is when enlarged, and with the grain of a camera."""
    pixels = np.asarray(picture.resize((4000, 3000), Image.Resampling.BICUBIC), np.int16)
    grain = np.random.default_rng(0).normal(0, 4, pixels.shape[:2]).astype(np.int16)[..., None]
    found = {}
    for name, noise in (("smooth", 0), ("with grain", grain)):
        data = _jpeg(Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)))
        found[f"{name}, {len(data) / 1e6:.1f} MB"] = data
    return found


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def main() -> None:
    """Measure and print the tables."""
    options = _arguments()
    photos, large = read_photos(options)
    size = f"{sum(map(len, photos)) / len(photos) / 1000:.0f} kB"
    console = Console(width=150)
    table = Table(
        "What", "binsight", "compared with", "ratio", "wanted", title=f"{available_cores()} cores, photos of {size}"
    )
    single: dict[str, Callable[[], None]] = {
        "latency": lambda: measure_latency(table, photos, large, options),
        "memory": lambda: measure_memory(table, photos, options),
        "overload": lambda: measure_overload(table, photos, options),
        "hostile": lambda: measure_hostile(table, photos, options),
    }
    for part in options.parts:
        if part in single:
            single[part]()
    if table.rows:
        console.print(table)
    for part, measure in (("rivals", measure_rivals), ("wsgi", measure_wsgi), ("slow", measure_trickle)):
        if part in options.parts:
            measure(console, photos, options)


def _arguments() -> argparse.Namespace:
    parts = ("latency", "memory", "rivals", "overload", "hostile", "wsgi", "slow")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", default=parts[:5], help=", ".join(parts))
    parser.add_argument("--photos", type=Path, help="folder with .jpg photos")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison; medians are taken")
    parser.add_argument("--requests", type=int, default=1000, help="for the memory")
    parser.add_argument("--uploads", type=int, default=1000, help="mutated ones")
    parser.add_argument("--overload-seconds", type=float, default=10.0, help="of twice the capacity")
    parser.add_argument("--slow-clients", type=int, default=1000, help="that trickle")
    options = parser.parse_args()
    if unknown := sorted(set(options.parts) - set(parts)):
        parser.error(f"unknown parts {', '.join(unknown)}; there are {', '.join(parts)}")
    return options


if __name__ == "__main__":
    main()
