"""How long an audit takes, against decoding the same photos once and the feature pass.

    python benchmarks/audit.py FOLDER [--photos 10000] [--large 24]

The target: at most 3 times the time to read and decode the photos once, plus the pass from files to features, on all
cores. Both are measured before and after the audit, since machines change their speed while they work. Photos beyond
those in FOLDER are made from them by cropping, so that they are new to the search for copies; nothing is cached. Wall
time says something on an idle machine only; CPU seconds, summed over the cores, nearly everywhere.

Photos of 12 megapixels, made by enlarging and with the grain of a camera, are measured apart: there the audit may take
25 ms of a core for each photo beyond what features need.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from binsight.dataset import Dataset, scan
from binsight.dataset.audit import Audit, audit
from binsight.imaging import decode_image, prepare_photo, read_photo
from binsight.predictor import Predictor, available_cores, run_in_order
from binsight.progress import Progress

Item = TypeVar("Item")

_LARGE = 4000, 3000
_BATCH = 4  # photos per run of the network, as in the audit


@dataclass(frozen=True)
class Spent:
    """Seconds of wall and of CPU time, of all threads together."""

    wall: float
    cpu: float

    @classmethod
    def until_now(cls) -> Spent:
        """Since some moment in the past; differences count."""
        return cls(time.perf_counter(), time.process_time())

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.wall - other.wall, self.cpu - other.cpu)

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, factor: float) -> Spent:
        return Spent(self.wall * factor, self.cpu * factor)


def main() -> None:
    """Print the parts and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=24, help="photos of 12 megapixels; 0 for none")
    arguments = parser.parse_args()
    if arguments.large:
        audit_large(arguments.folder, arguments.large)
    if arguments.photos:
        audit_many(arguments.folder, arguments.photos)


def audit_many(source: Path, count: int) -> None:
    """Print what many small photos take together, and what each stage."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder) / "photos", source, count)
        dataset = scan(Path(folder) / "photos")
        predictor = Predictor.load(threads=1)
        before = measure_passes(dataset, predictor)
        found, whole = measure_audit(dataset, predictor)
        after = measure_passes(dataset, predictor)
        _, without = measure_audit(dataset, None)
    decode, features = ((first + second) * 0.5 for first, second in zip(before, after, strict=True))
    limit = decode * 3 + features
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(dataset):,} photos on {available_cores()} cores, {len(found.findings):,} findings, peak {peak:.0f} MB")
    rows = [("read and decode once", decode), ("files to features", features), ("3 x decoding + features", limit)]
    rows += [("audit", total(whole)), *whole, ("audit less files to features", total(whole) - features)]
    rows += [("audit without features", total(without)), *without]
    print(f"{'':<34}{'wall s':>9}{'':>11}{'CPU s':>9}")
    for name, spent in rows:
        wall, cpu = spent.wall / decode.wall, spent.cpu / decode.cpu
        print(f"{name:<34}{spent.wall:>9.1f}{wall:>7.2f} x  {spent.cpu:>9.1f}{cpu:>7.2f} x")
    ratio = total(whole).wall / limit.wall
    print(f"the audit takes {ratio:.0%} of its limit: {'met' if ratio <= 1 else 'missed'}")


def audit_large(source: Path, count: int) -> None:
    """Print what photos of 12 megapixels take, each."""
    with tempfile.TemporaryDirectory() as folder:
        enlarge(Path(folder) / "photos", source, count)
        dataset = scan(Path(folder) / "photos")
        predictor = Predictor.load(threads=1)
        before = measure_passes(dataset, predictor)
        _, whole = measure_audit(dataset, predictor)
        after = measure_passes(dataset, predictor)
        _, without = measure_audit(dataset, None)
    decode, features = ((first + second) * 0.5 for first, second in zip(before, after, strict=True))
    rows = [("read and decode all pixels", decode), ("files to features", features), ("audit", total(whole))]
    rows += [("audit without features", total(without))]
    print(f"{count:,} photos of 12 megapixels: CPU for each")
    for name, spent in rows:
        print(f"{name:<34}{1000 * spent.cpu / count:>9.1f} ms")
    beyond = 1000 * (total(whole).cpu - features.cpu) / count
    print(f"{'audit less files to features':<34}{beyond:>9.1f} ms; at most 25: {'met' if beyond <= 25 else 'missed'}")


def enlarge(root: Path, source: Path, count: int) -> None:
    """Put `count` photos of `source` under `root`, enlarged to 4000 x 3000 and with grain."""
    photos = sorted(source.rglob("*.jpg"))
    for number, photo in enumerate(photos[:: max(1, len(photos) // count)][:count]):
        target = root / photo.parent.name / f"{number:06}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photo) as picture:
            pixels = np.asarray(picture.convert("RGB").resize(_LARGE, Image.Resampling.BICUBIC)).astype(np.int16)
        grain = np.random.default_rng(number).normal(0, 4, pixels.shape).astype(np.int16)
        Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)).save(target, quality=85)


def measure_passes(dataset: Dataset, predictor: Predictor) -> tuple[Spent, Spent]:
    """Decoding all photos; and decoding them and running the network, which is all that features need."""

    def decode(path: Path) -> object:
        return decode_image(read_photo(path))

    def look(paths: Sequence[Path]) -> object:
        inputs = [prepare_photo(read_photo(path), predictor.spec) for path in paths]
        return predictor.run(np.stack(inputs), ("features",))

    files = [dataset.file(sample) for sample in dataset]
    batches = [files[first : first + _BATCH] for first in range(0, len(files), _BATCH)]
    return measure(decode, files), measure(look, batches)


def measure(work: Callable[[Item], object], items: Sequence[Item]) -> Spent:
    """To do something with every item on all cores, results thrown away."""
    begin = Spent.until_now()
    for _ in run_in_order(work, items, workers=available_cores()):
        pass
    return Spent.until_now() - begin


def measure_audit(dataset: Dataset, predictor: Predictor | None) -> tuple[Audit, list[tuple[str, Spent]]]:
    """What an audit finds, and what each of its stages takes."""
    marks = [Spent.until_now()]

    def stage(_name: str) -> Progress:
        place = len(marks)
        marks.append(Spent.until_now())

        def progress(done: int, count: int) -> None:
            if done == count:
                marks[place] = Spent.until_now()

        return progress

    found = audit(dataset, predictor=predictor, stage=stage)
    marks.append(Spent.until_now())
    names = ("  reading and measuring", "  comparing for copies", "  studying classes")
    return found, [(name, end - begin) for name, (begin, end) in zip(names, pairwise(marks), strict=True)]


def total(stages: Sequence[tuple[str, Spent]]) -> Spent:
    """Of all stages."""
    return sum((spent for _, spent in stages), Spent(0, 0))


def fill(root: Path, source: Path, count: int) -> None:
    """Put `count` photos under `root`: those of `source`, then crops of them."""
    rng = random.Random(0)  # noqa: S311 - a repeatable choice, no secret
    photos = sorted(source.rglob("*.jpg"))
    for number in range(count):
        photo = photos[number % len(photos)]
        target = root / photo.parent.name / f"{number:06}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        if number < len(photos):
            target.write_bytes(photo.read_bytes())
            continue
        with Image.open(photo) as picture:
            width, height = picture.size
            left, top = rng.uniform(0, 0.3) * width, rng.uniform(0, 0.3) * height
            part = picture.convert("RGB").crop(
                (round(left), round(top), round(left + 0.7 * width), round(top + 0.7 * height))
            )
            stream = io.BytesIO()
            part.save(stream, "JPEG", quality=90)
        target.write_bytes(stream.getvalue())


if __name__ == "__main__":
    main()
