"""What the micro network learns from: altered views of photos, and what the teacher says of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.imaging import PreprocessSpec, prepare_photo, resize_image
from binsight.predictor import Predictor
from binsight.training.augment.photo import augment_photo
from binsight.training.augment.settings import AugmentSettings
from binsight.training.photos import decode_for_augmentation, open_photo

Pictures = NDArray[np.uint8]
_BATCH = 16
_STEPS = np.array([8, 4, 8], np.uint8)  # of RGB565, which a microcontroller's camera gives


class Views:
    """Views of photos, made when they are first asked for and kept in files.

    Args:
        photos: files.
        spec: how the teacher sees photos; views are made in its size, then shrunk.
        augment: how photos are altered in all views but number 0.
        side: of the views in pixels.
        folder: where they are kept.
        seed: of the alterations.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        spec: PreprocessSpec,
        augment: AugmentSettings,
        *,
        side: int,
        folder: Path,
        seed: int,
    ) -> None:
        self._photos, self._spec, self._augment = photos, spec, augment
        self._small = PreprocessSpec(size=(side, side), fit="stretch", filter="bilinear")
        self._folder, self._seed = folder, seed

    def view(self, number: int) -> Pictures:
        """All photos as view `number` shows them, `(n, side, side, 3)`."""
        return self._kept(f"view-{self._seed}-{number}", lambda: self._pictures(number))

    def answers(self, number: int, teacher: Predictor) -> NDArray[np.float32]:
        """What the teacher says of the photos in view `number`: `(n, classes)` logits, divided by its temperature."""
        return self._kept(f"answers-{self._seed}-{number}", lambda: self._ask(number, teacher))

    def _kept(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        path = self._folder / f"{name}.npy"
        if not path.exists():
            made = make()
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".part.npy")
            np.save(draft, made, allow_pickle=False)
            draft.replace(path)
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if len(found) != len(self._photos):
            raise SystemExit(f"{path} is of {len(found)} other photos; remove {self._folder}")
        return found

    def _pictures(self, number: int) -> Pictures:
        made = np.empty((len(self._photos), *self._small.size, 3), np.uint8)
        for i in range(len(made)):
            made[i] = resize_image(self._picture(number, i), self._small)
        return made

    def _ask(self, number: int, teacher: Predictor) -> NDArray[np.float32]:
        answers = []
        for begin in range(0, len(self._photos), _BATCH):
            rows = range(begin, min(begin + _BATCH, len(self._photos)))
            answers.append(teacher.run(np.stack([self._picture(number, i) for i in rows]), ["logits"]).logits)
        return (np.concatenate(answers) / teacher.bundle.manifest.temperature).astype(np.float32)

    def _picture(self, number: int, index: int) -> Pictures:
        spec = self._spec
        if number == 0:
            return open_photo(self._photos[index], partial(prepare_photo, spec=spec))
        decode = partial(decode_for_augmentation, size=spec.size)
        rng = np.random.default_rng([self._seed, number, index])
        other = self._photos[int(rng.integers(len(self._photos)))]
        picture = open_photo(self._photos[index], decode)
        return augment_photo(picture, spec, self._augment, rng, other=partial(open_photo, other, decode))


def degrade_batch(pictures: Pictures, size: int, rng: np.random.Generator) -> Pictures:
    """A window of each picture, mirrored or not, as a cheap camera might see it: `(n, size, size, 3)`.

    Brightness, contrast and channels of all, blur of a fifth, noise of a third, 16-bit colours of a third, compression
    of a sixth, a covered square of a fifth.
    """
    count, room = len(pictures), pictures.shape[1] - size
    corners = rng.integers(0, room + 1, (count, 2))
    windows = [p[y : y + size, x : x + size] for p, (y, x) in zip(pictures, corners, strict=True)]
    values = np.stack([w[:, ::-1] if mirror else w for w, mirror in zip(windows, rng.random(count) < 0.5, strict=True)])
    values = values.astype(np.float32)
    slope = rng.uniform(0.8, 1.2, (count, 1, 1, 1)) * rng.uniform(0.94, 1.06, (count, 1, 1, 3))
    values = values * slope.astype(np.float32) + rng.uniform(-15, 15, (count, 1, 1, 1)).astype(np.float32)
    for i in np.flatnonzero(rng.random(count) < 0.2):
        values[i] = _blur(values[i])
    for i in np.flatnonzero(rng.random(count) < 0.33):
        values[i] += rng.standard_normal(values[i].shape, np.float32) * np.float32(rng.uniform(1, 12))
    degraded = values.clip(0, 255).astype(np.uint8)
    coarse = rng.random(count) < 0.33
    degraded[coarse] = degraded[coarse] // _STEPS * _STEPS + _STEPS // 2
    for i in np.flatnonzero(rng.random(count) < 0.17):
        degraded[i] = _compress(degraded[i], int(rng.integers(25, 90)))
    for i in np.flatnonzero(rng.random(count) < 0.2):
        side = int(rng.integers(size // 8, size // 3))
        y, x = rng.integers(0, size - side, 2)
        degraded[i, y : y + side, x : x + side] = rng.integers(0, 256, 3)
    return degraded


def _blur(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of each pixel and its neighbours, weighted 1 2 1 along both axes."""
    for axis in (0, 1):
        picture = (2 * picture + np.roll(picture, 1, axis) + np.roll(picture, -1, axis)) / np.float32(4)
    return picture


def _compress(picture: Pictures, quality: int) -> Pictures:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
