"""Whether every engine says what the micro interpreter says, label by label and step by step.

    python benchmarks/micro.py --data ../shared/data/waste8/val

The micro interpreter (Python 3.11 on x86-64 Linux, in the extra dev) has the kernels of a microcontroller. Compared are
LiteRT with its usual kernels, LiteRT with its reference kernels, and the bundle's `model.onnx` in ONNX Runtime.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from binsight.bundle import load_bundle, resolve_bundle
from binsight.bundle.container import MICRO_NAME
from binsight.export.micro import arena_bytes, run_micro
from binsight.imaging import prepare_photo
from binsight.predictor import Predictor

_KERNELS = {"LiteRT": OpResolverType.AUTO, "LiteRT, reference kernels": OpResolverType.BUILTIN_REF}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--model", default="waste8-micro")
    parser.add_argument("--photos", type=int, default=500)
    arguments = parser.parse_args()
    bundle = load_bundle(resolve_bundle(arguments.model))
    network = bundle.read(MICRO_NAME)
    paths = sorted(arguments.data.rglob("*.jpg"))
    paths = [paths[i] for i in np.linspace(0, len(paths) - 1, min(arguments.photos, len(paths))).astype(int)]
    pictures = np.stack([prepare_photo(path.read_bytes(), bundle.manifest.preprocess) for path in paths])
    signed = (pictures ^ 0x80).view(np.int8)
    print(f"{bundle.manifest.name}: {len(network):,} bytes, arena {arena_bytes(network):,} bytes")
    micro = run_micro(network, signed).astype(int)
    scale, zero = Interpreter(model_content=network).get_output_details()[0]["quantization"]
    logits = Predictor(bundle, threads=1).run(pictures).logits
    found = {name: _run(network, signed, kernels) for name, kernels in _KERNELS.items()}
    found["ONNX Runtime"] = np.round(logits / scale + zero).astype(int)
    print(f"{'':<28}{'other labels':>14}{'photos that differ':>20}{'steps at most':>15}")
    for name, integers in found.items():
        steps = np.abs(integers - micro)
        labels = (integers.argmax(axis=1) != micro.argmax(axis=1)).sum()
        print(f"{name:<28}{f'{labels} of {len(micro)}':>14}{(steps.max(axis=1) > 0).sum():>20}{steps.max():>15}")


def _run(network: bytes, pictures: NDArray[np.int8], kernels: OpResolverType) -> NDArray[np.int_]:
    interpreter = Interpreter(model_content=network, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    given, answer = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    answers = []
    for picture in pictures:
        interpreter.set_tensor(given, picture[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(answer)[0].astype(int))
    return np.stack(answers)


if __name__ == "__main__":
    main()
