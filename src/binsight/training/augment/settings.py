"""How strongly photos are altered while a network trains on them, and the named strengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from binsight.errors import SettingsError
from binsight.settings import check_section, setting, suggest

__all__ = ["STRENGTHS", "AugmentSettings", "augment_strength"]

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """What `augment_photo` may do; the defaults alter nothing.

    A share is a probability per photo, in [0, 1]. Amounts are drawn uniformly from their range; ratios and zoom
    uniformly in their logarithm.

    Raises:
        SettingsError: listing every fault.
    """

    crop_scale: Range = setting(
        (1.0, 1.0),
        "Range of the crop's area, as a share of the largest region with the network's proportions.",
        low=0.01,
        high=1,
        pair=True,
    )
    crop_ratio: Range = setting(
        (1.0, 1.0), "Range of the factor on the crop's proportions.", low=0.1, high=10, pair=True
    )
    flip_horizontal: float = setting(0.0, "Share of photos that are mirrored.", low=0, high=1)
    flip_vertical: float = setting(0.0, "Share of photos that are put upside down.", low=0, high=1)
    warp: float = setting(
        0.0, "Share of photos that are rotated, sheared, zoomed and translated, by the four that follow.", low=0, high=1
    )
    rotation: float = setting(0.0, "Largest angle to either side, in degrees.", low=0, high=180)
    shear: float = setting(0.0, "Largest angle to either side, in degrees.", low=0, high=60)
    zoom: Range = setting((1.0, 1.0), "Range of the factor; above 1 is closer.", low=0.25, high=10, pair=True)
    translation: float = setting(
        0.0, "Largest shift, as a share of the crop's sides; the photo is reflected at its borders.", low=0, high=0.5
    )
    colour: float = setting(0.0, "Share of photos whose colours are changed, by the five that follow.", low=0, high=1)
    brightness: float = setting(0.0, "Largest relative change of all values.", low=0, high=1)
    contrast: float = setting(0.0, "Largest relative change of the distance from the mean grey.", low=0, high=1)
    saturation: float = setting(0.0, "Largest relative change of the distance from grey.", low=0, high=1)
    hue: float = setting(0.0, "Largest turn of the hue, in degrees.", low=0, high=180)
    white_balance: float = setting(
        0.0, "Largest relative change of each channel by itself, as another lamp makes it.", low=0, high=1
    )
    grayscale: float = setting(0.0, "Share of photos without colour.", low=0, high=1)
    blur: float = setting(0.0, "Share of photos that are blurred.", low=0, high=1)
    blur_radius: float = setting(1.5, "Largest radius, in pixels of the network's input.", low=0, high=50)
    noise: float = setting(0.0, "Share of photos with Gaussian noise.", low=0, high=1)
    noise_level: float = setting(10.0, "Largest standard deviation, of 255.", low=0, high=128)
    downscale: float = setting(0.0, "Share of photos that are shrunk and enlarged again.", low=0, high=1)
    downscale_factor: float = setting(3.0, "Largest factor.", low=1, high=16)
    jpeg: float = setting(0.0, "Share of photos that are compressed again.", low=0, high=1)
    jpeg_quality: Range = setting((30.0, 90.0), "Range of the quality.", low=1, high=95, pair=True)
    erase: float = setting(0.0, "Share of photos of which a rectangle is covered.", low=0, high=1)
    erase_area: Range = setting(
        (0.02, 0.2), "Range of its area, as a share of the picture.", low=0, high=0.9, pair=True
    )
    background: float = setting(
        0.0, "Share of photos on a plain background that are put before another one.", low=0, high=1
    )
    above: float = setting(
        0.0,
        "Share of photos seen as if from above: turned any way, moving, in hard light; what stands on a plain "
        "background is pasted on another, half of the time on one of data.backdrops.",
        low=0,
        high=1,
    )

    def __post_init__(self) -> None:
        check_section(self, "augment")


STRENGTHS: Final[Mapping[str, AugmentSettings]] = {
    "none": AugmentSettings(),
    "light": AugmentSettings(
        crop_scale=(0.6, 1.0),
        crop_ratio=(0.8, 1.25),
        flip_horizontal=0.5,
        colour=0.8,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=8.0,
    ),
    "strong": AugmentSettings(
        crop_scale=(0.3, 1.0),
        crop_ratio=(0.75, 1.33),
        flip_horizontal=0.5,
        flip_vertical=0.1,
        warp=0.5,
        rotation=30.0,
        shear=10.0,
        zoom=(0.75, 1.25),
        translation=0.1,
        colour=0.9,
        brightness=0.4,
        contrast=0.4,
        saturation=0.5,
        hue=20.0,
        white_balance=0.12,
        grayscale=0.05,
        blur=0.15,
        blur_radius=2.0,
        noise=0.15,
        noise_level=15.0,
        downscale=0.15,
        downscale_factor=3.0,
        jpeg=0.2,
        jpeg_quality=(25.0, 85.0),
        erase=0.2,
        erase_area=(0.02, 0.2),
        background=0.5,
    ),
}


def augment_strength(name: str, **changes: Any) -> AugmentSettings:
    """The settings of a named strength, with some fields changed.

    Raises:
        SettingsError: there is no such strength or field, or a value is out of range.
    """
    if name not in STRENGTHS:
        raise SettingsError(f"augment.strength: expected one of {', '.join(STRENGTHS)}, got {name!r}")
    known = {field.name: getattr(STRENGTHS[name], field.name) for field in fields(AugmentSettings)}
    if unknown := sorted(set(changes) - set(known)):
        raise SettingsError("; ".join(f"no setting augment.{word}; {suggest(word, known)}" for word in unknown))
    return AugmentSettings(**known | {key: tuple(v) if isinstance(v, list) else v for key, v in changes.items()})
