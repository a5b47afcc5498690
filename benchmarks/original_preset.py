"""The course project's recipe against ours, on the same photos: accuracy, time and size side by side.

    python benchmarks/original_preset.py ../shared/data/waste8 --weights-dir ../shared/weights

Trains with `--preset original` and with the default preset on `train`, both choosing on `val`, and compares the two
bundles on `val`. `--ours BUNDLE` takes a bundle that is there, such as the one in the package, instead of training one.
Time is that of all cores together, so that other work on the machine changes it little; two idle cores need half of it.
A training that was interrupted goes on when the command is given again; its time is then that of the last part.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Train what is to be trained, compare, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with train/<class>/ and val/<class>/")
    parser.add_argument("--weights-dir", help="folder with xception_imagenet_notop.safetensors")
    parser.add_argument("--out", type=Path, default=Path("original-preset"), help="folder for bundles and work")
    parser.add_argument("--ours", help="a bundle to compare with, instead of training one")
    arguments = parser.parse_args()
    weights = ("--weights-dir", arguments.weights_dir) if arguments.weights_dir else ()
    runs = {"original": _train(arguments.data, arguments.out / "original", "original", *weights)}
    if arguments.ours is None:
        runs["ours"] = _train(arguments.data, arguments.out / "ours", "best")
    bundles = {name: run["bundle"] for name, run in runs.items()} | ({"ours": arguments.ours} if arguments.ours else {})
    found = _binsight("compare", *bundles.values(), "--data", str(arguments.data), "--split", "val", "--json")
    print("| | accuracy | 95 % interval | macro-F1 | network | file | training, one core |")
    print("|---|---|---|---|---|---|---|")
    for name, entry in zip(bundles, found["entries"], strict=True):
        accuracy = entry["accuracy"]
        seconds = f"{runs[name]['cpu_seconds'] / 60:.0f} min" if name in runs else "see its recipe"
        print(
            f"| {name} | {accuracy['value']:.2%} | {accuracy['low']:.2%} to {accuracy['high']:.2%} | "
            f"{entry['macro_f1']['value']:.2%} | {entry['engine_ms']:.1f} ms | {entry['model_bytes'] / 1e6:.1f} MB | "
            f"{seconds} |"
        )
    for pair in found["pairs"]:
        test = pair["test"]
        print(
            f"only {pair['first']} is right on {test['only_first']} of {found['photos']} photos, only {pair['second']} "
            f"on {test['only_second']}: McNemar's p = {test['p_value']:.2g}"
        )


def _train(data: Path, out: Path, preset: str, *more: str) -> dict[str, Any]:
    # Known copies across the split of waste8 are in both trainings alike.
    flags = ("--preset", preset, "--resume", "--allow-leakage", "--no-report", "--json")
    before = _cpu_seconds()
    result = _binsight("train", str(data), "--out", str(out), *flags, *more)
    return result | {"cpu_seconds": _cpu_seconds() - before}


def _cpu_seconds() -> float:
    """What all commands that ended have used of all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _binsight(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "binsight", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    main()
