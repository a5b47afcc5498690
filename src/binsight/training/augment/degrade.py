"""Changes of colour and quality: what another lamp, lens, camera or messenger does to a photo.

Each function takes a Pillow image of mode RGB, settings and a generator, and returns an image of the same size.
"""

from __future__ import annotations

import io
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, JpegImagePlugin

from binsight.training.augment.settings import AugmentSettings

__all__ = ["change_colour", "colour_matrix", "degrade", "erase"]

# Rec. ITU-R BT.601: luma and the two colour differences of NTSC, Y, I and Q, from R, G and B.
_TO_YIQ: Final = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_FROM_YIQ: Final = np.linalg.inv(_TO_YIQ)
_LUMA: Final = _TO_YIQ[0]


def change_colour(picture: Image.Image, settings: AugmentSettings, rng: np.random.Generator) -> Image.Image:
    """Change brightness, contrast, saturation, hue and white balance in one pass, or take the colour away."""
    changed, gray = rng.random() < settings.colour, rng.random() < settings.grayscale
    if not changed and not gray:
        return picture
    brightness, contrast, saturation, hue, *channels = rng.uniform(-1, 1, 7) if changed else np.zeros(7)
    matrix = colour_matrix(
        gains=1 + settings.white_balance * np.array(channels),
        hue=settings.hue * hue,
        saturation=0.0 if gray else 1 + settings.saturation * saturation,
    )
    gain, slope = 1 + settings.brightness * brightness, 1 + settings.contrast * contrast
    mean = float(np.asarray(picture.resize((1, 1), Image.Resampling.BOX)).reshape(3) @ _LUMA) * gain
    rows = np.column_stack([matrix * gain * slope, np.full(3, mean * (1 - slope))])
    return picture.convert("RGB", tuple(map(float, rows.ravel())))


def colour_matrix(*, gains: NDArray[np.float64], hue: float, saturation: float) -> NDArray[np.float64]:
    """The `(3, 3)` matrix on RGB columns that scales each channel, then turns the hue and stretches the saturation.

    The hue turns in the plane of I and Q, which leaves the luma as it is.

    Args:
        gains: `(3,)`, factor of each channel.
        hue: in degrees.
        saturation: 0 is grey, 1 changes nothing.
    """
    angle = math.radians(hue)
    turn = np.eye(3)
    turn[1:, 1:] = saturation * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix: NDArray[np.float64] = _FROM_YIQ @ turn @ _TO_YIQ @ np.diag(gains)
    return matrix


def degrade(picture: Image.Image, settings: AugmentSettings, rng: np.random.Generator) -> Image.Image:
    """Shrink and enlarge, blur, add noise and compress again: each in its share of photos, in this order."""
    shares = settings.downscale, settings.blur, settings.noise, settings.jpeg
    # All is drawn before it is needed: what one step draws does not depend on whether another happens.
    chosen, amounts = rng.random(4) < shares, rng.random(4)
    if chosen[0]:
        picture = _downscale(picture, 1 + (settings.downscale_factor - 1) * amounts[0])
    if chosen[1]:
        picture = picture.filter(ImageFilter.GaussianBlur(float(settings.blur_radius * amounts[1])))
    if chosen[2]:
        picture = _add_noise(picture, settings.noise_level * amounts[2], rng)
    if chosen[3]:
        low, high = settings.jpeg_quality
        picture = _compress(picture, round(low + (high - low) * amounts[3]))
    return picture


def erase(image: NDArray[np.uint8], settings: AugmentSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cover a rectangle of an `(h, w, 3)` picture by one random colour, in its share of photos.

    References:
        Z. Zhong et al.: Random Erasing Data Augmentation, arXiv 1708.04896.
    """
    if rng.random() >= settings.erase:
        return image
    height, width = image.shape[:2]
    area, ratio = rng.uniform(*settings.erase_area), math.exp(rng.uniform(-math.log(3), math.log(3)))
    rows = min(height, round(height * math.sqrt(area * ratio)))
    columns = min(width, round(width * math.sqrt(area / ratio)))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    covered = image.copy()
    covered[top : top + rows, left : left + columns] = rng.integers(0, 256, 3, np.uint8)
    return covered


def _downscale(picture: Image.Image, factor: float) -> Image.Image:
    small = max(1, round(picture.width / factor)), max(1, round(picture.height / factor))
    return picture.resize(small, Image.Resampling.BILINEAR).resize(picture.size, Image.Resampling.BILINEAR)


def _add_noise(picture: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:
    values = np.asarray(picture) + np.float32(level) * rng.standard_normal((*picture.size[::-1], 3), dtype=np.float32)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _compress(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, JpegImagePlugin.JpegImageFile.format, quality=quality)
    buffer.seek(0)
    compressed = JpegImagePlugin.JpegImageFile(buffer)
    compressed.load()
    return compressed
