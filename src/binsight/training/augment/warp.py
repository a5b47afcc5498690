"""Where an augmented picture is cut out of a photo, and how it is turned: all in one resampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.imaging import PreprocessSpec
from binsight.imaging.preprocess import visible_box
from binsight.training.augment.settings import AugmentSettings

__all__ = ["Window", "pad_to_proportions", "sample_window", "take_window"]

_SHRINK = 1.25  # beyond this many photo pixels per output pixel, an affine transform would alias


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a photo that fills the network's input.

    Attributes:
        box: `(left, top, right, bottom)` in pixels of the photo, before it is turned.
        mirrored: swap left and right.
        upside_down: swap top and bottom.
        turn: `(2, 2)`: the output's offset from its middle times this is the offset in the box; None: not turned.
    """

    box: tuple[float, float, float, float]
    mirrored: bool = False
    upside_down: bool = False
    turn: NDArray[np.float64] | None = None


def sample_window(
    height: int, width: int, spec: PreprocessSpec, settings: AugmentSettings, rng: np.random.Generator
) -> Window:
    """Draw what part of a `height` x `width` photo is seen, and how it is turned."""
    box = _sample_box(height, width, spec, settings, rng)
    mirrored, upside_down = rng.random(2) < (settings.flip_horizontal, settings.flip_vertical)
    if rng.random() >= settings.warp:
        return Window(box, bool(mirrored), bool(upside_down))
    turn = _sample_turn(settings, rng)
    across, down = rng.uniform(-settings.translation, settings.translation, 2)
    across, down = across * (box[2] - box[0]), down * (box[3] - box[1])
    moved = box[0] + across, box[1] + down, box[2] + across, box[3] + down
    return Window(moved, bool(mirrored), bool(upside_down), turn)


def take_window(image: NDArray[np.uint8], window: Window, spec: PreprocessSpec) -> Image.Image:
    """Bring the window of an `(h, w, 3)` photo to the size of the network's input; outside, the photo is reflected."""
    size = spec.size[1], spec.size[0]
    if window.turn is None:
        taken = Image.fromarray(image).resize(size, Image.Resampling[spec.filter.upper()], box=window.box)
    else:
        taken = _transform(image, window.box, window.turn, size)
    if window.mirrored:
        taken = taken.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return taken.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if window.upside_down else taken


def pad_to_proportions(image: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.uint8]:
    """With `letterbox`, the photo with the bars that give it the network's proportions; otherwise the photo itself."""
    if spec.fit != "letterbox":
        return image
    left, top, right, bottom = visible_box(spec, *image.shape[:2])
    canvas = np.full((round(bottom - top), round(right - left), 3), spec.pad_value, np.uint8)
    row, column = (canvas.shape[0] - image.shape[0]) // 2, (canvas.shape[1] - image.shape[1]) // 2
    canvas[row : row + image.shape[0], column : column + image.shape[1]] = image
    return canvas


def _sample_box(
    height: int, width: int, spec: PreprocessSpec, settings: AugmentSettings, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    scale, ratio = rng.uniform(*settings.crop_scale), math.exp(rng.uniform(*np.log(settings.crop_ratio)))
    x, y = rng.random(2)
    left, top, right, bottom = _clip(visible_box(spec, height, width), height, width)
    if settings.crop_scale == settings.crop_ratio == (1.0, 1.0):
        return left, top, right, bottom
    # The largest region of the network's proportions, of which `visible_box` may show only the middle.
    margin = spec.crop_fraction if spec.fit == "crop" else 1.0
    box_width = min((right - left) / margin * math.sqrt(scale * ratio), width)
    box_height = min((bottom - top) / margin * math.sqrt(scale / ratio), height)
    left, top = x * (width - box_width), y * (height - box_height)
    return _clip((left, top, left + box_width, top + box_height), height, width)


def _clip(box: tuple[float, float, float, float], height: int, width: int) -> tuple[float, float, float, float]:
    return max(0.0, box[0]), max(0.0, box[1]), min(box[2], float(width)), min(box[3], float(height))


def _sample_turn(settings: AugmentSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    angle, shear = np.deg2rad(rng.uniform(-1, 1, 2) * (settings.rotation, settings.shear))
    zoom = math.exp(rng.uniform(*np.log(settings.zoom)))
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    skew = np.array([[1, math.tan(shear)], [0, 1]])
    turned: NDArray[np.float64] = rotation @ skew / zoom
    return turned


def _transform(
    image: NDArray[np.uint8], box: tuple[float, float, float, float], turn: NDArray[np.float64], size: tuple[int, int]
) -> Image.Image:
    scale = np.array([(box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]])
    matrix = scale[:, None] * turn  # photo pixels per output pixel
    middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    origin = middle - matrix @ (np.array(size) / 2)
    corners = origin + np.array([[0, 0], [size[0], 0], [0, size[1]], list(size)]) @ matrix.T
    # One more pixel on each side, for the neighbours that bilinear interpolation reads.
    low, high = np.floor(corners.min(axis=0)).astype(int) - 1, np.ceil(corners.max(axis=0)).astype(int) + 1
    region, shrink = Image.fromarray(_reflected(image, low, high)), np.hypot(*matrix)
    if shrink.max() > _SHRINK:
        old = np.array(region.size)
        region = region.resize(tuple(np.maximum(1, (old / np.maximum(shrink, 1)).astype(int))), Image.Resampling.BOX)
        factor = np.array(region.size) / old
    else:
        factor = np.ones(2)
    offset = (origin - low) * factor
    matrix = factor[:, None] * matrix
    data = (*matrix[0], offset[0], *matrix[1], offset[1])
    return region.transform(size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)


def _reflected(image: NDArray[np.uint8], low: NDArray[np.intp], high: NDArray[np.intp]) -> NDArray[np.uint8]:
    """The region from `low` to `high`, both `(x, y)`, of the photo and its reflections."""
    height, width = image.shape[:2]
    inside = image[max(0, low[1]) : min(height, high[1]), max(0, low[0]) : min(width, high[0])]
    rows = max(0, -low[1]), max(0, high[1] - height)
    columns = max(0, -low[0]), max(0, high[0] - width)
    return np.pad(inside, (rows, columns, (0, 0)), mode="symmetric") if any(rows + columns) else inside
