"""What an edge device's engines say, how fast they are, and what memory the device takes with each.

    python benchmarks/edge.py --data ../shared/data/waste8/val

Each engine runs in a process of its own, with the modules of `binsight edge run` loaded, on one core; processor time.
Labels and probabilities are compared with those of the bundle's `model.onnx`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from binsight.bundle import load_bundle, resolve_bundle
from binsight.edge.device import memory_mb
from binsight.edge.engines import FILES, open_predictor
from binsight.imaging import prepare_photo


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--model", nargs="+", default=["waste8-micro", "waste8"])
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--engine", help=argparse.SUPPRESS)  # in the process of one engine
    arguments = parser.parse_args()
    photos = sorted(arguments.data.rglob("*.jpg"))
    photos = photos[:: max(1, len(photos) // arguments.photos)][: arguments.photos]
    if arguments.engine:
        print(json.dumps(_measure(arguments.model[0], arguments.engine, photos)))
        return
    print(f"{'model':<14} {'engine':<12} {'ms':>6} {'memory MB':>10} {'labels as onnx':>15} {'largest difference':>19}")
    for model in arguments.model:
        files = load_bundle(resolve_bundle(model)).manifest.files
        found = {engine: _in_process(model, engine, arguments) for engine, file in FILES.items() if file in files}
        reference = np.array(found["onnx"]["scores"])
        for engine, values in found.items():
            scores = np.array(values["scores"])
            same = (scores.argmax(axis=1) == reference.argmax(axis=1)).sum()
            print(
                f"{model:<14} {engine:<12} {values['ms']:>6.2f} {values['memory_mb']:>10.1f} "
                f"{f'{same} of {len(scores)}':>15} {np.abs(scores - reference).max():>19.4f}"
            )


def _in_process(model: str, engine: str, arguments: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--data", str(arguments.data), "--model", model, "--engine", engine]
    done = subprocess.run([*command, "--photos", str(arguments.photos)], check=True, capture_output=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _measure(model: str, engine: str, photos: list[Path]) -> dict[str, Any]:
    predictor = open_predictor(load_bundle(resolve_bundle(model)), engine, threads=1)
    scores, times = [], []
    for path in photos:
        prepared = prepare_photo(path.read_bytes(), predictor.spec)[None]
        started = time.thread_time()
        (found,) = predictor.predict_prepared(prepared)
        times.append(1000 * (time.thread_time() - started))
        scores.append(list(found.scores.values()))
    return {"ms": statistics.median(times), "memory_mb": memory_mb(), "scores": scores}


if __name__ == "__main__":
    main()
