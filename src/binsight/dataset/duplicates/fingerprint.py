"""What is kept of a photo to recognise it again: hashes for exact copies, a thumbnail for altered ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["COLOUR_SIDE", "THUMBNAIL_SIDE", "Fingerprint", "fingerprint_image", "thumbnail"]

# Measured on TrashNet and waste8 (docs/audit.md): 48 keeps what tells look-alikes apart and costs 4.6 kB a photo.
THUMBNAIL_SIDE = 48
COLOUR_SIDE = 8
_REDUCE_FROM, _REDUCE_TO = 20, 10  # times the thumbnail's side


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a photo is recognised by.

    Attributes:
        pixels_sha256: of the decoded upright pixels with their size, hexadecimal: the same picture in another lossless
            format, or with other metadata, has the same.
        thumbnail: `(48, 48)` float16, the luminance of the whole picture stretched to a square, in 8-bit levels. Not
            rounded to whole levels: on white paper on a white table that would be the larger part of the signal.
        colours: `(8, 8, 2)` float16, Cb and Cr (JPEG, in [-128, 127]) of the picture likewise.
        aspect: width divided by height.
    """

    pixels_sha256: str
    thumbnail: NDArray[np.float16]
    colours: NDArray[np.float16]
    aspect: float


def fingerprint_image(image: NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of an upright picture, `(h, w, 3)` uint8 RGB."""
    digest = hashlib.sha256(f"{image.shape[0]}x{image.shape[1]}:".encode())
    digest.update(np.ascontiguousarray(image).data)
    return Fingerprint(digest.hexdigest(), thumbnail(image), _colours(image), image.shape[1] / image.shape[0])


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float16]:
    """The luminance (ITU-R 601) of a picture `(h, w, 3)` uint8, averaged over the cells of a 48 x 48 grid, float16."""
    grey = Image.fromarray(image).convert("L")
    if min(grey.size) > _REDUCE_FROM * THUMBNAIL_SIDE:
        # Averages of many pixels lose nothing by rounding, and floating-point resizing is slow on large photos.
        grey = grey.resize((_REDUCE_TO * THUMBNAIL_SIDE,) * 2, Image.Resampling.BOX)
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(grey.convert("F").resize(size, Image.Resampling.BOX)).astype(np.float16)


def _colours(image: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Cb and Cr of each cell of an 8 x 8 grid (JFIF 1.02, section 7)."""
    # Fewer pixels first: nearest is enough to average colours over an eighth of the picture.
    small = Image.fromarray(image).resize((16 * COLOUR_SIDE,) * 2, Image.Resampling.NEAREST)
    rgb = np.asarray(small.reduce(16)).astype(np.float32)
    blue = rgb @ np.array([-0.168736, -0.331264, 0.5], np.float32)
    red = rgb @ np.array([0.5, -0.418688, -0.081312], np.float32)
    return np.stack([blue, red], axis=-1).astype(np.float16)
