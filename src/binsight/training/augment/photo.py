"""A photo as it might have been taken otherwise: what a network sees of it while it trains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from binsight.imaging import PreprocessSpec
from binsight.training.augment.above import see_from_above
from binsight.training.augment.backgrounds import find_foreground, make_backdrop, put_before
from binsight.training.augment.degrade import change_colour, degrade, erase
from binsight.training.augment.settings import AugmentSettings
from binsight.training.augment.warp import pad_to_proportions, sample_window, take_window

__all__ = ["augment_photo"]


def augment_photo(
    image: NDArray[np.uint8],
    spec: PreprocessSpec,
    settings: AugmentSettings,
    rng: np.random.Generator,
    *,
    other: Callable[[], NDArray[np.uint8]] | None = None,
    place: Callable[[], NDArray[np.uint8]] | None = None,
) -> NDArray[np.uint8]:
    """Alter a photo at random and bring it to the size of the network's input.

    Settings that alter nothing give what `resize_image` gives; with `letterbox`, up to a fraction of a pixel. The same
    generator state gives the same picture.

    Args:
        image: `(h, w, 3)` uint8, upright RGB, best at about the size of the network's input: time grows with it.
        spec: how photos are prepared for the network; crops keep to its `fit`.
        settings: what may be altered, and how far.
        rng: draws it.
        other: gives another photo to take a new background from, `(h, w, 3)` uint8; called when one is needed.
        place: likewise a photo of an empty place, to paste an object on.

    Returns:
        `(*spec.size, 3)` uint8 RGB.
    """
    if settings.above and rng.random() < settings.above:
        image, settings = see_from_above(image, settings, rng, other=other, place=place)
    if settings.background and rng.random() < settings.background:
        image = _replace_background(image, rng, other)
    image = pad_to_proportions(image, spec)
    height, width, _ = image.shape
    window = sample_window(height, width, spec, settings, rng)
    picture = change_colour(take_window(image, window, spec), settings, rng)
    return erase(np.asarray(degrade(picture, settings, rng)), settings, rng)


def _replace_background(
    image: NDArray[np.uint8], rng: np.random.Generator, other: Callable[[], NDArray[np.uint8]] | None
) -> NDArray[np.uint8]:
    foreground = find_foreground(image)
    if foreground is None:
        return image
    height, width, _ = image.shape
    return put_before(image, foreground, make_backdrop(height, width, rng, other=other))
