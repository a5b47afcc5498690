"""Time and memory of scanning many small photos: cold, and again with the cache.

    python benchmarks/scan.py --photos 100000

Makes a folder of small JPEG files in eight classes (removed afterwards), scans it in a process of its own, and prints a
table. `above empty` is the memory that the scan itself took, in megabytes.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

_CLASSES = 8
_SIDE = 96
_CHILD = "--child"


def main() -> None:
    """Make photos, scan them, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument(_CHILD, nargs=3, metavar=("FOLDER", "CACHE", "DECODE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(Path(options.child[0]), options.child[1], decode=options.child[2] == "decode", workers=options.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        photos, cache = Path(folder, "photos"), Path(folder, "cache.sqlite")
        size = make_photos(photos, options.photos)
        pixels = options.photos * _SIDE * _SIDE * 3
        print(
            f"{options.photos:,} JPEG files of {_SIDE} x {_SIDE}, {size / 1e6:,.0f} MB, "
            f"{pixels / 1e6:,.0f} MB when decoded"
        )
        print(f"{'':28}{'seconds':>10}{'photos/s':>12}{'peak MB':>10}{'above empty MB':>16}")
        for name, where, decode in (
            ("no cache", "", False),
            ("empty cache", str(cache), False),
            ("full cache", str(cache), False),
            ("no cache, every photo decoded", "", True),
        ):
            found = run(photos, where, decode=decode, workers=options.workers)
            rate = options.photos / found["seconds"]
            print(f"{name:28}{found['seconds']:10.1f}{rate:12,.0f}{found['peak']:10.0f}{found['above']:16.0f}")


def make_photos(folder: Path, count: int) -> int:
    """Write `count` files with different bytes; a few pictures are enough, a comment tells the files apart."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(16):
        data = io.BytesIO()
        coarse = rng.integers(0, 256, (12, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((_SIDE, _SIDE)).save(data, "JPEG", quality=80)
        pictures.append(data.getvalue())
    for i in range(_CLASSES):
        (folder / f"class{i}").mkdir(parents=True)
    total = 0
    for i in range(count):
        jpeg = pictures[i % len(pictures)]
        comment = str(i).encode()
        marked = jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]
        (folder / f"class{i % _CLASSES}" / f"{i:07}.jpg").write_bytes(marked)
        total += len(marked)
    return total


def run(photos: Path, cache: str, *, decode: bool, workers: int | None) -> dict[str, float]:
    """Scan in a new process, so that its memory is its own."""
    command = [sys.executable, __file__, _CHILD, str(photos), cache, "decode" if decode else "header"]
    if workers:
        command += ["--workers", str(workers)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def measure(photos: Path, cache: str, *, decode: bool, workers: int | None) -> None:
    """Scan and print seconds and megabytes as JSON."""
    from binsight.dataset import scan  # noqa: PLC0415 - only the child needs it

    before = peak_mb()
    start = time.perf_counter()
    found = scan(photos, cache=cache or None, decode=decode, workers=workers)
    seconds = time.perf_counter() - start
    assert all(s.error is None and s.width == _SIDE for s in found)  # noqa: S101 - a benchmark of wrong results is none
    print(json.dumps({"seconds": seconds, "peak": peak_mb(), "above": peak_mb() - before}))


def peak_mb() -> float:
    """The most memory this process has had so far, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
