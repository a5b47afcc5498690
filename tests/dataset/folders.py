"""Small photos in folders, made when a test needs them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["photo_bytes", "write_photo", "write_photos"]


def photo_bytes(seed: int = 0, *, size: tuple[int, int] = (24, 16), form: str = "JPEG", **options: object) -> bytes:
    """An encoded photo of `size` (width, height); each seed gives another."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, form, **options)
    return data.getvalue()


def write_photo(path: Path, seed: int = 0, *, size: tuple[int, int] = (24, 16), form: str = "JPEG") -> Path:
    """Write a photo; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo_bytes(seed, size=size, form=form))
    return path


def write_photos(root: Path, *names: str) -> Path:
    """Write a different photo at each of `names` below `root`."""
    for seed, name in enumerate(names):
        write_photo(root / name, seed)
    return root
