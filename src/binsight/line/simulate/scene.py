"""Pictures of a belt that carries real photos."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from binsight.line.simulate.plan import PlannedPiece

__all__ = ["Scene"]

_FIELD_MM = 600.0  # how much belt the camera sees
_NOISE = 2.0  # of the camera, standard deviation in grey levels
_BELT_MM = 1700.0  # the belt's pattern repeats: it is a loop
# Teal, as many belts are: photos have dark, grey and white parts of their own, and what looks like the belt is belt.
_BELT_COLOUR = np.array([30.0, 98.0, 112.0])
_EDGE = 3  # pixels over which a piece's edge fades


class Scene:
    """Renders what the camera sees when the belt has come to some place.

    The belt runs from left to right. A piece is a photo, cut to a rounded shape.

    Args:
        photos: `(h, w, 3)` uint8 each.
        pieces: where they lie, in the order of the belt.
        size: `(height, width)` of the frame.
        trigger_mm: where in the field the trigger line is; `PlannedPiece.centre_mm` is met there.
        piece_mm: longer side of a piece.
        rng: draws the belt's pattern and the camera's noise.
    """

    def __init__(
        self,
        photos: Sequence[NDArray[np.uint8]],
        pieces: Sequence[PlannedPiece],
        *,
        size: tuple[int, int] = (480, 640),
        trigger_mm: float = 420.0,
        piece_mm: float = 110.0,
        rng: np.random.Generator,
    ) -> None:
        self._photos, self._pieces = photos, pieces
        self._centres = [piece.centre_mm for piece in pieces]
        self._size, self._trigger_mm, self._piece_mm = size, trigger_mm, piece_mm
        self._scale = size[1] / _FIELD_MM  # pixels per mm
        self._loop = round(_BELT_MM * self._scale)
        belt = _belt_pattern(size[0], self._loop, rng)
        self._belt = np.concatenate([belt, belt[:, : size[1]]], axis=1)  # so that every picture is one slice of it
        self._noise = np.clip(rng.normal(0, _NOISE, 2 * size[0] * size[1]).round(), -8, 8).astype(np.int16)
        self._rng = rng
        self._sprite = lru_cache(maxsize=256)(self._cut_sprite)

    def in_view(self, travel_mm: float) -> Sequence[PlannedPiece]:
        """The pieces that are at least in part in the picture."""
        reach = self._piece_mm
        low = travel_mm - (_FIELD_MM - self._trigger_mm) - reach
        high = travel_mm + self._trigger_mm + reach
        return self._pieces[bisect_left(self._centres, low) : bisect_right(self._centres, high)]

    def render(self, travel_mm: float, *, light: float = 1.0, doubled: bool = False) -> NDArray[np.uint8]:
        """The picture when the belt has come `travel_mm`.

        Args:
            travel_mm: a piece with this `centre_mm` lies on the trigger line.
            light: factor on all brightness.
            doubled: every piece lies on another one.

        Returns:
            `(h, w, 3)` uint8.
        """
        height, width = self._size
        first = -round(travel_mm * self._scale) % self._loop
        image = self._belt[:, first : first + width].astype(np.int16)
        for piece in self.in_view(travel_mm):
            if doubled:
                other = PlannedPiece(0, (piece.photo + 1) % len(self._photos), 0, 0, piece.turn + 1, piece.mirrored)
                self._paste(image, piece, travel_mm, self._sprite(other.photo, other.turn % 4, other.mirrored), 0.5)
            self._paste(image, piece, travel_mm, self._sprite(piece.photo, piece.turn, piece.mirrored))
        if light != 1.0:
            image = (image * light).astype(np.int16)
        # Another part of the same noise each time: as random to the eye as new noise, at a tenth of the time.
        start = self._rng.integers(height * width)
        image += self._noise[start : start + height * width].reshape(height, width, 1)
        return np.clip(image, 0, 255, out=image).astype(np.uint8)

    def _paste(
        self,
        image: NDArray[np.int16],
        piece: PlannedPiece,
        travel_mm: float,
        sprite: tuple[NDArray[np.int16], NDArray[np.float32]],
        offset: float = 0.0,
    ) -> None:
        colours, alpha = sprite
        height, width = alpha.shape[:2]
        x_mm = self._trigger_mm + travel_mm - piece.centre_mm
        left = round(x_mm * self._scale - width / 2 + offset * width)
        top = round(piece.across * self._size[0] - height / 2 + offset * height)
        x0, x1 = max(0, left), min(self._size[1], left + width)
        y0, y1 = max(0, top), min(self._size[0], top + height)
        if x0 >= x1 or y0 >= y1:
            return
        part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        under = image[y0:y1, x0:x1]
        under += (alpha[part] * (colours[part] - under)).astype(np.int16)

    def _cut_sprite(self, photo: int, turn: int, mirrored: bool) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        pixels = np.rot90(self._photos[photo], turn)
        picture = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels))
        side = round(self._piece_mm * self._scale)
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        shape = Image.new("L", picture.size, 0)
        inner = (_EDGE, _EDGE, picture.width - 1 - _EDGE, picture.height - 1 - _EDGE)
        ImageDraw.Draw(shape).rounded_rectangle(inner, radius=side // 6, fill=255)
        alpha = np.asarray(shape.filter(ImageFilter.GaussianBlur(_EDGE / 2)), dtype=np.float32) / np.float32(255)
        return np.asarray(picture, dtype=np.int16), alpha[..., None]


def _belt_pattern(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A belt with grain, dirt and a slightly brighter middle, `(height, width, 3)`."""
    grain = rng.normal(0, 4, (height, width))
    dirt = np.asarray(
        Image.fromarray(rng.integers(0, 255, (height // 8, width // 8), dtype=np.uint8)).resize((width, height)),
        dtype=np.float64,
    )
    shade = 10 * np.sin(np.linspace(0, np.pi, height))[:, None]
    light = shade + grain + (dirt - 128) / 32
    pattern: NDArray[np.uint8] = np.clip(light[..., None] + _BELT_COLOUR, 0, 255).astype(np.uint8)
    return pattern
