"""Augmented photos in batches, the same for the same seed whatever the number of workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from binsight.imaging import PreprocessSpec
from binsight.predictor import run_in_order
from binsight.training.augment.photo import augment_photo
from binsight.training.fine_tune.mixing import mix_batch
from binsight.training.fine_tune.settings import FineTuneSettings
from binsight.training.photos import LabelledPhotos, PhotoStore

__all__ = ["Batch", "TrainingBatches", "class_quotas", "draw_order", "make_targets"]


class Batch(NamedTuple):
    """What one training step sees: `(b, h, w, 3)` uint8 pictures or `(b, gh, gw, d)` float32 activations; targets."""

    images: NDArray[np.uint8] | NDArray[np.float32]
    targets: dict[str, NDArray[np.float32]]


class _Draw(NamedTuple):
    photo: int  # its position
    occurrence: int  # how often it was drawn before in this epoch


@dataclass(frozen=True, eq=False)
class TrainingBatches:
    """Makes the batches of each epoch.

    Attributes:
        photos: what is drawn from.
        store: their pixels.
        classes: C.
        spec: how photos are prepared for the network.
        settings: sampling, augmentation, mixing, smoothing, batch size.
        seed: of all that is random.
        workers: threads.
    """

    photos: LabelledPhotos
    store: PhotoStore
    classes: int
    spec: PreprocessSpec
    settings: FineTuneSettings
    seed: int
    workers: int

    @property
    def batch_size(self) -> int:
        """Photos per batch: fewer than asked for where there are fewer."""
        return min(self.settings.batch_size, len(self.photos))

    @property
    def steps(self) -> int:
        """Batches per epoch; the photos left over in one epoch are others in the next."""
        return len(self.photos) // self.batch_size

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch, prepared ahead of time."""
        rng = np.random.default_rng([self.seed, number])
        order = draw_order(self.photos.labels, self.settings.class_balance, rng)[: self.steps * self.batch_size]
        draws = list(_count_occurrences(order))
        pixels = run_in_order(partial(self._augment, number), draws, workers=self.workers)
        for step in range(self.steps):
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            images = np.stack([next(pixels) for _ in chosen])
            mixing = np.random.default_rng([self.seed, number, step, 0, 0])
            targets = make_targets(self.photos, chosen, self.classes, self.settings.label_smoothing)
            yield Batch(*mix_batch(images, targets, self.settings, mixing))

    def _augment(self, epoch: int, draw: _Draw) -> NDArray[np.uint8]:
        rng = np.random.default_rng([self.seed, epoch, draw.photo, draw.occurrence])
        other = int(rng.integers(len(self.photos)))
        return augment_photo(
            self.store.pixels(draw.photo),
            self.spec,
            self.settings.augment,
            rng,
            other=partial(self.store.pixels, other),
        )


def make_targets(
    photos: LabelledPhotos, chosen: NDArray[np.intp], classes: int, smoothing: float
) -> dict[str, NDArray[np.float32]]:
    """What each output should give for the chosen photos: `(b, C)`, and `(b, 1)` where photos have such labels.

    The share `smoothing` of each target goes to all classes alike.
    """
    one_hot = np.eye(classes, dtype=np.float32)[photos.labels[chosen]]
    targets = {"logits": (1 - smoothing) * one_hot + smoothing / classes}
    if photos.biodegradable is not None:
        answers = photos.biodegradable[chosen, None].astype(np.float32)
        targets["biodegradable_logit"] = (1 - smoothing) * answers + smoothing / 2
    return {name: target.astype(np.float32) for name, target in targets.items()}


def class_quotas(counts: Sequence[int], balance: float) -> NDArray[np.intp]:
    """How many photos of each class an epoch draws: as many as there are in all, in proportion to `n ** (1 - balance)`.

    Fractions are rounded by the largest remainder, so the sum is exact; a class without photos gets none.
    """
    sizes = np.asarray(counts, np.float64)
    weights = np.where(sizes > 0, np.maximum(sizes, 1) ** (1 - balance), 0)
    exact = sizes.sum() * weights / weights.sum()
    quotas: NDArray[np.intp] = np.floor(exact + 1e-9).astype(np.intp)
    missing = int(sizes.sum()) - quotas.sum()
    quotas[np.argsort(quotas - exact, kind="stable")[:missing]] += 1
    return quotas


def draw_order(labels: NDArray[np.intp], balance: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """The positions of the photos of one epoch, `(n,)`, in random order.

    Within a class no photo is drawn a second time before all were drawn once.
    """
    counts = np.bincount(labels)
    drawn = []
    for label, quota in enumerate(class_quotas(counts.tolist(), balance)):
        members = np.flatnonzero(labels == label)
        rounds = -(-int(quota) // max(1, len(members)))
        drawn += [np.concatenate([rng.permutation(members) for _ in range(rounds)])[:quota]] if rounds else []
    order: NDArray[np.intp] = rng.permutation(np.concatenate(drawn))
    return order


def _count_occurrences(order: NDArray[np.intp]) -> Iterator[_Draw]:
    seen: dict[int, int] = {}
    for index in order.tolist():
        yield _Draw(index, seen.get(index, 0))
        seen[index] = seen.get(index, 0) + 1
