"""Copy photos into one folder per stream; what binsight is not sure of goes to `review`.

python examples/sort_folder.py PHOTOS OUT
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from binsight.errors import BinsightError
from binsight.predictor import Predictor, available_cores, predict_files

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def main(photos: Path, out: Path) -> None:
    """Sort them, and say what was done."""
    paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in SUFFIXES)
    predictor = Predictor.load("waste8", threads=1)
    for path, found in zip(paths, predict_files(predictor, paths, workers=available_cores()), strict=True):
        if isinstance(found, BinsightError):
            print(f"{path}: {found}", file=sys.stderr)
            continue
        stream = found.stream if found.decision == "accept" else "review"
        place = out / stream / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
        print(f"{path.name}: {found.category} ({found.confidence:.0%}) -> {stream}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
