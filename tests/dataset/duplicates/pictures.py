"""Pictures that are all different, and copies of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.dataset.duplicates.fingerprint import thumbnail
from binsight.dataset.views import Views
from binsight.imaging import Photo


def picture(seed: int, size: tuple[int, int] = (120, 160)) -> NDArray[np.uint8]:
    """A picture `(h, w, 3)` of coloured blobs with some detail, another one for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    fine = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    layers = [
        np.asarray(Image.fromarray(layer).resize((size[1], size[0]), Image.Resampling.BICUBIC)).astype(np.float32)
        for layer in (coarse, fine)
    ]
    return (0.7 * layers[0] + 0.3 * layers[1]).astype(np.uint8)


def cropped(image: NDArray[np.uint8], share: float = 0.05) -> NDArray[np.uint8]:
    """Without `share` of its width at the left and of its height at the top."""
    height, width = image.shape[:2]
    return image[round(share * height) :, round(share * width) :]


def brighter(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Each value times `factor`, cut off at 255."""
    return np.clip(image * factor, 0, 255).astype(np.uint8)


def smaller(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Rescaled."""
    size = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def views(image: NDArray[np.uint8]) -> Views:
    """What the checks are given of it."""
    height, width = image.shape[:2]
    return Views.of(Photo(Image.fromarray(image), "PNG", width, height))


def thumbnail_of(image: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Its thumbnail."""
    return thumbnail(views(image).grey)
