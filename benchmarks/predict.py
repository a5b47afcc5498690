"""How much binsight adds to bare ONNX Runtime: one photo, one process, one folder, one large photo.

    python benchmarks/predict.py [--photos FOLDER] [--repeat N]

Every figure is a ratio of two things measured in turn in this run, so a slow or busy machine changes it little. Times
are medians over the repetitions.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from binsight.bundle import load_bundle, resolve_bundle
from binsight.imaging import decode_image, prepare_photo, resize_image
from binsight.predictor import Predictor, available_cores, predict_files
from binsight.probability import softmax

ROOT = Path(__file__).parent.parent
SHARED_PHOTOS = ROOT.parent / "shared" / "data" / "waste8" / "val"
BATCH = 4  # as `binsight predict` runs the network for a folder
FIVE_LINES = """
import sys, numpy, onnxruntime
from numpy.typing import NDArray
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[1])
height, width = session.get_inputs()[0].shape[1:3]
photo = numpy.asarray(Image.open(sys.argv[2]).convert("RGB").resize((width, height)))
print(session.run(["logits"], {"images": photo[None]})[0].argmax())
"""


def main() -> None:
    """Measure and print the table."""
    arguments = _arguments()
    photos = sorted(path for path in arguments.photos.rglob("*.jpg"))[: arguments.limit]
    if not photos:
        raise SystemExit(f"expected .jpg photos below {arguments.photos}, found none")
    table = Table("What", "binsight", "compared with", "", "ratio", "wanted", title=f"{available_cores()} cores")
    for row in (
        _one_photo(photos, arguments.repeat),
        _one_process(photos[0], arguments.repeat, ["--json"]),
        _one_process(photos[0], arguments.repeat, []),
        _folder(photos, arguments.repeat),
        _large_photo(photos[: arguments.repeat]),
    ):
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(_reduced_decoding(photos[:: max(1, len(photos) // 50)]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = SHARED_PHOTOS if SHARED_PHOTOS.is_dir() else ROOT / "examples" / "photos"
    parser.add_argument("--photos", type=Path, default=default, help="a folder of .jpg photos")
    parser.add_argument("--limit", type=int, default=400, help="how many of them to use")
    parser.add_argument("--repeat", type=int, default=15, help="repetitions of each measurement")
    return parser.parse_args()


def _in_turn(*functions: Callable[[], object], repeat: int) -> list[float]:
    """The median seconds of functions that are called one after the other, `repeat` times after a warm-up."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(repeat + 1):
        for function, measured in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            if turn:
                measured.append(time.perf_counter() - start)
    return [statistics.median(measured) for measured in times]


def _bare_session(threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    model = load_bundle(resolve_bundle("waste8")).read_model()
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _one_photo(photos: Sequence[Path], repeat: int) -> tuple[str, ...]:
    """Decode, classify and interpret, against the network alone on an array that is there already."""
    predictor, bare = Predictor.load("waste8"), _bare_session(available_cores())
    encoded = [path.read_bytes() for path in photos[:50]]
    arrays = [prepare_photo(data, predictor.spec)[None] for data in encoded]

    def with_binsight() -> None:
        for data in encoded:
            predictor.predict_bytes(data)

    def without() -> None:
        for array in arrays:
            bare.run(["logits"], {"images": array})

    ours, theirs = _in_turn(with_binsight, without, repeat=repeat)
    n = len(encoded)
    return (
        "One photo, decode + engine",
        f"{1000 * ours / n:.1f} ms",
        "bare ONNX Runtime, no decoding",
        f"{1000 * theirs / n:.1f} ms",
        f"{ours / theirs:.2f}",
        "≤ 1.3",
    )


def _one_process(photo: Path, repeat: int, options: list[str]) -> tuple[str, ...]:
    """`binsight predict PHOTO`, against five lines that do only what must be done."""
    model = resolve_bundle("waste8") / "model.onnx"
    binsight = [sys.executable, "-m", "binsight", "predict", str(photo), *options]
    script = [sys.executable, "-c", FIVE_LINES, str(model), str(photo)]

    def run(command: list[str]) -> None:
        subprocess.run(command, check=True, capture_output=True)

    ours, theirs = _in_turn(lambda: run(binsight), lambda: run(script), repeat=repeat)
    return (
        " ".join(["binsight predict PHOTO", *options]),
        f"{1000 * ours:.0f} ms",
        "five-line script",
        f"{1000 * theirs:.0f} ms",
        f"{ours / theirs:.2f}",
        "≤ 2",
    )


def _folder(photos: Sequence[Path], repeat: int) -> tuple[str, ...]:
    """Files through the predictor, against the best of two ways to keep all cores busy with ready arrays."""
    cores = available_cores()
    predictor, wide, narrow = Predictor.load("waste8", threads=1), _bare_session(cores), _bare_session(1)
    arrays = [prepare_photo(path.read_bytes(), predictor.spec)[None] for path in photos]

    def binsight() -> None:
        for _ in predict_files(predictor, photos, workers=cores, batch=BATCH):
            pass

    def one_session() -> None:
        for array in arrays:
            wide.run(["logits"], {"images": array})

    def one_thread_per_core(inputs: Sequence[NDArray[np.uint8]]) -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda array: narrow.run(["logits"], {"images": array}), inputs))

    batches = [np.concatenate(arrays[first : first + BATCH]) for first in range(0, len(arrays), BATCH)]
    ours, *bare = _in_turn(
        binsight,
        lambda: one_thread_per_core(arrays),
        lambda: one_thread_per_core(batches),
        one_session,
        repeat=max(3, repeat // 3),
    )
    ways = ("a thread per core", f"a thread per core, batches of {BATCH}", "one session, all cores")
    best, name = min(zip(bare, ways, strict=True))
    n = len(photos)
    return (
        f"Folder of {n} photos",
        f"{n / ours:.0f} photos/s",
        f"bare ONNX Runtime on ready arrays, best of three ways: {name}",
        f"{n / best:.0f} photos/s",
        f"{best / ours:.2f}",
        "≥ 0.85",
    )


def _large_photo(photos: Sequence[Path]) -> tuple[str, ...]:
    """Preparing 12-megapixel photos, decoding included, against decoding them in full."""
    spec = load_bundle(resolve_bundle("waste8")).manifest.preprocess
    large = [_enlarged(path) for path in photos[:5]]
    ours, theirs = _in_turn(
        lambda: [prepare_photo(data, spec) for data in large], lambda: [decode_image(data) for data in large], repeat=5
    )
    n = len(large)
    return (
        "12-megapixel JPEG, decoded and resized",
        f"{1000 * ours / n:.0f} ms",
        "decoded in full",
        f"{1000 * theirs / n:.0f} ms",
        f"{ours / theirs:.2f}",
        "≤ 0.33",
    )


def _reduced_decoding(photos: Sequence[Path]) -> str:
    """What decoding at reduced scale changes in the probabilities of 12-megapixel photos."""
    predictor = Predictor.load("waste8")
    changes, flipped = [], 0
    for path in photos:
        data = _enlarged(path)
        inputs = np.stack([prepare_photo(data, predictor.spec), resize_image(decode_image(data), predictor.spec)])
        reduced, full = softmax(predictor.run(inputs).logits, temperature=predictor.bundle.manifest.temperature)
        changes.append(float(np.abs(reduced - full).max()))
        flipped += int(reduced.argmax() != full.argmax())
    return (
        f"Reduced decoding of {len(photos)} photos enlarged to 12 megapixels: largest change of a probability "
        f"{max(changes):.4f}, median {statistics.median(changes):.5f}; {flipped} changed category."
    )


def _enlarged(path: Path) -> bytes:
    """A photo in 4000 x 3000 pixels with the grain of a camera, as JPEG of quality 90."""
    with Image.open(path) as photo:
        large = np.asarray(photo.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC), np.int16)
    grain = np.random.default_rng(0).normal(0, 4, large.shape[:2]).astype(np.int16)[..., None]
    buffer = io.BytesIO()
    Image.fromarray(np.clip(large + grain, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
