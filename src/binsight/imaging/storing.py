"""Photos as they are stored: upright, not too large, and nothing but pixels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin  # noqa: F401 - plug-ins register their formats

from binsight.imaging.decode import ImageLimits, decode_image

__all__ = ["encode_picture", "small_jpeg", "stored_jpeg", "thumbnail_jpeg"]

# No backbone sees more than a few hundred pixels; random crops for training want some more.
_MAX_SIDE = 1600
_JPEG_QUALITY = 95


def stored_jpeg(photo: bytes, *, limits: ImageLimits | None = None) -> bytes:
    """The photo as a JPEG of at most 1600 pixels a side, decoded and encoded anew, so that only pixels are left.

    A phone writes into the other parts of a file where its owner was. The same photo gives the same bytes.

    Raises:
        ImageError: the photo was refused; see `decode_image`.
    """
    pixels = decode_image(photo, limits=limits, min_size=(_MAX_SIDE, _MAX_SIDE))
    return thumbnail_jpeg(pixels, _MAX_SIDE, quality=_JPEG_QUALITY, subsampling=0)


def thumbnail_jpeg(pixels: NDArray[np.uint8], side: int, *, quality: int = 78, **options: Any) -> bytes:
    """A JPEG of an `(h, w, 3)` RGB picture with sides of at most `side` pixels; `options` are Pillow's."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return encode_picture(picture, quality=quality, **options)


def small_jpeg(frame: NDArray[np.uint8], *, side: int = 640, quality: int = 70) -> bytes:
    """An `(h, w, 3)` RGB frame as a JPEG of at most `side` pixels a side, for whoever looks on."""
    picture = Image.fromarray(frame)
    factor = max(picture.size) // side
    if factor > 1:
        picture = picture.reduce(factor)  # means of whole pixels: a tenth of the time of a filter
    picture.thumbnail((side, side), Image.Resampling.BILINEAR)
    return encode_picture(picture, quality=quality)


def encode_picture(picture: Image.Image | NDArray[np.uint8], kind: str = "JPEG", **options: Any) -> bytes:
    """A picture, or `(h, w, 3)` RGB pixels, as a file's bytes; `options` are those of Pillow for the format."""
    stream = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(stream, kind, **options)
    return stream.getvalue()
