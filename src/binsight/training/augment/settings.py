"""How strongly photos are altered while a network trains on them, and the named strengths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final

from binsight.errors import SettingsError

__all__ = ["STRENGTHS", "AugmentSettings", "augment_strength"]

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """What `augment_photo` may do; the defaults alter nothing.

    A share is a probability per photo, in [0, 1]. Amounts are drawn uniformly from their range; ratios and zoom
    uniformly in their logarithm.

    Attributes:
        crop_scale: the range of the crop's area, as a share of the largest region with the network's proportions.
        crop_ratio: the range of the factor on the crop's proportions.
        flip_horizontal: share of photos that are mirrored.
        flip_vertical: share of photos that are put upside down.
        warp: share of photos that are rotated, sheared, zoomed and translated, by the four that follow.
        rotation: largest angle to either side, in degrees, at most 180.
        shear: largest angle to either side, in degrees, at most 60.
        zoom: the range of the factor; above 1 is closer.
        translation: largest shift, as a share of the crop's sides, at most 0.5; the photo is reflected at its borders.
        colour: share of photos whose colours are changed, by the five that follow.
        brightness: largest relative change of all values.
        contrast: largest relative change of the distance from the mean grey.
        saturation: largest relative change of the distance from grey.
        hue: largest turn of the hue, in degrees.
        white_balance: largest relative change of each channel by itself, as another lamp or camera makes it.
        grayscale: share of photos without colour.
        blur: share of photos that are blurred.
        blur_radius: largest radius, in pixels of the network's input.
        noise: share of photos with Gaussian noise.
        noise_level: largest standard deviation, of 255.
        downscale: share of photos that are shrunk and enlarged again.
        downscale_factor: largest factor.
        jpeg: share of photos that are compressed again.
        jpeg_quality: the range of the quality, 1 to 95.
        erase: share of photos of which a rectangle is covered.
        erase_area: the range of its area, as a share of the picture.
        background: share of photos on a plain background that are put before another one.

    Raises:
        SettingsError: listing every fault.
    """

    crop_scale: Range = (1.0, 1.0)
    crop_ratio: Range = (1.0, 1.0)
    flip_horizontal: float = 0.0
    flip_vertical: float = 0.0
    warp: float = 0.0
    rotation: float = 0.0
    shear: float = 0.0
    zoom: Range = (1.0, 1.0)
    translation: float = 0.0
    colour: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    white_balance: float = 0.0
    grayscale: float = 0.0
    blur: float = 0.0
    blur_radius: float = 1.5
    noise: float = 0.0
    noise_level: float = 10.0
    downscale: float = 0.0
    downscale_factor: float = 3.0
    jpeg: float = 0.0
    jpeg_quality: Range = (30, 90)
    erase: float = 0.0
    erase_area: Range = (0.02, 0.2)
    background: float = 0.0

    def __post_init__(self) -> None:
        if faults := [fault for field in fields(self) if (fault := _fault(field.name, getattr(self, field.name)))]:
            raise SettingsError("augmentation: " + "; ".join(faults))


# Field → the least and the largest allowed value; all others are shares or relative changes, in [0, 1].
_BOUNDS: Final[Mapping[str, Range]] = MappingProxyType(
    {
        "crop_scale": (0.01, 1),
        "crop_ratio": (0.1, 10),
        "rotation": (0, 180),
        "shear": (0, 60),
        "zoom": (0.25, 10),
        "translation": (0, 0.5),
        "hue": (0, 180),
        "blur_radius": (0, 50),
        "noise_level": (0, 128),
        "downscale_factor": (1, 16),
        "jpeg_quality": (1, 95),
        "erase_area": (0, 0.9),
    }
)
_RANGES: Final = ("crop_scale", "crop_ratio", "zoom", "jpeg_quality", "erase_area")


def _fault(name: str, value: Any) -> str | None:
    least, most = _BOUNDS.get(name, (0, 1))
    if name in _RANGES:
        if isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value)):
            low, high = value
            if least <= low <= high <= most:
                return None
        return f"{name} must be two rising numbers in [{least}, {most}], got {value!r}"
    if not _is_number(value) or not least <= value <= most:
        return f"{name} must be a number in [{least}, {most}], got {value!r}"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


STRENGTHS: Final[Mapping[str, AugmentSettings]] = MappingProxyType(
    {
        "none": AugmentSettings(),
        "light": AugmentSettings(
            crop_scale=(0.6, 1.0),
            crop_ratio=(0.8, 1.25),
            flip_horizontal=0.5,
            colour=0.8,
            brightness=0.2,
            contrast=0.2,
            saturation=0.2,
            hue=8,
        ),
        "strong": AugmentSettings(
            crop_scale=(0.3, 1.0),
            crop_ratio=(0.75, 1.33),
            flip_horizontal=0.5,
            flip_vertical=0.1,
            warp=0.5,
            rotation=30,
            shear=10,
            zoom=(0.75, 1.25),
            translation=0.1,
            colour=0.9,
            brightness=0.4,
            contrast=0.4,
            saturation=0.5,
            hue=20,
            white_balance=0.12,
            grayscale=0.05,
            blur=0.15,
            blur_radius=2.0,
            noise=0.15,
            noise_level=15,
            downscale=0.15,
            downscale_factor=3.0,
            jpeg=0.2,
            jpeg_quality=(25, 85),
            erase=0.2,
            erase_area=(0.02, 0.2),
            background=0.5,
        ),
    }
)


def augment_strength(name: str, **changes: Any) -> AugmentSettings:
    """The settings of a named strength, with some fields changed.

    Raises:
        SettingsError: there is no such strength or field, or a value is out of range.
    """
    if name not in STRENGTHS:
        raise SettingsError(f"augmentation must be one of {', '.join(STRENGTHS)}, got {name!r}")
    known = {field.name: getattr(STRENGTHS[name], field.name) for field in fields(AugmentSettings)}
    if unknown := sorted(set(changes) - set(known)):
        raise SettingsError(f"augmentation has no {', '.join(unknown)}; there are {', '.join(known)}")
    return AugmentSettings(**known | {key: tuple(v) if isinstance(v, list) else v for key, v in changes.items()})
