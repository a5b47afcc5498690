"""How fast `binsight batch` is beside `binsight predict`, and what it takes for very many photos.

    python benchmarks/batch.py [--photos FOLDER] [--count N] [--repeat N] [--only speed|ray|status|memory|sizes]

`speed`: `batch` with local processes and `predict --json` over the same photos, in turn; `ray`: a cluster of two nodes
of one core each, and `local` with two workers. Ratios are of the time on the wall and of processor time: on a machine
with other work only the second means something. `status`: looking at a finished job of 100,000 photos. `memory`: the
peak of the process that plans and of the one that drives, for ten million addresses, which a generator makes.
`sizes`: what a core does with photos of several sizes: one photo enlarged, with noise, already in memory.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from binsight.batch.job import Job, open_job, part_name, read_photos
from binsight.batch.plan import plan_job
from binsight.batch.rows import Row, encode_rows, make_table
from binsight.batch.sources import find_source
from binsight.batch.summary import Summary
from binsight.imaging import ImageLimits
from binsight.predictor import Predictor, available_cores, predict_many
from binsight.stores import Store

ROOT = Path(__file__).parent.parent
SHARED_PHOTOS = ROOT.parent / "shared" / "data" / "waste8" / "val"
BINSIGHT = [sys.executable, "-m", "binsight"]
ADDRESSES = 10_000_000
LOOKED_AT = 100_000
_SIZED = 24  # photos of a size at a time


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds on the wall, seconds of processors, and MB at its peak."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def main() -> None:
    """Measure what was asked for, and print the table."""
    arguments = _arguments()
    table = Table("What", "wall", "processor", "wanted", title=f"{available_cores()} cores")
    parts: dict[str, Callable[[argparse.Namespace, Path], Iterable[Sequence[str]]]] = {
        "speed": _speed,
        "ray": _ray,
        "status": _status,
        "memory": _memory,
        "sizes": _sizes,
    }
    with tempfile.TemporaryDirectory(prefix="binsight-benchmark-", dir=arguments.work) as folder:
        for name, measure in parts.items():
            if arguments.only in {None, name}:
                for row in measure(arguments, Path(folder)):
                    table.add_row(*row)
    Console(width=130).print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = SHARED_PHOTOS if SHARED_PHOTOS.is_dir() else ROOT / "examples" / "photos"
    parser.add_argument("--photos", type=Path, default=default, help="a folder of photos")
    parser.add_argument(
        "--count", type=int, default=10_000, help="how many to classify; they are taken again and again"
    )
    parser.add_argument("--repeat", type=int, default=3, help="repetitions of speed and ray")
    parser.add_argument("--addresses", type=int, default=ADDRESSES, help="for memory")
    parser.add_argument("--only", choices=["speed", "ray", "status", "memory", "sizes"])
    parser.add_argument("--work", type=Path, help="where temporary files go")
    return parser.parse_args()


def _speed(arguments: argparse.Namespace, folder: Path) -> Iterator[Sequence[str]]:
    photos = _link_photos(arguments.photos, folder / "photos", arguments.count)
    predict, local = [], []
    for turn in range(arguments.repeat):
        predict.append(_run(["predict", str(photos), "--json", "-q"]))
        local.append(_run(["batch", str(photos), "--out", str(folder / f"local{turn}"), "-q"]))
    yield _ratio(f"local beside predict --json, {arguments.count:,} photos", predict, local, arguments.count, ">= 0.97")


def _ray(arguments: argparse.Namespace, folder: Path) -> Iterator[Sequence[str]]:
    try:
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra
    except ImportError:
        yield ("Ray beside local: not installed", "-", "-", ">= 0.9")
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    photos = _link_photos(arguments.photos, folder / "photos", arguments.count)
    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    local: list[Cost] = []
    ray: list[Cost] = []
    for turn in range(arguments.repeat):
        for costs, name, more in (
            (local, f"beside{turn}", ["--workers", "2"]),
            (ray, f"ray{turn}", ["--engine", "ray", "--address", cluster.address]),
        ):
            out = str(folder / name)
            costs.append(_run(["batch", str(photos), "--out", out, "-q", *more]))
    cluster.shutdown()
    # The tasks are no children of the command: only the wall tells.
    ratio = statistics.median(c.wall_s for c in local) / statistics.median(c.wall_s for c in ray)
    rate = arguments.count / statistics.median(c.wall_s for c in ray)
    yield (f"Ray, two nodes, beside local, {arguments.count:,} photos", f"{ratio:.2f} ({rate:.0f}/s)", "-", ">= 0.9")


def _status(arguments: argparse.Namespace, folder: Path) -> Iterator[Sequence[str]]:
    out = folder / "finished"
    store, job = _plan(folder, out, LOOKED_AT)
    outcome = Predictor.load(threads=1).predict_file(next(arguments.photos.rglob("*.jpg")))
    for shard in range(job.shards):
        _write_shard(store, job, shard, outcome)
    for command in ("status", "verify", "report"):
        cost = _run(["batch", command, str(out)])
        wanted = "<= 5 s" if command == "status" else ""
        yield (
            f"{command} of {LOOKED_AT:,} photos in {job.shards} shards",
            f"{cost.wall_s:.1f} s",
            f"{cost.cpu_s:.1f} s",
            wanted,
        )


def _memory(arguments: argparse.Namespace, folder: Path) -> Iterator[Sequence[str]]:
    count, listed, out = arguments.addresses, folder / "list.txt", folder / "large"
    with listed.open("w") as file:
        file.writelines(f"{address}\n" for address in _addresses(count))
    cost = _run(["batch", "plan", "--list", str(listed), "--out", str(out), "-q"])
    yield (
        f"plan of {count:,} addresses: {cost.peak_mb:.0f} MB",
        f"{cost.wall_s:.0f} s",
        f"{cost.cpu_s:.0f} s",
        "<= 300 MB",
    )
    cost = _run([], [sys.executable, __file__, "--drive", str(out)])
    yield (
        f"run of {count:,} photos: {cost.peak_mb:.0f} MB",
        f"{cost.wall_s:.0f} s",
        f"{cost.cpu_s:.0f} s",
        "<= 300 MB",
    )
    listed.unlink()


def _sizes(arguments: argparse.Namespace, _folder: Path) -> Iterator[Sequence[str]]:
    predictor = Predictor.load(threads=1)
    photo = Image.open(next(arguments.photos.rglob("*.jpg"))).convert("RGB")
    for width, height, noise in ((224, 224, 4), (1920, 1080, 4), (4000, 3000, 4)):
        data = _enlarge(photo, (width, height), noise)
        costs = []
        for _ in range(max(3, arguments.repeat)):
            began = time.process_time()
            list(predict_many(predictor, [data] * _SIZED, bytes, workers=1, batch=4))
            costs.append((time.process_time() - began) / _SIZED)
        fast = min(costs)  # what others do on the machine only slows it
        yield (f"{width} x {height}, {len(data) / 1000:,.0f} kB", "-", f"{1000 * fast:.1f} ms, {1 / fast:.0f}/s", "")


def _enlarge(photo: Image.Image, size: tuple[int, int], noise: float) -> bytes:
    pixels = np.asarray(photo.resize(size), np.float64)
    pixels = pixels + np.random.default_rng(0).normal(0, noise, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=80)
    return file.getvalue()


def _drive(out: str) -> None:
    """Run a job on an engine that writes rows without looking at photos, and verify it: the driver's memory alone."""
    from binsight.batch.run import run_job  # noqa: PLC0415 - as the command does
    from binsight.batch.status import verify_job  # noqa: PLC0415

    store, job = open_job(out)
    run_job(store, job, _Nothing(store, job))
    assert verify_job(store, job).is_verified  # noqa: S101


class _Nothing:
    def __init__(self, store: Store, job: Job) -> None:
        self._store, self._job = store, job

    def map(self, function: Any, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:  # noqa: ARG002 - it is not asked
        for task in items:
            yield task, _write_shard(self._store, self._job, task.shard, None)


def _write_shard(store: Store, job: Job, shard: int, outcome: Any) -> Summary:
    now = time.time()
    summary = Summary(photos=job.size_of(shard), began=now - 1, ended=now)
    rows = [Row(photo.source, "0" * 64, 1000, outcome) for photo in read_photos(store, shard)]
    if outcome is not None:
        summary.categories[outcome.category] += len(rows)
    store.write(part_name(shard), encode_rows(make_table(rows, job), job, summary))
    return summary


def _plan(folder: Path, out: Path, count: int) -> tuple[Store, Job]:
    listed = folder / "listed.txt"
    listed.write_text("".join(f"{address}\n" for address in _addresses(count)))
    plan_job(find_source(str(listed)), str(out), model="waste8", limits=ImageLimits(), shard_size=1000)
    return open_job(str(out))


def _addresses(count: int) -> Iterator[str]:
    return (f"s3://photos/2026/line{n % 40:02d}/{n // 100_000:04d}/{n:010d}.jpg" for n in range(count))


def _link_photos(source: Path, folder: Path, count: int) -> Path:
    if not folder.is_dir():
        folder.mkdir()
        found = sorted(source.rglob("*.jpg"))
        for number, photo in enumerate(itertools.islice(itertools.cycle(found), count)):
            (folder / f"{number:06d}.jpg").symlink_to(photo.resolve())
    return folder


def _run(arguments: Sequence[str], command: Sequence[str] | None = None) -> Cost:
    """Run a command to its end; processor time is that of its children too, the peak that of the largest process."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*(command or [*BINSIGHT, *arguments])], stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        if process.returncode not in {0, 2}:
            said.seek(0)
            raise SystemExit(f"{arguments}: {said.read().decode()}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _ratio(what: str, old: list[Cost], new: list[Cost], photos: int, wanted: str) -> Sequence[str]:
    cells = []
    for name in ("wall_s", "cpu_s"):
        first, second = (statistics.median(getattr(cost, name) for cost in costs) for costs in (old, new))
        cells.append(f"{first / second:.3f} ({photos / second:.0f}/s)")
    return (what, *cells, wanted)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        _drive(sys.argv[2])
    else:
        main()
