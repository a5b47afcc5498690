"""A frame with what the line made of it: boxes, ids, lanes."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from binsight.line.config import LineConfig
from binsight.line.engine import Picture
from binsight.line.field import Field
from binsight.line.records import Box, Piece
from binsight.line.track import Track

__all__ = ["draw_picture", "track_box"]

# Of Okabe and Ito: told apart with any colour vision.
_LANE_COLOURS = ("#56b4e9", "#009e73", "#e69f00", "#f0e442", "#cc79a7", "#0072b2")
_WAITING, _LEFT, _LINE = "#bbbbbb", "#d55e00", "#ffffff"


def draw_picture(picture: Picture, config: LineConfig) -> Image.Image:
    """The frame with the trigger line, a box around all that moves, and what the pieces are and where they go.

    Returns:
        An RGB picture of the frame's size.
    """
    image = Image.fromarray(picture.frame.image)
    camera = config.camera
    field = Field.of(picture.frame.image.shape[:2], **camera.view)
    draw = ImageDraw.Draw(image)
    font = _font(max(11, image.height // 36))
    at_mm = camera.trigger_at * camera.field_mm
    line = field.box((at_mm, at_mm), (0.0, field.width_mm))
    draw.line((line.left, line.top, line.right, line.bottom), fill=_LINE, width=1)
    for track in picture.tracks:
        piece = picture.pieces.get(track.number)
        _draw_track(draw, track, piece, field, font, config)
    return image


def _draw_track(
    draw: ImageDraw.ImageDraw,
    track: Track,
    piece: Piece | None,
    field: Field,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    config: LineConfig,
) -> None:
    box = track_box(track, field)
    if box.width < 1 or box.height < 1:
        return
    colour = _colour(piece, config)
    draw.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline=colour, width=2)
    if piece is None:
        return
    _, top, right, bottom = draw.multiline_textbbox((0, 0), _label(piece, config), font=font)
    x = min(max(box.left, field.left), max(field.left, field.right - right - 4))
    # Every other one below its piece, so that labels of neighbours do not lie on each other.
    above, below = box.top - bottom - 6, box.bottom + 2
    fits = above >= field.top, below + bottom + 3 <= field.bottom
    y = above if (fits[0] and (piece.seq % 2 == 0 or not fits[1])) else below
    draw.rectangle((x, y + top - 2, x + right + 4, y + bottom + 3), fill=colour)
    draw.multiline_text((x + 2, y), _label(piece, config), fill="black", font=font)


def track_box(track: Track, field: Field) -> Box:
    """Where it was seen; else where it is expected, as far as that is in the field."""
    if track.blob is not None:
        return track.blob.box
    tail, head = (min(max(mm, 0.0), field.length_mm) for mm in track.along)
    return field.box((tail, head), track.across)


def _colour(piece: Piece | None, config: LineConfig) -> str:
    if piece is None or piece.status == "seen":
        return _WAITING
    numbers = [lane.number for lane in config.lanes]
    lane = _lane(piece)
    return _LANE_COLOURS[numbers.index(lane) % len(_LANE_COLOURS)] if lane in numbers else _LEFT


def _lane(piece: Piece) -> int:
    return 0 if piece.status in {"fail_safe", "late", "dropped", "refused"} else piece.lane


def _label(piece: Piece, config: LineConfig) -> str:
    if piece.category is None:
        return f"#{piece.seq}" + (" ?" if piece.decision else "")
    names = {lane.number: lane.name or f"lane {lane.number}" for lane in config.lanes}
    what = f"#{piece.seq} {piece.category} {piece.confidence or 0:.0%}"
    where = names.get(_lane(piece)) or (piece.reason or "stays on the belt").replace("_", " ")
    return f"{what}\nto {where}" if where in names.values() else f"{what}\n{where}"


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
