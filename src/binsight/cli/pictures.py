"""Pictures that are written whole, in the format that their name asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.errors import InputError
from binsight.files import write_whole
from binsight.imaging import encode_picture

__all__ = ["picture_format", "write_picture"]

_QUALITY = 85
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def write_picture(path: Path, image: Image.Image | NDArray[np.uint8]) -> None:
    """Write a picture, or `(h, w, 3)` RGB pixels; missing folders are made, an existing file is replaced.

    Raises:
        InputError: its name asks for a format that is none of ours.
        OutputError: it cannot be written.
    """
    write_whole(path, encode_picture(image, picture_format(path), quality=_QUALITY))


def picture_format(path: Path) -> str:
    """The format that a name asks for.

    Raises:
        InputError: none of ours.
    """
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"expected a picture's name with {', '.join(_FORMATS)}, got {path}")
    return kind
