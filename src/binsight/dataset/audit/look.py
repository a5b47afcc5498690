"""A few numbers per photo: how light, how sharp, how compressed, which colours at the border."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.dataset.views import FEW_SIDE, Views

__all__ = ["LOOK", "measure_look", "sharpness"]

LOOK: Final = (
    "width",
    "height",
    "bytes",
    "animated",
    "quantisation",
    "level_1",
    "level_5",
    "level_50",
    "level_95",
    "level_99",
    "clipped",
    "sharpness",
    "border_red",
    "border_green",
    "border_blue",
    "border_spread",
    "mean_red",
    "mean_green",
    "mean_blue",
)
"""What `measure_look` gives, in order.

`animated`: 1 where there are further pictures, else 0. `quantisation`: the mean of the JPEG luminance table, 1 for the
best quality, 0 for other formats. `level_p`: the luminance that p % of the pixels do not exceed. `clipped`: the share
of pixels at 254 or 255. `border_*`: the mean colour of the outer twentieth and how much its luminance varies.
"""

_LEVELS = (0.01, 0.05, 0.50, 0.95, 0.99)
_CLIPPED = 254
_WORKING_SIDE = 192
_STEP = 4  # pixels; an edge blurred over more is soft
_EDGE_SHARE = 0.995  # the sharpest edges decide: smooth objects on plain grounds have few
_LEAST_EDGE = 8  # 8-bit levels
_GRID = 64
_BORDER = 3  # of 64
_IS_BORDER = np.pad(np.zeros((_GRID - 2 * _BORDER,) * 2, bool), _BORDER, constant_values=True)
_RING = np.flatnonzero(_IS_BORDER)
_ONES = np.ones(len(_RING), np.float32)
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601


def measure_look(views: Views, size: int) -> NDArray[np.float32]:
    """The numbers named in `LOOK`.

    Args:
        views: of the photo.
        size: of its file, in bytes.
    """
    photo = views.photo
    cumulated = list(accumulate(views.grey.histogram()))
    levels = [bisect_left(cumulated, share * cumulated[-1]) for share in _LEVELS]
    clipped = (cumulated[-1] - cumulated[_CLIPPED - 1]) / cumulated[-1]
    header = photo.width, photo.height, size, photo.is_animated, photo.quantisation
    return np.array([*header, *levels, clipped, sharpness(views.grey), *_colours(views.few)], np.float32)


def sharpness(grey: Image.Image) -> float:
    """How much of an edge's height lies within one pixel of a picture 192 pixels long, in [0.25, 1].

    The ratio of the steepest differences over 1 pixel to those over 4: near 1 for a step, 1/4 for a ramp. Contrast
    drops out. 1 for a picture without edges, of which nothing can be said.
    """
    factor = _WORKING_SIDE / max(grey.size)
    if factor < 1:
        size = max(_STEP + 1, round(grey.width * factor)), max(_STEP + 1, round(grey.height * factor))
        grey = grey.resize(size, Image.Resampling.BOX)
    pixels = np.asarray(grey)
    far = _steepest(_differences(pixels, _STEP))
    if far < _LEAST_EDGE:
        return 1.0
    return min(1.0, max(1 / _STEP, _steepest(_differences(pixels, 1)) / far))


def _differences(pixels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """The absolute differences over `step` pixels along both axes, one after another; of every other row only."""
    across = pixels[::2, :-step], pixels[::2, step:]
    down = pixels[:-step:2], pixels[step::2]
    found = np.empty(across[0].size + down[0].size, np.uint8)
    parts = found[: across[0].size].reshape(across[0].shape), found[across[0].size :].reshape(down[0].shape)
    for (here, there), part in zip((across, down), parts, strict=True):
        np.subtract(np.maximum(here, there), np.minimum(here, there), out=part)
    return found


def _steepest(differences: NDArray[np.uint8]) -> int:
    """The difference that only the steepest few exceed; 0 of no differences."""
    if not len(differences):
        return 0
    # Pillow counts twice as fast as NumPy.
    counts = Image.frombuffer("L", (len(differences), 1), differences, "raw", "L", 0, 1).histogram()
    return bisect_left(list(accumulate(counts)), _EDGE_SHARE * len(differences))


def _colours(few: Image.Image) -> tuple[float, ...]:
    """Of the border the mean red, green and blue and how much its luminance varies; of all, the mean of each."""
    cells = np.asarray(few.reduce(FEW_SIDE // _GRID)).astype(np.float32)
    border = cells.reshape(-1, 3).take(_RING, axis=0)
    # Products add up several times faster than `mean` and `std` do on arrays this small.
    border_mean = (_ONES @ border) / len(border)
    luminance = (border - border_mean) @ _LUMINANCE
    mean = (_ONES[:_GRID] @ cells.reshape(_GRID, -1)).reshape(_GRID, 3).sum(axis=0) / _GRID**2
    return *border_mean.tolist(), math.sqrt(luminance @ luminance / len(border)), *mean.tolist()
