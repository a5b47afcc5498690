"""What is kept of a photo to recognise it again: hashes for exact copies, a thumbnail for altered ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.dataset.views import FEW_SIDE, Views

__all__ = ["COLOUR_SIDE", "THUMBNAIL_SIDE", "Fingerprint", "fingerprint_image", "thumbnail"]

# Measured on TrashNet and waste8 (docs/audit.md): 48 keeps what tells look-alikes apart and costs 4.6 kB a photo.
THUMBNAIL_SIDE = 48
COLOUR_SIDE = 8
_DIGEST_BYTES = 32
_REDUCE_FROM, _REDUCE_TO = 20, 10  # times the thumbnail's side
_CHROMA = np.array([[-0.168736, 0.5], [-0.331264, -0.418688], [0.5, -0.081312]], np.float32)  # RGB to Cb, Cr


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a photo is recognised by.

    Attributes:
        pixels_sha256: of the decoded upright pixels with their size, hexadecimal: the same picture in another lossless
            format, or with other metadata, has the same. Of a large JPEG the pixels are those of `CHECKED_SIZE`, so it
            has another than a copy in a lossless format, which is then found by its thumbnail.
        thumbnail: `(48, 48)` float16, the luminance of the whole picture stretched to a square, in 8-bit levels. Not
            rounded to whole levels: on white paper on a white table that would be the larger part of the signal.
        colours: `(8, 8, 2)` float16, Cb and Cr (JPEG, in [-128, 127]) of the picture likewise.
        aspect: width divided by height.
    """

    pixels_sha256: str
    thumbnail: NDArray[np.float16]
    colours: NDArray[np.float16]
    aspect: float

    def to_bytes(self) -> bytes:
        """The form in which it is kept."""
        aspect = np.float32(self.aspect).tobytes()
        return bytes.fromhex(self.pixels_sha256) + aspect + self.colours.tobytes() + self.thumbnail.tobytes()

    @classmethod
    def from_bytes(cls, packed: bytes) -> Fingerprint:
        """What `to_bytes` packed."""
        aspect = np.frombuffer(packed, np.float32, count=1, offset=_DIGEST_BYTES)
        values = np.frombuffer(packed, np.float16, offset=_DIGEST_BYTES + aspect.nbytes)
        colours, thumbnail = np.split(values, [2 * COLOUR_SIDE**2])
        return cls(
            packed[:_DIGEST_BYTES].hex(),
            thumbnail.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE),
            colours.reshape(COLOUR_SIDE, COLOUR_SIDE, 2),
            float(aspect[0]),
        )


def fingerprint_image(photo: Views) -> Fingerprint:
    """The fingerprint of a photo."""
    height, width = photo.photo.height, photo.photo.width
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(photo.photo.picture.tobytes())
    return Fingerprint(digest.hexdigest(), thumbnail(photo.grey), _colours(photo.few), width / height)


def thumbnail(grey: Image.Image) -> NDArray[np.float16]:
    """A picture of mode L averaged over the cells of a 48 x 48 grid, `(48, 48)` float16."""
    if min(grey.size) > _REDUCE_FROM * THUMBNAIL_SIDE:
        # Averages of many pixels lose nothing by rounding, and floating-point resizing is slow on large photos.
        grey = grey.resize((_REDUCE_TO * THUMBNAIL_SIDE,) * 2, Image.Resampling.BOX)
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(grey.convert("F").resize(size, Image.Resampling.BOX)).astype(np.float16)


def _colours(few: Image.Image) -> NDArray[np.float16]:
    """Cb and Cr of each cell of an 8 x 8 grid (JFIF 1.02, section 7)."""
    rgb = np.asarray(few.reduce(FEW_SIDE // COLOUR_SIDE)).reshape(-1, 3).astype(np.float32)
    return (rgb @ _CHROMA).astype(np.float16).reshape(COLOUR_SIDE, COLOUR_SIDE, 2)
