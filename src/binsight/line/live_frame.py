"""What the engine saw last, made small enough to be sent to whoever looks on: a JPEG, and boxes as shares of it."""

from __future__ import annotations

import base64
from typing import Any

from binsight.imaging import small_jpeg
from binsight.line.config import LineConfig
from binsight.line.drawing import track_box
from binsight.line.engine import Picture
from binsight.line.field import Field
from binsight.line.records import Box, Piece

__all__ = ["frame_message"]


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
            boxes.append({"track": track.number, **sides, **_label(picture.pieces.get(track.number))})
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
    return {
        "left": round(min(1.0, max(0.0, box.left / width)), 4),
        "top": round(min(1.0, max(0.0, box.top / height)), 4),
        "right": round(min(1.0, max(0.0, box.right / width)), 4),
        "bottom": round(min(1.0, max(0.0, box.bottom / height)), 4),
    }


def _label(piece: Piece | None) -> dict[str, Any]:
    if piece is None:
        return {"id": None, "seq": None, "category": None, "decision": None, "lane": None}
    return {
        "id": piece.id,
        "seq": piece.seq,
        "category": piece.category,
        "decision": piece.decision,
        "lane": piece.lane,
    }
