"""A few numbers per photo: how light, how sharp, how compressed, which colours at the border."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from binsight.imaging.decode import sniff_format

__all__ = ["LOOK", "measure_look", "sharpness"]

LOOK: Final = (
    "width",
    "height",
    "bytes",
    "frames",
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

`quantisation`: the mean of the JPEG luminance table, 1 for the best quality, 0 for other formats. `level_p`: the
luminance that p % of the pixels do not exceed. `clipped`: the share of pixels at 254 or 255. `border_*`: the mean
colour of the outer twentieth and how much its luminance varies.
"""

_LEVELS = (0.01, 0.05, 0.50, 0.95, 0.99)
_WORKING_SIDE = 192
_STEP = 4  # pixels; an edge blurred over more is soft
_EDGE_SHARE = 0.995  # the sharpest edges decide: smooth objects on plain grounds have few
_LEAST_EDGE = 8  # 8-bit levels
_GRID = 64
_BORDER = 3  # of 64
_ANIMATED_FORMATS = frozenset({"GIF", "WebP", "PNG", "TIFF"})


def measure_look(image: NDArray[np.uint8], data: bytes) -> NDArray[np.float32]:
    """The numbers named in `LOOK`.

    Args:
        image: `(h, w, 3)` uint8, the decoded upright photo.
        data: what it was decoded from.
    """
    picture = Image.fromarray(image)
    grey = picture.convert("L")
    histogram = np.asarray(grey.histogram(), np.float64)
    cumulated = np.cumsum(histogram) / histogram.sum()
    levels = np.searchsorted(cumulated, _LEVELS)
    # Every fourth pixel of each cell is enough for mean colours, and several times faster.
    few = picture.resize((2 * _GRID, 2 * _GRID), Image.Resampling.NEAREST)
    small = np.asarray(few.reduce(2)).astype(np.float32)
    frames, quantisation = _read_header(data)
    return np.array(
        [
            image.shape[1],
            image.shape[0],
            len(data),
            frames,
            quantisation,
            *levels,
            histogram[254:].sum() / histogram.sum(),
            sharpness(grey),
            *_border(small),
            *small.mean(axis=(0, 1)),
        ],
        np.float32,
    )


def sharpness(grey: Image.Image) -> float:
    """How much of an edge's height lies within one pixel of a picture 192 pixels long, in [0.25, 1].

    The ratio of the steepest differences over 1 pixel to those over 4: near 1 for a step, 1/4 for a ramp. Contrast
    drops out. 1 for a picture without edges, of which nothing can be said.
    """
    factor = _WORKING_SIDE / max(grey.size)
    if factor < 1:
        size = max(_STEP + 1, round(grey.width * factor)), max(_STEP + 1, round(grey.height * factor))
        grey = grey.resize(size, Image.Resampling.BOX)
    near, far = _steepest(grey, 1), _steepest(grey, _STEP)
    return min(1.0, max(1 / _STEP, near / far)) if far >= _LEAST_EDGE else 1.0


def _steepest(grey: Image.Image, step: int) -> float:
    """The difference over `step` pixels, along either axis, that only the steepest few exceed."""
    width, height = grey.size
    counts = np.zeros(256)
    for x, y in ((step, 0), (0, step)):
        here, there = grey.crop((0, 0, width - x, height - y)), grey.crop((x, y, width, height))
        counts += ImageChops.difference(here, there).histogram()
    return float(np.searchsorted(np.cumsum(counts), _EDGE_SHARE * counts.sum())) if counts.sum() else 0.0


def _border(small: NDArray[np.float32]) -> list[float]:
    ring = np.ones((_GRID, _GRID), bool)
    ring[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    pixels = small[ring]
    luminance = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    return [*pixels.mean(axis=0).tolist(), float(luminance.std())]


def _read_header(data: bytes) -> tuple[int, float]:
    """Frames, and the mean of the luminance quantisation table."""
    name = sniff_format(data)
    if name != "JPEG" and name not in _ANIMATED_FORMATS:
        return 1, 0.0
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if name == "JPEG":
                tables = getattr(picture, "quantization", {})
                return 1, float(np.mean(tables[min(tables)])) if tables else 0.0
            return int(getattr(picture, "n_frames", 1)), 0.0
    except Exception:  # the pixels were decoded; an odd header leaves these two unknown
        return 1, 0.0
