"""Photos made worse in ways that happen on a belt, each at three strengths.

Sizes are relative to the photo, so a strength means the same for a phone's picture and for a thumbnail.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from PIL.JpegImagePlugin import JpegImageFile

from binsight.imaging import PreprocessSpec, decode_image

__all__ = ["CORRUPTIONS", "Corruption", "corrupt", "working_copy"]

_WORKING_MARGIN = 2.0  # the shorter side of the copies that are corrupted, in sides of the network's input
_GREY = (127, 127, 127)

Apply = Callable[[Image.Image, float, np.random.Generator, PreprocessSpec], Image.Image]


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way of making photos worse.

    Attributes:
        name: in JSON.
        title: in a report.
        strengths: of severity 1, 2 and 3.
        text: how a strength is written: a format string.
        apply: takes the picture, a strength, a random generator and the network's input.
    """

    name: str
    title: str
    strengths: tuple[float, float, float]
    text: str
    apply: Apply


def working_copy(data: bytes, spec: PreprocessSpec) -> NDArray[np.uint8]:
    """The photo at about twice the size of the network's input: `(h, w, 3)` uint8.

    Raises:
        ImageError: the photo is refused; see `decode_image`.
    """
    side = round(_WORKING_MARGIN * max(spec.size))
    picture = Image.fromarray(decode_image(data, min_size=(side, side)))
    factor = side / min(picture.size)
    if factor < 1:
        size = max(side, round(picture.width * factor)), max(side, round(picture.height * factor))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture)


def corrupt(
    image: NDArray[np.uint8], corruption: Corruption, severity: int, spec: PreprocessSpec, *, seed: int
) -> NDArray[np.uint8]:
    """The photo made worse.

    Args:
        image: `(h, w, 3)` uint8.
        corruption: how.
        severity: 1, 2 or 3.
        spec: the network's input, to which `downscale` is relative.
        seed: of what is random: noise, the side to which it is turned, the place that is covered.

    Returns:
        uint8 RGB, of the same size but for `downscale`.
    """
    generator = np.random.default_rng(seed)
    strength = corruption.strengths[severity - 1]
    return np.asarray(corruption.apply(Image.fromarray(image), strength, generator, spec))


def _blur(picture: Image.Image, share: float, _: np.random.Generator, __: PreprocessSpec) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(share / 100 * min(picture.size)))


def _noise(picture: Image.Image, sigma: float, generator: np.random.Generator, _: PreprocessSpec) -> Image.Image:
    pixels = np.asarray(picture).astype(np.float32)
    pixels += sigma * generator.standard_normal(pixels.shape, np.float32)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _jpeg(picture: Image.Image, quality: float, _: np.random.Generator, __: PreprocessSpec) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=round(quality))
    return JpegImageFile(io.BytesIO(stream.getvalue())).convert("RGB")


def _brightness(picture: Image.Image, factor: float, _: np.random.Generator, __: PreprocessSpec) -> Image.Image:
    return picture.point([min(255, round(level * factor)) for level in range(256)] * 3)


def _rotation(picture: Image.Image, degrees: float, generator: np.random.Generator, _: PreprocessSpec) -> Image.Image:
    angle = degrees if generator.random() < 0.5 else -degrees
    # What turns into view is the mirror image of what is there: black corners would be a second corruption.
    reach = [min(side - 1, -(-side // 4)) for side in (picture.height, picture.width)]
    padded = np.pad(np.asarray(picture), [(reach[0],) * 2, (reach[1],) * 2, (0, 0)], mode="reflect")
    turned = Image.fromarray(padded).rotate(angle, Image.Resampling.BICUBIC)
    return turned.crop((reach[1], reach[0], reach[1] + picture.width, reach[0] + picture.height))


def _occlusion(picture: Image.Image, percent: float, generator: np.random.Generator, _: PreprocessSpec) -> Image.Image:
    side = (percent / 100) ** 0.5
    width, height = round(side * picture.width), round(side * picture.height)
    left = int(generator.integers(0, picture.width - width + 1))
    top = int(generator.integers(0, picture.height - height + 1))
    covered = picture.copy()
    covered.paste(_GREY, (left, top, left + width, top + height))
    return covered


def _downscale(picture: Image.Image, divisor: float, _: np.random.Generator, spec: PreprocessSpec) -> Image.Image:
    factor = min(1.0, max(spec.size) / divisor / min(picture.size))
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return picture.resize(size, Image.Resampling.BOX)


CORRUPTIONS = (
    Corruption("blur", "Gaussian blur", (0.5, 1.0, 2.0), "radius {:g} % of the side", _blur),
    Corruption("noise", "Noise", (12, 24, 48), "deviation {:g} of 255", _noise),
    Corruption("jpeg", "JPEG compression", (30, 15, 7), "quality {:g}", _jpeg),
    Corruption("brighter", "Brighter", (1.3, 1.6, 2.0), "{:g} times as bright", _brightness),
    Corruption("darker", "Darker", (0.7, 0.5, 0.3), "{:g} times as bright", _brightness),
    Corruption("rotation", "Small rotation", (5, 10, 20), "{:g}° to either side", _rotation),
    Corruption("occlusion", "Occlusion", (5, 10, 20), "{:g} % covered grey", _occlusion),
    Corruption("downscale", "Low resolution", (2, 4, 8), "1/{:g} of the input", _downscale),
)
