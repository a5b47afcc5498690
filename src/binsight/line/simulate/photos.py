"""The photos that stand for pieces of waste, and what they really show."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.errors import ImageError, InputError
from binsight.imaging import decode_image, read_photo
from binsight.taxonomy import Taxonomy

__all__ = ["PiecePhoto", "read_photos"]

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
_SIDE = 512  # pixels: no piece is larger in the picture
_LABELS = "expected.csv"


@dataclass(frozen=True, slots=True)
class PiecePhoto:
    """One photo.

    Attributes:
        image: `(h, w, 3)` uint8.
        category: class id of what it shows; None where that is not known, or is nothing the model knows.
    """

    image: NDArray[np.uint8]
    category: str | None


def read_photos(folder: Path, taxonomy: Taxonomy, *, most: int, seed: int) -> list[PiecePhoto]:
    """Read the photos of a folder and of those in it; at most so many, drawn at random.

    What a photo shows is said by `expected.csv` in `folder` (columns `file` and `expected`), else by the name of the
    folder it lies in, where that is a class of the model.

    Raises:
        InputError: there is no such folder, or no photo in it that can be read.
    """
    if not folder.is_dir():
        raise InputError(
            f"expected a folder of photos, got {folder}, which is not there; name one with --photos DIR "
            f"(the photos of the demo are in examples/photos of binsight's repository)"
        )
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if len(paths) > most:
        drawn = np.random.default_rng(seed).choice(len(paths), most, replace=False)
        paths = [paths[i] for i in sorted(drawn)]
    labels = _read_labels(folder / _LABELS)
    photos = [photo for path in paths if (photo := _read(path, labels, taxonomy.ids)) is not None]
    if not photos:
        raise InputError(f"expected photos in {folder}, found none that can be read ({', '.join(sorted(_SUFFIXES))})")
    return photos


def _read(path: Path, labels: dict[str, str], known: Sequence[str]) -> PiecePhoto | None:
    try:
        image = Image.fromarray(decode_image(read_photo(path)))
    except (ImageError, InputError):
        return None
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    category = labels.get(path.name, path.parent.name)
    return PiecePhoto(np.asarray(image), category if category in known else None)


def _read_labels(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row["file"]: row["expected"] for row in csv.DictReader(file) if row.get("file") and row.get("expected")}
