"""Photos as they are stored: upright, not too large, and nothing but pixels."""

from __future__ import annotations

import io

from PIL import Image, JpegImagePlugin  # noqa: F401 - the plug-in registers the format

from binsight.imaging.decode import ImageLimits, decode_image

__all__ = ["stored_jpeg"]

# No backbone sees more than a few hundred pixels; random crops for training want some more.
_MAX_SIDE = 1600
_JPEG_QUALITY = 95


def stored_jpeg(photo: bytes, *, limits: ImageLimits | None = None) -> bytes:
    """The photo as a JPEG of at most 1600 pixels a side, decoded and encoded anew, so that only pixels are left.

    A phone writes into the other parts of a file where its owner was. The same photo gives the same bytes.

    Raises:
        ImageError: the photo was refused; see `decode_image`.
    """
    picture = Image.fromarray(decode_image(photo, limits=limits, min_size=(_MAX_SIDE, _MAX_SIDE)))
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()
