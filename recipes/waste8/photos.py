"""Write two manifests for `waste8` 1.4: further photos of its classes, and photos of none of them.

    python recipes/waste8/photos.py ../shared/data photos

Photos are divided as they were for the network of `waste8` 1.3.0, so nothing that it was trained on judges: `known.csv`
has `more` and the half of TrashNet's metal, paper and cardboard; `outliers.csv` glass, textiles and empty places. In
it a source that ends in "kept back" is to be held out: halves of Garbage Dataset's glass and textiles and of TrashNet's
glass, without what has a copy among the photos to learn from.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from binsight.dataset import Dataset
from binsight.dataset.duplicates import duplicate_groups
from binsight.dataset.manifest import write_manifest
from binsight.dataset.samples import Sample

CLASS_OF: Final = {"metal": "metal_cans", "paper": "paper_waste", "cardboard": "paper_waste", "glass": "glass"}
OUTLIERS: Final = ("glass", "textiles", "not-waste")
KEPT_BACK: Final = "kept back"


def main() -> None:
    """Read the lists of photos, and write two."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with more/ and trashnet/")
    parser.add_argument("out", type=Path, help="folder for known.csv and outliers.csv")
    arguments = parser.parse_args()
    data, out = arguments.data, arguments.out
    if not (data / "more" / "manifest.csv").is_file():
        parser.error(f"expected more/manifest.csv in {data}, which has none; name the folder of the photos")
    samples = [replace(s, path=str((data / s.path).resolve())) for s in (*_more(data), *_trashnet(data))]
    known = [s for s in samples if s.class_id not in OUTLIERS and KEPT_BACK not in s.extra["source"]]
    out.mkdir(parents=True, exist_ok=True)
    for name, kept in (("known", known), ("outliers", _apart([s for s in samples if s.class_id in OUTLIERS]))):
        classes = tuple(sorted({s.class_id for s in kept}))
        write_manifest(Dataset(Path(), classes, tuple(kept)), out / f"{name}.csv", overwrite=True)
        print(f"{out / name}.csv: {len(kept)} photos")


def _more(data: Path) -> Iterator[Sample]:
    with (data / "more" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path, name = f"more/{row['path']}", row["class"]
            kept_back = row["source"] == "gd" and not _is_odd(path)
            source = f"{name} of Garbage Dataset, {KEPT_BACK}" if kept_back else row["source"]
            yield _sample(path, name, source, row["licence"], row["from"])


def _trashnet(data: Path) -> Iterator[Sample]:
    for folder, name in CLASS_OF.items():
        for file in sorted((data / "trashnet" / folder).glob("*.jpg")):
            path = str(file.relative_to(data))
            source = "trashnet" if _is_odd(path) else f"{folder} of TrashNet, {KEPT_BACK}"
            yield _sample(path, name, source, "MIT", "TrashNet (Yang and Thung)")


def _apart(samples: list[Sample]) -> list[Sample]:
    """The samples, without those kept back that have a copy among the others."""
    groups = duplicate_groups(Dataset(Path(), OUTLIERS, tuple(samples)))
    is_kept_back = [KEPT_BACK in s.extra["source"] for s in samples]
    learnt = {group for group, judges in zip(groups, is_kept_back, strict=True) if not judges}
    return [
        s for s, group, judges in zip(samples, groups, is_kept_back, strict=True) if not (judges and group in learnt)
    ]


def _sample(path: str, name: str, source: str, licence: str, attribution: str) -> Sample:
    return Sample(path, name, extra={"source": source, "licence": licence, "attribution": attribution})


def _is_odd(path: str) -> bool:
    """Whether the network was trained on a photo, of those that were divided for it; TrashNet's glass it never saw."""
    return hashlib.sha256(path.encode()).digest()[0] % 2 == 1


if __name__ == "__main__":
    main()
