"""The part of the picture that is watched, in pixels and in millimetres along and across the belt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from binsight.errors import SettingsError
from binsight.line.records import Box

__all__ = ["DIRECTIONS", "Direction", "Field", "Span"]

Direction = Literal["right", "left", "up", "down"]
DIRECTIONS: tuple[Direction, ...] = ("right", "left", "up", "down")
Span = tuple[float, float]  # from, to, in millimetres


@dataclass(frozen=True, slots=True)
class Field:
    """Where the belt is in frames of one size.

    Millimetres along the belt count from where pieces come in; a pixel is taken to be square, so that the same scale
    holds across it, from the left or the upper edge.

    Attributes:
        left, top, right, bottom: the watched region in pixels; right and bottom do not belong to it.
        direction: where the belt carries pieces in the picture.
        length_mm: how much belt the region shows along `direction`.
    """

    left: int
    top: int
    right: int
    bottom: int
    direction: Direction
    length_mm: float

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        *,
        region: Sequence[float] = (0.0, 0.0, 1.0, 1.0),
        direction: Direction = "right",
        field_mm: float = 600.0,
    ) -> Field:
        """The field in frames of `size` `(height, width)`, its `region` given as shares: left, top, right, bottom.

        Raises:
            SettingsError: the region is not inside the picture or holds no 8 pixels a side, or a setting is unknown.
        """
        height, width = size
        x0, y0, x1, y1 = region
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
            raise SettingsError(
                f"expected a region as shares of the picture (left < right, top < bottom, all in 0 to 1), got {region}"
            )
        if direction not in DIRECTIONS:
            raise SettingsError(f"expected a direction out of {', '.join(DIRECTIONS)}, got {direction!r}")
        if not field_mm > 0:
            raise SettingsError(f"expected field_mm above 0, got {field_mm}")
        box = (round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height))
        if min(box[2] - box[0], box[3] - box[1]) < 8:
            raise SettingsError(
                f"expected a region of at least 8 pixels a side, got {box[2] - box[0]} x {box[3] - box[1]} "
                f"in frames of {width} x {height}"
            )
        return cls(*box, direction=direction, length_mm=float(field_mm))

    @property
    def horizontal(self) -> bool:
        """Whether the belt runs along the rows of the picture."""
        return self.direction in {"right", "left"}

    @property
    def mm_per_pixel(self) -> float:
        """Millimetres of belt in one pixel of the frame."""
        return self.length_mm / (self.right - self.left if self.horizontal else self.bottom - self.top)

    @property
    def width_mm(self) -> float:
        """How much belt the region shows across the direction of travel."""
        return self.mm_per_pixel * (self.bottom - self.top if self.horizontal else self.right - self.left)

    def along(self, box: Box) -> Span:
        """Trailing and leading edge in millimetres from where pieces come in."""
        scale = self.mm_per_pixel
        if self.direction == "right":
            return (box.left - self.left) * scale, (box.right - self.left) * scale
        if self.direction == "left":
            return (self.right - box.right) * scale, (self.right - box.left) * scale
        if self.direction == "down":
            return (box.top - self.top) * scale, (box.bottom - self.top) * scale
        return (self.bottom - box.bottom) * scale, (self.bottom - box.top) * scale

    def across(self, box: Box) -> Span:
        """The two sides in millimetres from the left edge of the region, or from the upper one of a level belt."""
        scale = self.mm_per_pixel
        if self.horizontal:
            return (box.top - self.top) * scale, (box.bottom - self.top) * scale
        return (box.left - self.left) * scale, (box.right - self.left) * scale

    def box(self, along: Span, across: Span) -> Box:
        """The rectangle of these millimetres in pixels of the frame; the inverse of `along` and `across`."""
        near, far = along[0] / self.mm_per_pixel, along[1] / self.mm_per_pixel
        low, high = across[0] / self.mm_per_pixel, across[1] / self.mm_per_pixel
        if self.direction == "right":
            return Box(self.left + near, self.top + low, self.left + far, self.top + high)
        if self.direction == "left":
            return Box(self.right - far, self.top + low, self.right - near, self.top + high)
        if self.direction == "down":
            return Box(self.left + low, self.top + near, self.left + high, self.top + far)
        return Box(self.left + low, self.bottom - far, self.left + high, self.bottom - near)
