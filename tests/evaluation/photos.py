"""Photos for the tiny bundle: of one colour, so that what it says of them is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from binsight.evaluation import LabelledSet

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CLASSES", "COLOURS", "labelled", "save"]

CLASSES = ("red", "green", "blue")
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (90, 90, 90)}


def save(path: Path, colour: str, *, size: tuple[int, int] = (40, 30)) -> Path:
    """Write a photo of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLOURS[colour]).save(path)
    return path


def labelled(folder: Path, photos: list[tuple[str, str]], *, groups: tuple[str, ...] | None = None) -> LabelledSet:
    """Write photos below a folder: of each the class it is labelled with and its colour."""
    paths = [save(folder / label / f"{i:02d}.png", colour) for i, (label, colour) in enumerate(photos)]
    labels = np.array([CLASSES.index(label) for label, _ in photos], np.intp)
    return LabelledSet(tuple(paths), labels, folder, groups)
