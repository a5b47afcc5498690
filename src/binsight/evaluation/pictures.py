"""Photos and heat maps, made small enough to be put into a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin  # noqa: F401 - the plug-in registers the format

from binsight.errors import BinsightError
from binsight.imaging import decode_image, read_photo
from binsight.predictor import Predictor

__all__ = ["Pictures", "data_uri", "draw_pictures", "thumbnail"]

_SIDE = 224  # pixels; shown at about half of it on fine screens
_QUALITY = 78


@dataclass(frozen=True, slots=True)
class Pictures:
    """A photo, and the same with what spoke for the predicted class laid over it: JPEG files' contents."""

    photo: bytes
    heatmap: bytes


def draw_pictures(predictor: Predictor, path: Path) -> Pictures | None:
    """The two pictures of a photo; None where it cannot be read."""
    try:
        data = read_photo(path)
        photo = decode_image(data, min_size=(_SIDE, _SIDE))
        return Pictures(thumbnail(photo), thumbnail(predictor.predict_with_heatmap(data)[1]))
    except BinsightError:
        return None


def thumbnail(image: NDArray[np.uint8]) -> bytes:
    """A JPEG of the `(h, w, 3)` uint8 picture with sides of at most 224 pixels."""
    picture = Image.fromarray(image)
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def data_uri(jpeg: bytes) -> str:
    """The picture as the address of an `img` in a page that needs no other file."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
