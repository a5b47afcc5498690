"""Views of a photo as another camera might have taken it: from above, on a belt or a floor, in hard light, moving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from photographers import Photos
from PIL import Image, ImageFilter

from binsight.imaging import PreprocessSpec, prepare_photo
from binsight.training.augment.backgrounds import find_foreground, make_backdrop
from binsight.training.augment.photo import augment_photo
from binsight.training.augment.settings import augment_strength
from binsight.training.photos import decode_for_augmentation, open_photo

__all__ = ["SPEC", "ViewMaker"]

SPEC: Final = PreprocessSpec(size=(256, 256), fit="stretch", filter="bilinear")
_STRONG: Final = augment_strength(
    "strong", crop_scale=(0.35, 1.0), brightness=0.35, contrast=0.35, hue=12, background=0.5, flip_vertical=0.15
)
_ABOVE: Final = replace(
    _STRONG,
    background=0.0,
    rotation=180,
    warp=0.8,
    flip_vertical=0.5,
    blur=0.3,
    downscale=0.3,
    downscale_factor=4.0,
    brightness=0.45,
    contrast=0.45,
)
_PASTED: Final = replace(_ABOVE, crop_scale=(0.6, 1.0), zoom=(0.9, 1.3))
_SIDE: Final = 300  # of what is pasted on, in pixels
_ABOVE_FROM: Final = 3  # the first view that is from above; those before are altered as in the first stage
_NOTHING: Final = -1

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ViewMaker:
    """Makes the views of photos; the same for the same photo and number.

    Attributes:
        photos: of which views are made.
    """

    photos: Photos
    anchors: NDArray[np.intp] = field(init=False)
    empties: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "anchors", self.photos.anchors())
        object.__setattr__(self, "empties", self.photos.empty_places())

    def view(self, number: int, photo: int) -> tuple[Picture, int]:
        """A picture, `(256, 256, 3)`, of view 0 the photo as it is; and which empty place is in it, or -1."""
        if number == 0:
            return open_photo(self.photos.paths[photo], partial(prepare_photo, spec=SPEC)), _NOTHING
        rng = np.random.default_rng([7, number, photo])
        image = self._open(photo)
        if number < _ABOVE_FROM:
            other = int(rng.choice(self.anchors))
            return augment_photo(image, SPEC, _STRONG, rng, other=lambda: self._open(other)), _NOTHING
        used, settings = _NOTHING, _PASTED
        if self.photos.classes[photo] == "not-waste" and rng.random() < 0.4:
            image = self._backdrop(rng)[0] if rng.random() < 0.3 else make_backdrop(_SIDE, _SIDE, rng)
        else:
            foreground = find_foreground(image) if rng.random() < 0.85 else None
            if foreground is None:
                settings = _ABOVE
            else:
                backdrop = partial(self._backdrop, rng)
                image, used = paste(image, foreground, backdrop, rng)
        return augment_photo(shine(move(image, rng), rng), SPEC, settings, rng), used

    def patch(self, photo: int) -> Picture:
        """A corner of a photo, mirrored until it covers all, or enlarged: a floor or a table with nothing on it."""
        rng = np.random.default_rng([13, int(photo)])
        image = self._open(photo)
        height, width = image.shape[:2]
        share = rng.uniform(0.22, 0.34)
        rows, columns = int(height * share), int(width * share)
        top, left = rng.integers(2, size=2) * (height - rows, width - columns)
        corner = image[top : top + rows, left : left + columns]
        if rng.random() < 0.6:
            margin = (0, max(0, _SIDE - rows)), (0, max(0, _SIDE - columns)), (0, 0)
            corner = np.pad(corner, margin, "symmetric")[:_SIDE, :_SIDE]
        else:
            corner = np.asarray(Image.fromarray(corner).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
        return augment_photo(shine(move(corner, rng), rng), SPEC, replace(_PASTED, erase=0.0), rng)

    def _open(self, photo: int) -> Picture:
        return open_photo(self.photos.paths[photo], partial(decode_for_augmentation, size=SPEC.size))

    def _backdrop(self, rng: np.random.Generator) -> tuple[Picture, int]:
        """A place with nothing in it, and which photo it is, if it is one."""
        if rng.random() < 0.5:
            used = int(rng.choice(self.empties))
            place = self._open(used)
            height, width = place.shape[:2]
            side = int(min(height, width) * rng.uniform(0.5, 1))
            top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
            part = Image.fromarray(place[top : top + side, left : left + side])
            part = part.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
            return np.asarray(part.rotate(90 * int(rng.integers(4))) if rng.random() < 0.5 else part), used
        if rng.random() < 0.35:
            other = int(rng.choice(self.anchors))
            return make_backdrop(_SIDE, _SIDE, rng, other=lambda: self._open(other)), _NOTHING
        return (make_backdrop(_SIDE, _SIDE, rng) * rng.uniform(0.25, 1)).astype(np.uint8), _NOTHING


def paste(
    image: Picture,
    foreground: NDArray[np.float32],
    backdrop: Callable[[], tuple[Picture, int]],
    rng: np.random.Generator,
) -> tuple[Picture, int]:
    """Turn the object and put it on a backdrop, smaller, half of the time with a shadow."""
    down, across = np.nonzero(foreground > 0.5)
    box = np.s_[down.min() : down.max() + 1, across.min() : across.max() + 1]
    cut = Image.fromarray(np.dstack([image[box], (foreground[box] * 255).astype(np.uint8)]), "RGBA")
    scale = _SIDE * rng.uniform(0.4, 0.95) / max(cut.size)
    cut = cut.resize((max(8, int(cut.width * scale)), max(8, int(cut.height * scale))), Image.Resampling.BILINEAR)
    cut = cut.rotate(rng.uniform(0, 360), expand=True, resample=Image.Resampling.BILINEAR)
    place, used = backdrop()
    canvas, mask = Image.fromarray(place).copy(), cut.getchannel("A")
    left = int((_SIDE - cut.width) * rng.uniform(0.3, 0.7))
    top = int((_SIDE - cut.height) * rng.uniform(0.3, 0.7))
    if rng.random() < 0.5:
        shadow = Image.new("L", (_SIDE, _SIDE), 0)
        shadow.paste(mask, (left + int(rng.integers(-8, 9)), top + int(rng.integers(-8, 9))))
        shadow = shadow.filter(ImageFilter.GaussianBlur(5)).point(lambda value: int(value * 0.6))
        canvas.paste((0, 0, 0), (0, 0), shadow)
    lit = np.clip(np.asarray(cut.convert("RGB")) * rng.uniform(0.7, 1.15), 0, 255).astype(np.uint8)
    canvas.paste(Image.fromarray(lit), (left, top), mask)
    return np.asarray(canvas), used


def move(image: Picture, rng: np.random.Generator) -> Picture:
    """Blur a fifth of the pictures as if the object had moved by 3 to 9 pixels."""
    if rng.random() > 0.2:
        return image
    steps = int(rng.integers(3, 10))
    across, down = rng.normal(size=2)
    length = np.hypot(across, down)
    across, down = across / length, down / length
    total = np.zeros(image.shape, np.float32)
    for step in range(steps):
        total += np.roll(image, (round(step * down), round(step * across)), axis=(0, 1))
    return (total / steps).astype(np.uint8)


def shine(image: Picture, rng: np.random.Generator) -> Picture:
    """Light a quarter of the pictures from one side."""
    if rng.random() > 0.25:
        return image
    height, width, _ = image.shape
    angle = rng.uniform(0, 2 * np.pi)
    down, across = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    ramp = 1 + rng.uniform(0.3, 1.0) * (np.cos(angle) * across + np.sin(angle) * down)
    lit: Picture = np.clip(image * ramp[..., None], 0, 255).astype(np.uint8)
    return lit
