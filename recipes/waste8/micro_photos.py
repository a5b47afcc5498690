"""The photos that the micro network learns from and is judged by."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.dataset import Dataset
from binsight.dataset.duplicates import duplicate_groups
from binsight.dataset.samples import Sample
from binsight.taxonomy import Taxonomy

# `binsight data audit` finds a twin of each among the photos of `val`; see docs/audit.md.
TWINS_OF_VAL = {
    "ewaste_0040.jpg",
    "paper_waste_0629.jpg",
    "plastic_bottles_0051.jpg",
    "plastic_bottles_0066.jpg",
    "plastic_bottles_0808.jpg",
}


@dataclass(frozen=True)
class Photos:
    """Photos with their labels (positions in the taxonomy) and the sources they come from."""

    paths: list[Path]
    labels: NDArray[np.intp]
    sources: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, positions: NDArray[np.intp]) -> Photos:
        """Some of the photos."""
        return Photos([self.paths[i] for i in positions], self.labels[positions], self.sources[positions])


def read_split(data: Path, split: str, taxonomy: Taxonomy) -> Photos:
    """The photos of a split, in the order of `manifest.csv`."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return Photos(
        [data.parent / row["path"] for row in rows],
        np.array([taxonomy.index(row["class"]) for row in rows]),
        np.array([row["source"] for row in rows]),
    )


def read_folders(folders: Sequence[tuple[str, Path]], taxonomy: Taxonomy) -> Photos:
    """The photos of folders, each of one class."""
    found = [(path, taxonomy.index(name)) for name, folder in folders for path in list_photos(folder)]
    labels = np.array([label for _, label in found], dtype=np.intp)
    return Photos([path for path, _ in found], labels, np.array(["elsewhere"] * len(found)))


def list_photos(folder: Path) -> list[Path]:
    """The photos in a folder and below, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})


def copies_among(photos: Photos, taxonomy: Taxonomy) -> NDArray[np.intp]:
    """Which photos are copies of each other, `(n,)`: those of one number."""
    samples = (
        Sample(path=str(p.resolve()), class_id=taxonomy.ids[c])
        for p, c in zip(photos.paths, photos.labels, strict=True)
    )
    return np.asarray(duplicate_groups(Dataset(Path(), taxonomy.ids, tuple(samples))), np.intp)


def twins_of_val(photos: Photos) -> NDArray[np.bool_]:
    """Which photos of `train` have a twin in `val`, `(n,)`."""
    return np.array([path.name in TWINS_OF_VAL for path in photos.paths])


def digest(root: Path, photos: Sequence[Path]) -> str:
    """SHA-256 over path and content of every photo, in sorted order."""
    total = hashlib.sha256()
    for photo in sorted(photos):
        content = hashlib.sha256(photo.read_bytes()).hexdigest()
        total.update(f"{content}  {photo.relative_to(root).as_posix()}\n".encode())
    return total.hexdigest()
