"""Write the manifest of the photos of `materials`: class, split, source, licence and attribution of each.

    python recipes/materials/photos.py ../shared/data materials.csv

Heads are fitted on the network of `waste8` 1.3.0 as it is. So nothing judges them that this network was trained on, be
it as a photo of none of its classes:

- `waste8` keeps its splits. Bags and bottles are plastic. What it calls paper was looked at, photo by photo, and
  `paper.csv` says which is cardboard and which is left out: drink cartons, paper cups, and what cannot be told.
- `more` is trained on, but for the glass and textiles that `waste8` kept back: a quarter is val, the rest test.
- TrashNet is trained on where `waste8` was. Of the others a quarter is val and the rest test; but what has a copy among
  photos that the network was trained on is trained on, too. `trash` is of no class.
- Clothes (`not-waste`) are a source of their own, to be left out.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from binsight.dataset import Dataset
from binsight.dataset.duplicates import duplicate_groups
from binsight.dataset.manifest import write_manifest
from binsight.dataset.samples import Sample

CLASS_OF: Final = {
    "ewaste": "ewaste", "food_waste": "food", "leaf_waste": "leaves", "metal_cans": "metal", "paper_waste": "paper",
    "plastic_bags": "plastic", "plastic_bottles": "plastic", "wood_waste": "wood", "glass": "glass",
    "textiles": "textiles", "cardboard": "cardboard", "metal": "metal", "paper": "paper", "plastic": "plastic",
}  # fmt: skip
LICENCES: Final = {
    "gd": ("MIT; mostly web photos", "Garbage Dataset v2 (arXiv 2602.10500)"),
    "ecoera": ("CC BY 4.0", "EcoEra e-waste (Roboflow e-waste-mx8fq)"),
    "bhaktapur": ("CC BY 4.0", "Plastic bottles Bhaktapur (Roboflow)"),
    "woosong": ("CC BY 4.0", "Tied bags (Roboflow, WoosongVision)"),
    "leaf_pv": ("research set; licence of the copy contradictory", "PlantVillage leaves"),
    "leaf_ground": ("none stated", "leaves on the ground"),
    "vinai": ("repository MIT; photo rights unclear", "VinAI plastic-bag crops"),
    "foodai": ("none stated", "foodAI"),
    "card": ("none stated", "wood pictures"),
    "trashnet": ("MIT", "TrashNet (Yang and Thung)"),
    "clothes": ("CC0 1.0", "clothing-dataset-small"),
}
LEFT_OUT: Final = "left out"


def main() -> None:
    """Read the lists of photos, and write one."""
    data, out = map(Path, sys.argv[1:])
    samples = [*_waste8(data), *_more(data), *_trashnet(data), *_clothes(data)]
    told_apart = {row["path"]: row["class"] for row in _rows(Path(__file__).with_name("paper.csv"))}
    named = [
        replace(s, class_id=told_apart.get(s.path, s.class_id), path=str((data / s.path).resolve())) for s in samples
    ]
    kept = [s for s in named if s.class_id != LEFT_OUT]
    classes = tuple(sorted({s.class_id for s in kept}))
    kept = list(_apart(Dataset(Path(), classes, tuple(kept))))
    write_manifest(Dataset(Path(), classes, tuple(kept)), out, overwrite=True)
    print(f"{out}: {len(kept)} photos; {len(named) - len(kept)} are left out")


def _waste8(data: Path) -> Iterator[Sample]:
    for row in _rows(data / "waste8" / "manifest.csv"):
        yield _sample(row["path"], row["class"], row["split"], row["source"], *LICENCES[row["source"]])


def _more(data: Path) -> Iterator[Sample]:
    for row in _rows(data / "more" / "manifest.csv"):
        path = f"more/{row['path']}"
        if row["class"] in CLASS_OF:
            is_kept_back = row["source"] == "gd" and not _is_odd(path)
            split = _judging(path) if is_kept_back else "train"
            yield _sample(path, row["class"], split, row["source"], row["licence"], row["from"])


def _trashnet(data: Path) -> Iterator[Sample]:
    for file in sorted((data / "trashnet").rglob("*.jpg")):
        path, name = str(file.relative_to(data)), file.parent.name
        if name in CLASS_OF:
            yield _sample(path, name, "train" if _is_odd(path) else _judging(path), "trashnet", *LICENCES["trashnet"])


def _clothes(data: Path) -> Iterator[Sample]:
    for file in sorted((data / "not-waste").glob("*.jpg")):
        yield _sample(str(file.relative_to(data)), "textiles", "train", "clothes", *LICENCES["clothes"])


def _apart(photos: Dataset) -> Iterator[Sample]:
    """The photos; of TrashNet what has a copy among photos that the network was trained on is to be trained on."""
    groups = duplicate_groups(photos)
    seen = {group for s, group in zip(photos, groups, strict=True) if s.split == "train"}
    for s, group in zip(photos, groups, strict=True):
        yield replace(s, split="train") if s.extra["source"] == "trashnet" and group in seen else s


def _sample(path: str, name: str, split: str, source: str, licence: str, attribution: str) -> Sample:
    extra = {"source": source, "licence": licence, "attribution": attribution}
    return Sample(path, CLASS_OF[name], split, extra=extra)


def _is_odd(path: str) -> bool:
    """Whether `waste8` 1.3.0 was trained on a photo, of those that it was divided by."""
    return hashlib.sha256(path.encode()).digest()[0] % 2 == 1


def _judging(path: str) -> str:
    return "val" if hashlib.sha256(path.encode()).digest()[1] < 64 else "test"


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
