"""Photos of an object on a plain sheet, put before another background.

A network that sees every leaf on the same grey sheet learns the sheet. Where a photo's border is of one colour, that
colour is followed inwards; what is left is the object. Where the result is not trustworthy, the photo stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

__all__ = ["BackdropKind", "find_foreground", "make_backdrop", "put_before"]

BackdropKind = Literal["plain", "texture", "patch", "blurred"]
_KINDS: Final[tuple[BackdropKind, ...]] = ("plain", "texture", "patch", "blurred")

# All found by looking at the masks of the training photos of waste8.
_WORK_SIDE: Final = 112  # masks are found on the photo at this size: fast, and fine texture of the sheet is averaged
_BORDER_SHARE: Final = 0.04  # width of the border, of the side
_LUMA_WEIGHT: Final = 0.6  # shadows change the brightness of a sheet more than its colour
_LEAST_DISTANCE: Final = 16.0  # from the sheet, of 255, for a pixel to be the object
_NOISE_FACTOR: Final = 4.0  # ... or this many times the sheet's own deviation
_MOST_DISTANCE: Final = 40.0  # a sheet with more deviation is no sheet
_BORDER_AGREES: Final = 0.85  # least share of the border that is sheet
_AREA: Final = (0.04, 0.85)  # the object's share of the picture
_LARGEST_PART: Final = 0.7  # least share of the object's area in its largest part
_CLEAR_EDGE: Final = 0.75  # least share of the object's area that is far from the sheet
_SOLID: Final = 0.85  # least share of the area that closing its gaps would give; transparent bottles have holes
_BLUR_CELLS: Final = 12  # pixels to a side that are left of a blurred photo
_GAP: Final = 4  # width of the gaps that closing fills, in pixels of the work side, to either side


def find_foreground(image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Where the object is, in a photo on a plain background.

    Args:
        image: `(h, w, 3)` uint8.

    Returns:
        `(h, w)` float32 in [0, 1], 1 on the object, or None where there is no plain background or it cannot be told
        from the object.
    """
    height, width = image.shape[:2]
    scale = _WORK_SIDE / max(height, width)
    small_size = max(8, round(width * scale)), max(8, round(height * scale))
    small = np.asarray(Image.fromarray(image).resize(small_size, Image.Resampling.BOX), np.float32)
    border = _border(*small.shape[:2])
    # Most photos have no plain border: that is known before the rest is looked at.
    values, places = _opponent(small[border]), _places(*small.shape[:2])
    plane = _fit_plane(places[border], values)
    at_border = np.linalg.norm(values - places[border] @ plane, axis=1)
    threshold = max(_LEAST_DISTANCE, _NOISE_FACTOR * float(np.median(at_border)))
    if threshold > _MOST_DISTANCE or (at_border < threshold).mean() < _BORDER_AGREES:
        return None
    distance = np.linalg.norm(_opponent(small) - places @ plane, axis=2)
    sheet = ndimage.binary_propagation(border & (distance < threshold), mask=distance < threshold)
    foreground = ndimage.binary_opening(~sheet)
    if not _is_trustworthy(foreground, distance, threshold):
        return None
    # Half a pixel of the small mask is lost all around, so that no rim of the sheet comes along.
    soft = Image.fromarray((foreground * np.uint8(255)).astype(np.uint8)).filter(ImageFilter.BoxBlur(1))
    grown = np.asarray(soft.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    mask: NDArray[np.float32] = np.clip((grown - 128) / 100, 0, 1, dtype=np.float32)
    return mask


def make_backdrop(
    height: int, width: int, rng: np.random.Generator, *, other: Callable[[], NDArray[np.uint8]] | None = None
) -> NDArray[np.uint8]:
    """Draw a background: a plain colour with a gradient, a texture, a patch of another photo, or that photo blurred.

    Args:
        height: of the result, in pixels.
        width: of the result.
        rng: draws the kind and what it looks like.
        other: gives another photo, `(h, w, 3)` uint8; without it, the last two kinds are not drawn.

    Returns:
        `(height, width, 3)` uint8.
    """
    kind = _KINDS[rng.integers(len(_KINDS) if other is not None else 2)]
    if other is None or kind == "plain":
        octaves = (1,) if kind == "plain" else (2, 8, 32)
        return _texture(height, width, octaves, rng)
    if kind == "patch":
        return _patch(height, width, other(), rng)
    # Enlarging a few pixels blurs, and is faster than a filter.
    tiny = Image.fromarray(other()).resize((_BLUR_CELLS, _BLUR_CELLS), Image.Resampling.BOX)
    return np.asarray(tiny.resize((width, height), Image.Resampling.BICUBIC))


def put_before(
    image: NDArray[np.uint8], foreground: NDArray[np.float32], backdrop: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Lay the foreground of a photo over a backdrop of the same size."""
    mixed = backdrop + foreground[..., None] * (image.astype(np.float32) - backdrop)
    return (mixed + 0.5).astype(np.uint8)


def _border(height: int, width: int) -> NDArray[np.bool_]:
    rows, columns = max(1, round(height * _BORDER_SHARE)), max(1, round(width * _BORDER_SHARE))
    border = np.ones((height, width), np.bool_)
    border[rows:-rows, columns:-columns] = False
    return border


def _opponent(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness, red against green and yellow against blue, of `(..., 3)` RGB."""
    mixing = np.array([[_LUMA_WEIGHT / 3, 1, 0.5], [_LUMA_WEIGHT / 3, -1, 0.5], [_LUMA_WEIGHT / 3, 0, -1]], np.float32)
    return pixels @ mixing


def _places(height: int, width: int) -> NDArray[np.float32]:
    """`(height, width, 3)`: 1, and the place across and down, for a colour that changes linearly over the photo."""
    places = np.ones((height, width, 3), np.float32)
    places[..., 1] = np.linspace(-0.5, 0.5, width)
    places[..., 2] = np.linspace(-0.5, 0.5, height)[:, None]
    return places


def _fit_plane(places: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sheet's colour as a linear function of the place, `(3, 3)`.

    An object that touches the border must not bend it: the nearer pixels only are fitted to.
    """
    distance = np.linalg.norm(values - np.median(values, axis=0), axis=1)
    plane = np.zeros((3, 3), np.float32)
    for share in (0.6, 0.8):
        near = distance <= np.quantile(distance, share)
        chosen = places[near]
        plane = np.linalg.solve(chosen.T @ chosen + 1e-3 * np.eye(3, dtype=np.float32), chosen.T @ values[near])
        distance = np.linalg.norm(values - places @ plane, axis=1)
    return plane


def _is_trustworthy(foreground: NDArray[np.bool_], distance: NDArray[np.float32], threshold: float) -> bool:
    if not _AREA[0] <= foreground.mean() <= _AREA[1]:
        return False
    parts, count = ndimage.label(foreground)
    largest = np.bincount(parts.ravel(), minlength=count + 1)[1:].max()
    clear = (distance[foreground] > 1.5 * threshold).mean()
    closed = ndimage.binary_closing(np.pad(foreground, _GAP), iterations=_GAP)
    whole = foreground.sum() >= _SOLID * closed.sum()
    return bool(whole and largest >= _LARGEST_PART * foreground.sum() and clear >= _CLEAR_EDGE)


def _texture(height: int, width: int, octaves: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A colour with random changes on grids of so many cells, each smoothly enlarged."""
    colour, amount = rng.uniform(20, 235, 3), rng.uniform(8, 40)
    field = np.zeros((height, width), np.float32)
    for cells in octaves:
        grid = Image.fromarray(rng.standard_normal((cells + 1, cells + 1), dtype=np.float32))
        field += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
    field *= amount / np.sqrt(len(octaves))
    return np.clip(colour + field[..., None], 0, 255).astype(np.uint8)


def _patch(height: int, width: int, other: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A third of the other photo's sides, from a corner, mirrored until it covers all: its texture, not its object."""
    rows, columns = max(1, other.shape[0] // 3), max(1, other.shape[1] // 3)
    top, left = rng.integers(2, size=2) * (other.shape[0] - rows, other.shape[1] - columns)
    patch = other[top : top + rows, left : left + columns]
    return np.pad(patch, ((0, max(0, height - rows)), (0, max(0, width - columns)), (0, 0)), "symmetric")[
        :height, :width
    ]
