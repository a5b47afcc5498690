"""A photo as a camera above a belt or a floor might have taken it: turned any way, moving, in hard light.

Where the object stands on a plain sheet it is cut out, turned, and pasted on an empty place, smaller, perhaps with a
shadow. So a network meets the places of sorting machines with objects of other people's photos.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from binsight.training.augment.backgrounds import find_foreground, make_backdrop
from binsight.training.augment.settings import AugmentSettings

__all__ = ["see_from_above"]

Picture = NDArray[np.uint8]
Source = Callable[[], Picture]

_SIDE: Final = 300  # of what is pasted on, in pixels
_PASTED, _REAL, _BY_PHOTO, _SHADED, _MOVING, _LIT = 0.85, 0.5, 0.35, 0.5, 0.2, 0.25  # shares
_LEAST: Final = 8  # pixels of an object's sides


def see_from_above(
    image: Picture,
    settings: AugmentSettings,
    rng: np.random.Generator,
    *,
    other: Source | None = None,
    place: Source | None = None,
) -> tuple[Picture, AugmentSettings]:
    """The photo from above, and how it is to be altered further: turned to any angle, in worse light and focus.

    Args:
        image: `(h, w, 3)` uint8.
        settings: how it would be altered otherwise.
        rng: draws everything.
        other: gives another photo to make a backdrop from; without it, backdrops are plain or textured.
        place: gives a photo of an empty place, `(h, w, 3)` uint8; half of the cut-out objects are pasted on one.
    """
    wild = replace(
        settings, background=0.0, rotation=180, warp=0.8, flip_vertical=0.5, blur=0.3, downscale=0.3,
        downscale_factor=4.0, brightness=0.45, contrast=0.45,
    )  # fmt: skip
    foreground = find_foreground(image) if rng.random() < _PASTED else None
    if foreground is not None:
        wild = replace(wild, crop_scale=(0.6, 1.0), zoom=(0.9, 1.3))  # it was made smaller already
        image = _paste(image, foreground, lambda: _backdrop(rng, other, place), rng)
    return _shine(_move(image, rng), rng), wild


def _backdrop(rng: np.random.Generator, other: Source | None, place: Source | None) -> Picture:
    """A square of an empty place, turned by right angles, or one that is made, often dark as belts are."""
    if place is not None and rng.random() < _REAL:
        photo = place()
        side = int(min(photo.shape[:2]) * rng.uniform(0.5, 1))
        top, left = (int(rng.integers(length - side + 1)) for length in photo.shape[:2])
        part = np.rot90(photo[top : top + side, left : left + side], int(rng.integers(4)))
        return np.asarray(Image.fromarray(part).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    if other is not None and rng.random() < _BY_PHOTO:
        return make_backdrop(_SIDE, _SIDE, rng, other=other)
    return (make_backdrop(_SIDE, _SIDE, rng) * rng.uniform(0.25, 1)).astype(np.uint8)


def _paste(image: Picture, foreground: NDArray[np.float32], backdrop: Source, rng: np.random.Generator) -> Picture:
    """Turn the object and put it on a backdrop, `(_SIDE, _SIDE, 3)`, half of the time with a shadow."""
    down, across = np.nonzero(foreground > 0.5)
    box = np.s_[down.min() : down.max() + 1, across.min() : across.max() + 1]
    cut = Image.fromarray(np.dstack([image[box], (foreground[box] * 255).astype(np.uint8)]))
    scale = _SIDE * rng.uniform(0.4, 0.95) / max(cut.size)
    width, height = (max(_LEAST, int(length * scale)) for length in cut.size)
    cut = cut.resize((width, height), Image.Resampling.BILINEAR)
    cut = cut.rotate(rng.uniform(0, 360), expand=True, resample=Image.Resampling.BILINEAR)
    canvas, mask = Image.fromarray(backdrop()).copy(), cut.getchannel("A")
    left, top = (int((_SIDE - length) * rng.uniform(0.3, 0.7)) for length in cut.size)
    if rng.random() < _SHADED:
        shadow = Image.new("L", canvas.size, 0)
        shadow.paste(mask, (left + int(rng.integers(-8, 9)), top + int(rng.integers(-8, 9))))
        canvas.paste((0, 0, 0), (0, 0), shadow.filter(ImageFilter.GaussianBlur(5)).point(lambda value: value * 0.6))
    lit = np.clip(np.asarray(cut.convert("RGB")) * rng.uniform(0.7, 1.15), 0, 255).astype(np.uint8)
    canvas.paste(Image.fromarray(lit), (left, top), mask)
    return np.asarray(canvas)


def _move(image: Picture, rng: np.random.Generator) -> Picture:
    """Some pictures blurred as if the object had moved by 3 to 9 pixels."""
    if rng.random() > _MOVING:
        return image
    steps, direction = int(rng.integers(3, 10)), rng.normal(size=2)
    direction /= np.hypot(*direction)
    shifts = [tuple(np.rint(step * direction).astype(int)) for step in range(steps)]
    total = sum(np.roll(image, shift, axis=(0, 1)).astype(np.float32) for shift in shifts)
    return (np.asarray(total) / steps).astype(np.uint8)


def _shine(image: Picture, rng: np.random.Generator) -> Picture:
    """Some pictures lit from one side."""
    if rng.random() > _LIT:
        return image
    height, width, _ = image.shape
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.0)
    down, across = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)
    ramp = 1 + strength * (np.cos(angle) * across + np.sin(angle) * down)
    lit: Picture = np.clip(image * ramp[..., None], 0, 255).astype(np.uint8)
    return lit
