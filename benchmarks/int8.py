"""What ways of quantising `onnx-int8` keep of a bundle's categories, and what they cost.

    python benchmarks/int8.py ../shared/data/waste8 [--bundle waste8]

Calibrated on photos of DATA/train, judged on all of DATA/val: how many have the category that they have in float, how
many are right, the largest error of a probability, and the processor time beside float's (median of 94 photos, in
turns, one thread).
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization

from binsight.bundle import load_bundle, resolve_bundle
from binsight.export.onnx_int8 import to_onnx_int8
from binsight.imaging import prepare_photo
from binsight.probability import softmax
from binsight.probability.intervals import share_interval

_METHODS = quantization.CalibrationMethod
WAYS: dict[str, tuple[int, dict[str, Any]]] = {
    "MinMax, 100 photos, as `onnx-int8`": (100, {}),
    "MinMax, 200 photos": (200, {}),
    "percentile 99.99": (
        100,
        {"calibrate_method": _METHODS.Percentile, "extra_options": {"CalibPercentile": 99.99}},
    ),
    "entropy": (100, {"calibrate_method": _METHODS.Entropy}),
    "7-bit weights": (100, {"reduce_range": True}),
}


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with train/ and val/")
    parser.add_argument("--bundle", default="waste8")
    given = parser.parse_args()
    bundle = load_bundle(resolve_bundle(given.bundle))
    prepare = partial(prepare_photo, spec=bundle.manifest.preprocess)
    train, val = (sorted((given.data / split).glob("*/*.jpg")) for split in ("train", "val"))
    photos = [prepare(path.read_bytes()) for path in val]
    labels = np.array([bundle.manifest.taxonomy.ids.index(path.parent.name) for path in val])
    network, temperature = bundle.read_model(), bundle.manifest.temperature
    exact = open_session(network)
    wanted = softmax(run(exact, photos), temperature=temperature)
    print(f"{bundle.label}, {len(photos)} photos; float: {(wanted.argmax(axis=1) == labels).mean():.2%} right")
    print("| ranges | same category | right | largest error | processor | size |\n|---|---|---|---|---|---|")
    for name, (count, options) in WAYS.items():
        some = [prepare(train[i].read_bytes()) for i in np.linspace(0, len(train) - 1, count).astype(int)]
        quantize = partial(quantization.quantize_static, **options)
        with mock.patch.object(quantization, "quantize_static", quantize):
            data = to_onnx_int8(network, some)
        session = open_session(data)
        found = softmax(run(session, photos), temperature=temperature)
        same, right = (found.argmax(axis=1) == of for of in (wanted.argmax(axis=1), labels))
        among, ratio = share_interval(same), time_ratio(session, exact, photos[::8])
        print(
            f"| {name} | {same.sum()}, {among.value:.2%} ({among.low:.2%} to {among.high:.2%}) | {right.mean():.2%} | "
            f"{np.abs(found - wanted).max():.2f} | {ratio:.2f} | {len(data) / 1e6:.1f} MB |",
            flush=True,
        )


def open_session(data: bytes) -> Any:
    """A network on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(session: Any, photos: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Logits `(n, classes)`."""
    return np.concatenate([session.run(["logits"], {"images": photo[None]})[0] for photo in photos]).astype(np.float64)


def time_ratio(one: Any, other: Any, photos: list[NDArray[np.uint8]]) -> float:
    """The processor time of one network beside another's: the median over photos."""
    ratios = []
    for photo in photos:
        spent = []
        for session in (one, other):
            began = time.process_time()
            session.run(["logits"], {"images": photo[None]})
            spent.append(time.process_time() - began)
        ratios.append(spent[0] / spent[1])
    return float(np.median(ratios))


if __name__ == "__main__":
    main()
