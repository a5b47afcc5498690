"""A short vector for the coarse look of a thumbnail: nearly the same for altered copies, and easy to turn and mirror.

It proposes pairs; `alignment` decides. The vector holds the 80 lowest frequencies of the discrete cosine transform
without the mean, so brightness and contrast drop out; the weight `1 + u + v` makes up for the fall of natural spectra.
Mirroring a picture changes the sign of its odd frequencies and a quarter turn swaps the axes, so the vectors of all
eight orientations come from one transform.

References:
    Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.2 (the DCT hash, of
    which this is the form before rounding to bits; rounding costs recall under cropping, see docs/audit.md).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ORIENTATIONS", "contrast", "describe", "orient_descriptors", "orient_images"]

ORIENTATIONS: Final = (
    "same",
    "mirrored",
    "upside down",
    "turned by 180 degrees",
    "transposed",
    "turned by 90 degrees clockwise",
    "turned by 90 degrees counterclockwise",
    "transposed over the other diagonal",
)
_FREQUENCIES: Final = 9


def describe(thumbnails: NDArray[np.float16]) -> NDArray[np.float32]:
    """Unit vectors of the lowest frequencies.

    Args:
        thumbnails: `(n, s, s)`, in 8-bit levels.

    Returns:
        `(n, 80)` float32 of length 1; zeros for a picture of one colour.
    """
    side = thumbnails.shape[-1]
    basis = _cosines(side)
    pixels = thumbnails.astype(np.float32)
    pixels -= pixels.mean(axis=(1, 2), keepdims=True)
    spectrum = basis @ pixels @ basis.T
    order = np.arange(_FREQUENCIES, dtype=np.float32)
    spectrum *= 1 + order[:, None] + order[None, :]
    flat = spectrum.reshape(len(thumbnails), _FREQUENCIES**2)[:, 1:]
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.where(length > 1e-3, flat / np.maximum(length, 1e-3), 0).astype(np.float32)


def contrast(thumbnails: NDArray[np.float16]) -> NDArray[np.float32]:
    """The standard deviation of each thumbnail's luminance, `(n,)`, in 8-bit levels."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    # A product of vectors, several times faster than `std` on half-precision numbers.
    result: NDArray[np.float32] = np.sqrt(np.einsum("ni,ni->n", flat, flat) / flat.shape[1])
    return result


def orient_descriptors(descriptors: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """What `describe` would give for the pictures brought into `ORIENTATIONS[orientation]`.

    Args:
        descriptors: `(n, 80)`.
        orientation: 0 to 7.
    """
    flat = np.zeros((len(descriptors), _FREQUENCIES * _FREQUENCIES), np.float32)
    flat[:, 1:] = descriptors
    spectrum = flat.reshape(len(descriptors), _FREQUENCIES, _FREQUENCIES)
    transposed, upside_down, mirrored = orientation >= 4, orientation % 4 >= 2, orientation % 2 == 1
    if transposed:
        spectrum = spectrum.transpose(0, 2, 1)
    signs = np.where(np.arange(_FREQUENCIES) % 2, np.float32(-1), np.float32(1))
    if upside_down:
        spectrum = spectrum * signs[:, None]
    if mirrored:
        spectrum = spectrum * signs[None, :]
    return np.ascontiguousarray(spectrum.reshape(len(descriptors), _FREQUENCIES**2)[:, 1:])


def orient_images(images: NDArray[np.float16], orientations: NDArray[np.intp]) -> NDArray[np.float16]:
    """Bring each square picture `(n, s, s, ...)` into its orientation `(n,)`, 0 to 7 of `ORIENTATIONS`."""
    result = images.copy()
    for orientation in np.unique(orientations):
        chosen = orientations == orientation
        some = images[chosen]
        if orientation >= 4:
            some = some.swapaxes(1, 2)
        if orientation % 4 >= 2:
            some = some[:, ::-1]
        if orientation % 2 == 1:
            some = some[:, :, ::-1]
        result[chosen] = some
    return result


def _cosines(side: int) -> NDArray[np.float32]:
    """The orthonormal DCT-II basis, `(9, side)`."""
    frequency, place = np.arange(_FREQUENCIES)[:, None], np.arange(side)[None, :]
    basis: NDArray[np.float64] = np.cos(np.pi * frequency * (2 * place + 1) / (2 * side)) * np.sqrt(2 / side)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)
