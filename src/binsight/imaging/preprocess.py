"""What a network's input looks like, and the one implementation of it.

The parameters travel inside the model bundle (`docs/bundle-format.md`, *Preprocessing*), so training and predicting
cannot disagree. Geometry happens here, on 8-bit pixels; `normalise` is done inside the exported network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.errors import SpecError
from binsight.imaging.decode import ImageLimits, decode_photo

__all__ = [
    "PreprocessSpec",
    "least_size",
    "normalise",
    "prepare_photo",
    "resize_image",
    "resize_picture",
    "visible_box",
]

Fit = Literal["stretch", "crop", "letterbox"]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
ChannelOrder = Literal["rgb", "bgr"]

_CHOICES = {"fit": get_args(Fit), "filter": get_args(Filter), "channel_order": get_args(ChannelOrder)}
_MAX_SIZE = 4096
_MAX_FLOAT32 = float(np.finfo(np.float32).max)
# A JPEG is decoded at reduced scale down to this multiple of what the network sees. At 1 the result would depend on
# the phase of the 8x8 blocks; from 2 on, resizing hides it (figures: docs/results.md, "Reduced decoding").
_REDUCED_DECODE_MARGIN = 2.0


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """How a photo becomes a network's input.

    Attributes:
        size: `(height, width)` of the input in pixels.
        fit: `stretch` changes the proportions; `crop` cuts the middle out; `letterbox` keeps all and pads.
        crop_fraction: with `crop`: the share of the largest centred region of the right proportions that is kept, in
            [0.05, 1].
        filter: the resampling filter, anti-aliased when shrinking.
        pad_value: with `letterbox`: the grey of the bars, 0 to 255.
        mean: subtracted per channel, in 8-bit units, after `channel_order`.
        scale: multiplied per channel afterwards.
        channel_order: `rgb` or `bgr`.

    Raises:
        SpecError: listing every fault.
    """

    size: tuple[int, int]
    fit: Fit = "stretch"
    crop_fraction: float = 1.0
    filter: Filter = "bicubic"
    pad_value: int = 127
    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    scale: tuple[float, float, float] = (1 / 128, 1 / 128, 1 / 128)
    channel_order: ChannelOrder = "rgb"

    def __post_init__(self) -> None:
        if faults := _faults({field.name: getattr(self, field.name) for field in fields(self)}):
            raise SpecError("preprocess: " + "; ".join(faults))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form that `from_dict` reads back."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PreprocessSpec:
        """Build a specification from plain data; every key is required, none may be unknown.

        Raises:
            SpecError: listing every fault.
        """
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in data.items()}
        faults = [f"missing {key}" for key in sorted(known - set(values))]
        faults += [f"unknown key {key}" for key in sorted(map(str, set(values) - known))]
        faults += _faults(values)
        if faults:
            raise SpecError("preprocess: " + "; ".join(faults))
        return cls(**values)


def prepare_photo(data: bytes, spec: PreprocessSpec, *, limits: ImageLimits | None = None) -> NDArray[np.uint8]:
    """Decode a photo straight to the network's input: `resize_image(decode_image(data))`, but faster.

    A large JPEG is decoded at reduced scale first; see `decode_image` for what is accepted and raised.

    Returns:
        `(h, w, 3)` uint8 RGB of `spec.size`.
    """
    return resize_picture(decode_photo(data, limits=limits, min_size=least_size(spec)).picture, spec)


def least_size(spec: PreprocessSpec) -> tuple[int, int]:
    """`(height, width)` below which a photo may not be reduced before it becomes the network's input."""
    margin = _REDUCED_DECODE_MARGIN / (spec.crop_fraction if spec.fit == "crop" else 1.0)
    return round(spec.size[0] * margin), round(spec.size[1] * margin)


def resize_image(image: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.uint8]:
    """Bring an upright RGB picture to the size of the network's input.

    Args:
        image: `(h, w, 3)` uint8.
        spec: how.

    Returns:
        `(*spec.size, 3)` uint8 RGB.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"expected a (h, w, 3) uint8 picture, got {image.shape} {image.dtype}")
    return resize_picture(Image.fromarray(image), spec)


def resize_picture(picture: Image.Image, spec: PreprocessSpec) -> NDArray[np.uint8]:
    """The same for a Pillow picture of mode RGB, which need not be copied first."""
    return np.asarray(_resize(picture, spec))


def normalise(images: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.float32]:
    """`(x - mean) * scale` in the network's channel order: the reference for what an exported network does inside.

    Args:
        images: `(..., 3)` uint8 RGB.
        spec: the means and scales.

    Returns:
        `(..., 3)` float32.
    """
    ordered = images[..., ::-1] if spec.channel_order == "bgr" else images
    mean, scale = np.asarray(spec.mean, np.float32), np.asarray(spec.scale, np.float32)
    return (ordered.astype(np.float32) - mean) * scale


def visible_box(spec: PreprocessSpec, height: int, width: int) -> tuple[float, float, float, float]:
    """The region of a `height` x `width` photo that fills the network's input.

    Returns:
        `(left, top, right, bottom)` in pixels of the photo; beyond its borders where `letterbox` pads.
    """
    if spec.fit == "stretch":
        return 0.0, 0.0, float(width), float(height)
    scales = spec.size[0] / height, spec.size[1] / width
    scale = max(scales) / spec.crop_fraction if spec.fit == "crop" else min(scales)
    half_width, half_height = spec.size[1] / scale / 2, spec.size[0] / scale / 2
    return width / 2 - half_width, height / 2 - half_height, width / 2 + half_width, height / 2 + half_height


def _resize(picture: Image.Image, spec: PreprocessSpec) -> Image.Image:
    target = spec.size[1], spec.size[0]
    resample = Image.Resampling[spec.filter.upper()]
    if spec.fit == "letterbox":
        return _letterbox(picture, target, resample, spec.pad_value)
    left, top, right, bottom = visible_box(spec, picture.height, picture.width)
    # Rounding may put the box a hair outside the picture, which Pillow refuses.
    box = max(0.0, left), max(0.0, top), min(right, picture.width), min(bottom, picture.height)
    return picture.resize(target, resample, box=box)


def _letterbox(
    picture: Image.Image, target: tuple[int, int], resample: Image.Resampling, pad_value: int
) -> Image.Image:
    scale = min(target[0] / picture.width, target[1] / picture.height)
    inner = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    canvas = Image.new("RGB", target, (pad_value,) * 3)
    canvas.paste(picture.resize(inner, resample), ((target[0] - inner[0]) // 2, (target[1] - inner[1]) // 2))
    return canvas


def _faults(values: Mapping[str, Any]) -> list[str]:
    return [fault for key, value in values.items() if (fault := _fault(key, value))]


def _fault(key: str, value: Any) -> str | None:
    """What is wrong with one value; keys that are not known have none."""
    if key == "size" and not (_is_numbers(value, 2) and all(isinstance(n, int) and 1 <= n <= _MAX_SIZE for n in value)):
        return f"size must be two whole numbers from 1 to {_MAX_SIZE}, got {value!r}"
    if key in _CHOICES and not (isinstance(value, str) and value in _CHOICES[key]):
        return f"{key} must be one of {', '.join(_CHOICES[key])}, got {value!r}"
    if key == "crop_fraction" and not (_is_numbers((value,), 1) and 0.05 <= value <= 1):
        return f"crop_fraction must be in [0.05, 1], got {value!r}"
    if key == "pad_value" and not (type(value) is int and 0 <= value <= 255):
        return f"pad_value must be a whole number from 0 to 255, got {value!r}"
    if key in {"mean", "scale"} and not _is_numbers(value, 3):
        return f"{key} must be three finite float32 numbers"
    return None


def _is_numbers(values: object, count: int) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == count
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) <= _MAX_FLOAT32 for v in values)
    )
