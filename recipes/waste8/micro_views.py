"""What the micro network learns from: every time it sees a photo, a new view of it, as a cheap camera might give it.

All pictures are tensors `(n, 3, h, w)` of float32, pixels 0 to 255, on the device that trains.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

_LUMA: Final = (0.299, 0.587, 0.114)
_JPEG: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
"""Steps of the frequencies of brightness at a quality of 50: ITU-T T.81, table K.1."""
_BLOCK: Final = 8


def alter(photos: Tensor) -> Tensor:
    """A view of each photo in the same size: a window of it, turned, mirrored, in other light and colours.

    A quarter is shown whole. Of the others a window holds 35 to 100 % of the area; half are turned by up to 26 degrees.
    """
    count, size = len(photos), photos.shape[-1]
    ones, no = torch.ones(count, device=photos.device), torch.zeros(count, device=photos.device)
    whole = _chosen(photos, 0.25).flatten()
    area, ratio = _uniform(photos, 0.35, 1), torch.exp(_uniform(photos, math.log(3 / 4), math.log(4 / 3)))
    width, height = ((area * factor).sqrt().clamp(max=1) for factor in (ratio, 1 / ratio))
    width, height = torch.where(whole, ones, width), torch.where(whole, ones, height)
    right, down = (_uniform(photos, -1, 1) * (1 - side) for side in (width, height))
    right = torch.where(whole, _uniform(photos, -0.04, 0.04), right)
    angle = torch.where(_chosen(photos, 0.5).flatten() & ~whole, _uniform(photos, -0.45, 0.45), no)
    shear = torch.where(whole, no, _uniform(photos, -0.15, 0.15))
    flip, turn_over = (torch.where(_chosen(photos, share).flatten(), -ones, ones) for share in (0.5, 0.12))
    across = (width * angle.cos() * flip, (shear - width * angle.sin()) * turn_over, right)
    along = (height * angle.sin() * flip, height * angle.cos() * turn_over, down)
    matrix = torch.stack([torch.stack(across, dim=1), torch.stack(along, dim=1)], dim=1)
    grid = functional.affine_grid(matrix, [count, 3, size, size], align_corners=False)
    seen = functional.grid_sample(photos, grid, padding_mode="reflection", align_corners=False)
    return _recolour(seen).clamp(0, 255)


def _recolour(seen: Tensor) -> Tensor:
    """Other brightness and contrast of 70 %, saturation of 60 %, another tint of half of them."""
    seen = seen * (1 + _each(_uniform(seen, -0.35, 0.35)) * _chosen(seen, 0.7))
    mean = seen.mean(dim=(1, 2, 3), keepdim=True)
    seen = mean + (seen - mean) * (1 + _each(_uniform(seen, -0.35, 0.35)) * _chosen(seen, 0.7))
    grey = (seen * torch.tensor(_LUMA, device=seen.device).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    seen = grey + (seen - grey) * (1 + _each(_uniform(seen, -0.6, 0.5)) * _chosen(seen, 0.6))
    tint = torch.rand(len(seen), 3, 1, 1, device=seen.device) - 0.5
    return seen * (1 + 0.24 * tint * _chosen(seen, 0.5))


def degrade(views: Tensor) -> Tensor:
    """What a cheap camera might make of views: whole numbers.

    Other exposure of all, blur of a fifth, noise of a third, 16-bit colours of a third, compression of a sixth, a
    covered square of a fifth.
    """
    count, device, side = len(views), views.device, views.shape[-1]
    seen = views * _each(_uniform(views, 0.85, 1.15)) + _each(_uniform(views, -15, 15))
    weights = torch.tensor([1.0, 2.0, 1.0], device=device) / 4
    kernel = (weights[:, None] * weights).expand(3, 1, 3, 3)
    blurred = functional.conv2d(functional.pad(seen, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
    seen = torch.where(_chosen(seen, 0.2), blurred, seen)
    seen = seen + _chosen(seen, 0.33) * torch.randn_like(seen) * _each(_uniform(seen, 1, 12))
    seen = seen.clamp(0, 255).floor()
    steps = torch.tensor([8.0, 4.0, 8.0], device=device).view(1, 3, 1, 1)  # of RGB565
    seen = torch.where(_chosen(seen, 0.33), (seen / steps).floor() * steps + steps / 2, seen)
    seen = torch.where(_chosen(seen, 0.17), compress(seen, _uniform(seen, 25, 90)).round(), seen)
    covered = _chosen(seen, 0.2)
    length = _uniform(seen, side / 8, side / 3)
    for axis in (2, 3):
        begin = _each(torch.rand(count, device=device) * (side - length))
        place = torch.arange(side, device=device).view([-1 if i == axis else 1 for i in range(4)])
        covered = covered & (place >= begin) & (place < begin + _each(length))
    return torch.where(covered, torch.rand(count, 3, 1, 1, device=device) * 255, seen)


def compress(pictures: Tensor, quality: Tensor) -> Tensor:
    """What JPEG leaves of pictures whose sides are multiples of 8, at a `quality` in [1, 100] for each, `(n,)`.

    Every channel is rounded as brightness is; halved resolution of colours is left out.
    """
    count, channels, height, width = pictures.shape
    frequency = torch.arange(_BLOCK, dtype=torch.float32, device=pictures.device)
    cosines = torch.cos((2 * frequency + 1) * frequency[:, None] * math.pi / (2 * _BLOCK)) / 2
    cosines[0] /= math.sqrt(2)
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50)  # as libjpeg scales its tables
    table = (torch.tensor(_JPEG, device=pictures.device) * _each(factor)[..., 0]).clamp(min=1)
    blocks = (pictures - 128).view(count, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(3, 4)
    table = table.view(count, 1, 1, 1, _BLOCK, _BLOCK)
    rounded = ((cosines @ blocks @ cosines.T) / table).round() * table
    back = (cosines.T @ rounded @ cosines).transpose(3, 4).reshape(pictures.shape)
    return (back + 128).clamp(0, 255)


def _uniform(like: Tensor, low: float, high: float) -> Tensor:
    """A number for each picture, `(n,)`."""
    return torch.rand(len(like), device=like.device) * (high - low) + low


def _chosen(like: Tensor, share: float) -> Any:
    """Whether something is done to each picture, `(n, 1, 1, 1)`."""
    return _each(torch.rand(len(like), device=like.device) < share)


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
