"""Whether the C core, the micro kernels and LiteRT give a micro model's photos the same labels.

    python benchmarks/micro_parity.py BUNDLE PHOTOS [--limit 500]

Exports the bundle for ESP32, compiles its part for this computer with gcc, and runs all on the same photos. "RGB565" is
what a camera in 16-bit colours takes from the photo. "Accepted" are photos that both accept, as different things.
Needs the extras `train` and `micro`.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle, load_bundle, resolve_bundle
from binsight.bundle.container import MICRO_NAME
from binsight.export.engines import import_runtime
from binsight.export.esp32 import write_project
from binsight.export.esp32.micro_file import read_micro_file
from binsight.export.micro import as_input, run_micro
from binsight.imaging import decode_image, resize_image
from binsight.probability import softmax

_KERNELS = {
    "reference kernels": "BUILTIN_REF",
    "optimised kernels": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "XNNPACK, its default": "BUILTIN",
}
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def main() -> None:
    """Print one row for each that is compared with the core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", type=int, default=500)
    given = parser.parse_args()
    bundle = load_bundle(resolve_bundle(given.bundle))
    spec, network = bundle.manifest.preprocess, bundle.read(MICRO_NAME)
    paths = sorted(path for path in given.photos.rglob("*") if path.suffix.lower() in _SUFFIXES)
    random.Random(0).shuffle(paths)  # noqa: S311 - spreads the photos over the classes
    photos = [decode_image(path.read_bytes()) for path in paths[: given.limit]]
    channels = read_micro_file(network).channels
    inputs = np.stack([as_input(resize_image(photo, spec), channels) for photo in photos])
    with tempfile.TemporaryDirectory() as folder:
        project = write_project(bundle, Path(folder, "d")).out
        subprocess.run(["make", "-s", "-C", project / "host", "classify"], check=True)  # noqa: S607
        (core, logits), (reduced, reduced_logits) = (
            _run(project, photos, inputs[0].size, *options) for options in ([], ["--rgb565"])
        )
    differing = (core != inputs.reshape(core.shape)).sum()
    print(f"{bundle.label}, {len(photos)} photos; preprocessing: {differing} of {core.size} numbers differ")
    answers = {"micro kernels": run_micro(network, inputs)}
    answers |= {f"LiteRT, {name}": _run_litert(network, inputs, resolver) for name, resolver in _KERNELS.items()}
    answers["the core on RGB565"] = reduced_logits
    print("| compared with the core | photos with another byte | largest difference | other labels | accepted |")
    print("|---|---|---|---|---|")
    is_sure = partial(_is_accepted, bundle, read_micro_file(network).logit_scale)
    for name, found in answers.items():
        difference = np.abs(found.astype(int) - logits)
        others = found.argmax(axis=1) != logits.argmax(axis=1)
        accepted = others & is_sure(found) & is_sure(logits)
        changed = (difference > 0).any(axis=1)
        print(f"| {name} | {changed.sum()} | {difference.max()} | {others.sum()} | {accepted.sum()} |")
    drift = reduced.astype(int) - core
    print(f"RGB565 input: {drift.mean():+.2f} on average, {np.abs(drift).max()} at most, of 255")


def _run(
    project: Path, photos: list[NDArray[np.uint8]], size: int, *options: str
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    data = b"".join(b"P6 %d %d 255\n" % (p.shape[1], p.shape[0]) + p.tobytes() for p in photos)
    command = [str(project / "host" / "classify"), *options, "--bytes", "-"]
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)
    rows = np.frombuffer(done.stdout, np.int8).reshape(len(photos), -1)
    return rows[:, :size], rows[:, size:]


def _run_litert(network: bytes, inputs: NDArray[np.int8], resolver: str) -> NDArray[np.int8]:
    litert = import_runtime("litert")
    interpreter = litert.Interpreter(
        model_content=network, experimental_op_resolver_type=litert.OpResolverType[resolver]
    )
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    answers = []
    for picture in inputs:
        interpreter.set_tensor(source, picture[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(target).reshape(-1).copy())
    return np.stack(answers)


def _is_accepted(bundle: Bundle, scale: float, logits: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which are at or above the threshold of their class."""
    scores = softmax(scale * logits.astype(float), temperature=bundle.manifest.temperature)
    sure: NDArray[np.bool_] = scores.max(axis=1) >= np.asarray(bundle.manifest.review.confidence)[scores.argmax(axis=1)]
    return sure


if __name__ == "__main__":
    main()
