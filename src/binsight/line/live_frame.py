"""What the engine saw last, made small enough to be sent to whoever looks on: a JPEG, and boxes as shares of it."""

from __future__ import annotations

import base64
from typing import Any

from binsight.imaging import small_jpeg
from binsight.line.config import LineConfig
from binsight.line.drawing import track_box
from binsight.line.engine import Picture
from binsight.line.field import Field
from binsight.line.records import Box

__all__ = ["frame_message"]

_TOLD = ("id", "seq", "category", "decision", "lane")  # of a piece; null of what is none yet


def frame_message(picture: Picture, config: LineConfig, *, age_s: float) -> dict[str, Any]:
    """The event `frame`: picture, trigger line and boxes, whose sides are shares of the picture's."""
    height, width = picture.frame.image.shape[:2]
    camera = config.camera
    field = Field.of((height, width), **camera.view)
    at_mm = camera.trigger_at * camera.field_mm
    boxes = []
    for track in picture.tracks:
        sides = _shares(track_box(track, field), width, height)
        if sides["left"] < sides["right"] and sides["top"] < sides["bottom"]:
            piece = picture.pieces.get(track.number)
            boxes.append({"track": track.number, **sides, **{name: getattr(piece, name, None) for name in _TOLD}})
    return {
        "number": picture.frame.number,
        "age_ms": round(1000 * age_s),
        "width": width,
        "height": height,
        "line": _shares(field.box((at_mm, at_mm), (0.0, field.width_mm)), width, height),
        "boxes": boxes,
        "jpeg": base64.b64encode(small_jpeg(picture.frame.image)).decode("ascii"),
    }


def _shares(box: Box, width: int, height: int) -> dict[str, float]:
    sides = {"left": width, "top": height, "right": width, "bottom": height}
    return {side: round(min(1.0, max(0.0, getattr(box, side) / whole)), 4) for side, whole in sides.items()}
