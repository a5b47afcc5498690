"""8-bit RGB out of pixels of any type; where what a file declares makes no sense for its content, the content counts.

Cameras and programs write alpha channels that are zero all over, and 8 or 12 bits into pixels of 16 or 32. By the
letter such photos are white or black sheets, which a network would classify as confidently as any other.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from binsight.errors import UnsupportedImageError

__all__ = ["to_rgb"]

_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
# Below a sixteenth nothing can be made out: as light, a black sheet; as opacity, a white one.
_LEAST = 16
_DEPTHS = (8, 10, 12)  # that are found in pixels of 16 bits


def to_rgb(picture: Image.Image, *, bits: int = 8) -> Image.Image:
    """The picture in mode RGB, transparency laid over white.

    Args:
        picture: decoded, of any mode.
        bits: of each channel, as they are stored.

    Raises:
        UnsupportedImageError: what white is, or what the picture shows, cannot be known.
    """
    if picture.mode.startswith("I"):
        return _sixteen_bit_to_rgb(picture)
    if picture.mode == "F":
        raise UnsupportedImageError("expected 8 or 16 bits per channel, got floating-point pixels; save as PNG or JPEG")
    if bits > 8 and 0 < _brightest(picture) < _LEAST:
        # Of several channels Pillow keeps the upper 8 bits only.
        raise UnsupportedImageError(
            f"expected {bits}-bit pixels, got values of fewer bits; save with 8 bits per channel"
        )
    if picture.mode in _ALPHA_MODES or "transparency" in picture.info:
        return _over_white(picture.convert("RGBA"))
    if picture.mode == "RGB":
        return picture
    try:
        return picture.convert("RGB")
    except ValueError as error:
        raise UnsupportedImageError(
            f"cannot turn pixels of type {picture.mode} into RGB; save as PNG or JPEG"
        ) from error


def _brightest(picture: Image.Image) -> int:
    """The highest value of any colour channel."""
    colours = picture.getbands()[: 3 if picture.mode.startswith("RGB") else 1]
    return max(_highest(picture.getchannel(band)) for band in colours)


def _highest(channel: Image.Image) -> int:
    return int(channel.getextrema()[1])  # type: ignore[arg-type]  # of one channel it is a number


def _over_white(picture: Image.Image) -> Image.Image:
    alpha = picture.getchannel("A")
    if _highest(alpha) < _LEAST:
        colours = picture.convert("RGB")
        if colours.getcolors(1):
            raise UnsupportedImageError(
                "expected a picture, got one that is transparent all over; save it without alpha"
            )
        return colours
    white = Image.new("RGB", picture.size, (255, 255, 255))
    white.paste(picture, mask=alpha)
    return white


def _sixteen_bit_to_rgb(picture: Image.Image) -> Image.Image:
    stored = np.asarray(picture)
    highest = stored.max()
    if stored.min() < 0 or highest > 0xFFFF:
        raise UnsupportedImageError("expected 8 or 16 bits per channel, got 32-bit pixels; save as PNG or JPEG")
    white = next((2**bits - 1 for bits in _DEPTHS if 0 < highest < 2**bits), 0xFFFF)
    values = stored.astype(np.uint32)
    if "transparency" in picture.info:
        values[values == picture.info["transparency"]] = white
    # Rounded to the nearest, as the inverse of repeating a byte. In place, because a large picture is many megabytes.
    values *= 255
    values += white // 2
    values //= white
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")
