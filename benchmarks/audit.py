"""How long an audit takes, against decoding the same photos once and the feature pass.

    python benchmarks/audit.py FOLDER [--photos 10000]

The target: everything but the features in at most 3 times the time to read and decode the photos once, on all cores.
Photos beyond those in FOLDER are made from them by cropping, so that they are new to the search for copies; nothing is
cached.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image

from binsight.dataset import Dataset, scan
from binsight.dataset.audit import audit
from binsight.imaging import decode_image, prepare_photo, read_photo
from binsight.predictor import Predictor, available_cores, run_in_order

Result = TypeVar("Result")


def main() -> None:
    """Print the parts and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder) / "photos", arguments.folder, arguments.photos)
        dataset = scan(Path(folder) / "photos")
        decode = measure(dataset, lambda path: decode_image(read_photo(path)))
        predictor = Predictor.load(threads=1)
        both = measure(
            dataset,
            lambda path: predictor.run(prepare_photo(read_photo(path), predictor.spec)[None], ("features",)),
        )
        whole, found = timed(lambda: audit(dataset, predictor=predictor))
        without, _ = timed(lambda: audit(dataset))
    features = both[0] - decode[0], both[1] - decode[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(dataset):,} photos on {available_cores()} cores, {len(found.findings):,} findings, peak {peak:.0f} MB")
    print(f"{'':<30}{'wall s':>9}{'':>12}{'CPU s':>9}")
    rows = {
        "read and decode once": decode,
        "feature pass alone": features,
        "audit": whole,
        "audit without features": without,
        "audit less the feature pass": (whole[0] - features[0], whole[1] - features[1]),
    }
    for name, (wall, cpu) in rows.items():
        print(f"{name:<30}{wall:>9.1f}{wall / decode[0]:>7.2f} x  {cpu:>9.1f}{cpu / decode[1]:>7.2f} x")


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


def measure(dataset: Dataset, work: Callable[[Path], object]) -> tuple[float, float]:
    """Wall and CPU seconds to do something with every photo on all cores, results thrown away."""
    files = [dataset.file(sample) for sample in dataset]

    def do_all() -> None:
        for _ in run_in_order(work, files, workers=available_cores()):
            pass

    return timed(do_all)[0]


def timed(work: Callable[[], Result]) -> tuple[tuple[float, float], Result]:
    """Wall and CPU seconds, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return (time.perf_counter() - wall, time.process_time() - cpu), result


if __name__ == "__main__":
    main()
