"""Photos and heat maps, made small enough to be put into a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from binsight.errors import BinsightError
from binsight.imaging import decode_image, read_photo
from binsight.imaging.storing import thumbnail_jpeg
from binsight.predictor import Predictor

__all__ = ["PICTURE_SIDE", "Pictures", "draw_pictures"]

PICTURE_SIDE = 224
"""Of the pictures in a report, in pixels; shown at about half of it on fine screens."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """A photo, and the same with what spoke for the predicted class laid over it: JPEG files' contents."""

    photo: bytes
    heatmap: bytes


def draw_pictures(predictor: Predictor, path: Path) -> Pictures | None:
    """The two pictures of a photo; None where it cannot be read."""
    try:
        data = read_photo(path)
        photo = decode_image(data, min_size=(PICTURE_SIDE, PICTURE_SIDE))
        return Pictures(*(thumbnail_jpeg(p, PICTURE_SIDE) for p in (photo, predictor.predict_with_heatmap(data)[1])))
    except BinsightError:
        return None
