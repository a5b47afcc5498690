"""The photos that a network is trained on, and their pixels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.errors import DatasetError, ImageError
from binsight.imaging import decode_image, read_photo

__all__ = ["LabelledPhotos", "PhotoStore", "decode_for_augmentation", "draw_photo", "open_photo"]

_ROOM: Final = 1.5


@dataclass(frozen=True, eq=False)
class LabelledPhotos:
    """Photos and what is on them; `n` photos of `C` classes.

    Attributes:
        paths: n files.
        labels: `(n,)`, positions in the taxonomy, 0 to C - 1; -1 for a photo of none of the classes.
        biodegradable: `(n,)`, or None where the taxonomy leaves it open.
        sources: `(n,)`, a name for each, or None where nothing is known of where they come from.

    Raises:
        DatasetError: listing every fault.
    """

    paths: Sequence[Path]
    labels: NDArray[np.intp]
    biodegradable: NDArray[np.bool_] | None = None
    sources: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        faults, count = [], len(self.paths)
        if not count:
            faults.append("there are none")
        if self.labels.shape != (count,) or not np.issubdtype(self.labels.dtype, np.integer):
            faults.append(f"labels must be {count} whole numbers, got {self.labels.shape} {self.labels.dtype}")
        elif count and self.labels.min() < -1:
            faults.append(f"labels must be 0 or more, or -1 for none of the classes, got {self.labels.min()}")
        if self.biodegradable is not None and self.biodegradable.shape != (count,):
            faults.append(f"biodegradable must have {count} values, got {self.biodegradable.shape}")
        if self.sources is not None and self.sources.shape != (count,):
            faults.append(f"sources must have {count} values, got {self.sources.shape}")
        if faults:
            raise DatasetError("labelled photos: " + "; ".join(faults))

    def __len__(self) -> int:
        return len(self.paths)


class PhotoStore:
    """The pixels of photos, kept in memory as far as a budget goes; the rest is decoded again when needed.

    Args:
        paths: the photos' files.
        decode: turns an encoded photo into `(h, w, 3)` uint8.
        budget: bytes of pixels to keep.

    May be used from several threads.
    """

    def __init__(self, paths: Sequence[Path], decode: Callable[[bytes], NDArray[np.uint8]], *, budget: int) -> None:
        self._paths = paths
        self._decode = decode
        self._left = budget
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._paths)

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """The pixels of one photo; do not change them.

        Raises:
            InputError: it cannot be read.
            ImageError: it is refused; its path is in the message.
        """
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        pixels = open_photo(self._paths[index], self._decode)
        with self._lock:
            if index not in self._kept and pixels.nbytes <= self._left:
                self._left -= pixels.nbytes
                self._kept[index] = pixels
        return pixels


def open_photo(path: Path, decode: Callable[[bytes], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The pixels of one file.

    Raises:
        InputError: it cannot be read.
        ImageError: it is refused; its path is in the message.
    """
    data = read_photo(path)
    try:
        return decode(data)
    except ImageError as error:
        raise type(error)(f"{path}: {error}") from error


def draw_photo(
    paths: Sequence[Path], decode: Callable[[bytes], NDArray[np.uint8]], rng: np.random.Generator
) -> Callable[[], NDArray[np.uint8]] | None:
    """What gives the pixels of one of these files, another each time; None where there are none."""
    return (lambda: open_photo(paths[int(rng.integers(len(paths)))], decode)) if paths else None


def decode_for_augmentation(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode a photo to 1.5 times the network's input, if it is larger: room for crops, and no more.

    Args:
        data: the encoded photo.
        size: `(height, width)` of the network's input.

    Returns:
        `(h, w, 3)` uint8; no side was shrunk below 1.5 times that of `size`.

    Raises:
        ImageError: as `decode_image`.
    """
    least = round(_ROOM * size[0]), round(_ROOM * size[1])
    image = decode_image(data, min_size=least)
    scale = max(least[0] / image.shape[0], least[1] / image.shape[1])
    if scale >= 1:
        return image
    shrunk = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(Image.fromarray(image).resize(shrunk, Image.Resampling.BOX))
