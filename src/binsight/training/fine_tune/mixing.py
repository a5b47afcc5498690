"""Mixed photos with mixed labels: mixup lays one over the other, cutmix puts a part of one into the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from binsight.training.fine_tune.settings import FineTuneSettings

__all__ = ["mix_batch"]

Targets = Mapping[str, NDArray[np.float32]]


def mix_batch(
    images: NDArray[np.uint8], targets: Targets, settings: FineTuneSettings, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.float32]]]:
    """Mix each photo with the one at the same place of the reversed batch, in the share of photos that settings say.

    Args:
        images: `(b, h, w, 3)`.
        targets: of each output, `(b, k)`.
        settings: `mixup_alpha`, `cutmix_alpha`, `mix`.
        rng: draws which, and how much of each.

    Returns:
        Images and targets of the same shapes; each target is mixed by the areas or shares of its two photos.

    References:
        Zhang et al. 2018, arXiv 1710.09412; Yun et al. 2019, arXiv 1905.04899.
    """
    alphas = settings.mixup_alpha, settings.cutmix_alpha
    if not any(alphas) or not settings.mix:
        return images, dict(targets)
    cut = bool(rng.random() < 0.5) if all(alphas) else not alphas[0]
    kept = rng.beta(alphas[cut], alphas[cut], len(images)).astype(np.float32)
    kept[rng.random(len(images)) >= settings.mix] = 1
    mixed, kept = _cutmix(images, kept, rng) if cut else (_mixup(images, kept), kept)
    return mixed, {name: kept[:, None] * t + (1 - kept[:, None]) * t[::-1] for name, t in targets.items()}


def _mixup(images: NDArray[np.uint8], kept: NDArray[np.float32]) -> NDArray[np.uint8]:
    mixed = np.empty_like(images)
    for i, share in enumerate(kept):  # one at a time, so that floats of one photo only are in memory
        mixed[i] = images[i] if share == 1 else share * images[i] + (1 - share) * images[-1 - i] + np.float32(0.5)
    return mixed


def _cutmix(
    images: NDArray[np.uint8], kept: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Also gives the shares that are really kept: a rectangle may reach beyond the border, and is cut there."""
    height, width = images.shape[1:3]
    mixed, shares = images.copy(), kept.copy()
    sides = np.sqrt(1 - kept)
    centres = rng.random((len(images), 2))
    for i in np.flatnonzero(kept < 1):
        (y, x), rows, columns = centres[i] * (height, width), sides[i] * height / 2, sides[i] * width / 2
        top, bottom = max(0, round(y - rows)), min(height, round(y + rows))
        left, right = max(0, round(x - columns)), min(width, round(x + columns))
        mixed[i, top:bottom, left:right] = images[-1 - i, top:bottom, left:right]
        shares[i] = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, shares
