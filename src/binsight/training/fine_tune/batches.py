"""Altered photos, or what frozen layers made of them, in batches; the same for the same seed and any workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from binsight.errors import SettingsError
from binsight.imaging import PreprocessSpec
from binsight.predictor import run_in_order
from binsight.training.augment.photo import augment_photo
from binsight.training.fine_tune.settings import FineTuneSettings
from binsight.training.photos import LabelledPhotos, PhotoStore, decode_for_augmentation, draw_photo

__all__ = [
    "Batch",
    "EpochBatches",
    "TrainingBatches",
    "ViewBatches",
    "class_quotas",
    "draw_order",
    "make_targets",
]


class Batch(NamedTuple):
    """What one training step sees: `(b, h, w, 3)` uint8 pictures or `(b, gh, gw, d)` float32 activations; targets."""

    images: NDArray[np.uint8] | NDArray[np.float32]
    targets: dict[str, NDArray[np.float32]]


class _Draw(NamedTuple):
    photo: int  # its position
    occurrence: int  # how often it was drawn before in this epoch


@dataclass(frozen=True, eq=False)
class EpochBatches(ABC):
    """The batches of each epoch: how many, and what is drawn for them; the same for the same seed.

    Attributes:
        photos: what is drawn from; those with the label -1 are of none of the classes.
        classes: C.
        settings: sampling, smoothing, batch size.
        seed: of all that is random.
    """

    photos: LabelledPhotos
    classes: int
    settings: FineTuneSettings
    seed: int

    @abstractmethod
    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch; the first is number 1."""

    @property
    def about(self) -> dict[str, float]:
        """What else decides how a run goes."""
        return {}

    @property
    def drawn(self) -> int:
        """Photos that are drawn for an epoch."""
        known = int(np.count_nonzero(self.photos.labels >= 0))
        return known + (round(self.settings.outlier_share * known) if known < len(self.photos) else 0)

    @property
    def batch_size(self) -> int:
        """Photos per batch: fewer than asked for where there are fewer."""
        return min(self.settings.batch_size, self.drawn)

    @property
    def steps(self) -> int:
        """Batches per epoch; the photos left over in one epoch are others in the next."""
        return self.drawn // self.batch_size

    def order(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """The positions of the photos of one epoch, `(drawn,)`."""
        balance = self.settings.source_balance
        sources = self.photos.sources if balance else None
        return draw_order(
            self.photos.labels,
            self.settings.class_balance,
            rng,
            total=self.drawn,
            sources=sources,
            source_balance=balance,
        )

    def parts(self, order: NDArray[np.intp]) -> Iterator[tuple[slice, dict[str, NDArray[np.float32]]]]:
        """Where in the order each batch is, and its targets."""
        for step in range(self.steps):
            part = slice(step * self.batch_size, (step + 1) * self.batch_size)
            yield part, make_targets(self.photos, order[part], self.classes, self.settings.label_smoothing)


@dataclass(frozen=True, eq=False)
class TrainingBatches(EpochBatches):
    """Makes the batches of each epoch from photos that are altered anew every time.

    Attributes:
        store: the photos' pixels.
        spec: how photos are prepared for the network.
        workers: threads.
        backdrops: photos of empty places, which objects may be pasted on.
    """

    store: PhotoStore
    spec: PreprocessSpec
    workers: int
    backdrops: Sequence[Path] = ()

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch, prepared ahead of time."""
        order = self.order(np.random.default_rng([self.seed, number]))[: self.steps * self.batch_size]
        draws = list(_count_occurrences(order))
        pixels = run_in_order(partial(self._augment, number), draws, workers=self.workers)
        for part, targets in self.parts(order):
            yield Batch(np.stack([next(pixels) for _ in order[part]]), targets)

    def _augment(self, epoch: int, draw: _Draw) -> NDArray[np.uint8]:
        rng = np.random.default_rng([self.seed, epoch, draw.photo, draw.occurrence])
        other = int(rng.integers(len(self.photos)))
        return augment_photo(
            self.store.pixels(draw.photo),
            self.spec,
            self.settings.augment,
            rng,
            other=partial(self.store.pixels, other),
            place=draw_photo(self.backdrops, partial(decode_for_augmentation, size=self.spec.size), rng),
        )


@dataclass(frozen=True, eq=False)
class ViewBatches(EpochBatches):
    """Makes the batches of each epoch from what the first layers of a network made of photos; see `activations`.

    Attributes:
        views: at least two, `(n, gh, gw, d)` each; the first is of the photos as they are.
        plain_share: of the photos of an epoch, how many are seen as they are, in [0, 1].

    Raises:
        SettingsError: there are too few views.
    """

    views: Sequence[NDArray[np.float16]]
    plain_share: float

    def __post_init__(self) -> None:
        if len(self.views) < 2:
            raise SettingsError(f"expected two views or more, got {len(self.views)}")

    @property
    def about(self) -> dict[str, float]:
        """How many views, and how often the first."""
        return {"views": len(self.views), "plain_share": self.plain_share}

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch."""
        rng = np.random.default_rng([self.seed, number])
        order = self.order(rng)
        altered = rng.integers(1, len(self.views), len(order))
        which = np.where(rng.random(len(order)) < self.plain_share, 0, altered)
        for part, targets in self.parts(order):
            seen = [self.views[view][photo] for view, photo in zip(which[part], order[part], strict=True)]
            yield Batch(np.stack(seen).astype(np.float32), targets)


def make_targets(
    photos: LabelledPhotos, chosen: NDArray[np.intp], classes: int, smoothing: float
) -> dict[str, NDArray[np.float32]]:
    """What each output should give for the chosen photos: `(b, C)`, and `(b, 1)` where photos have such labels.

    The share `smoothing` of each target goes to all classes alike; of a photo of none of the classes, all of it.
    """
    labels = photos.labels[chosen]
    smooth = np.where(labels >= 0, np.float32(smoothing), np.float32(1))[:, None]
    one_hot = np.eye(classes, dtype=np.float32)[np.maximum(labels, 0)]
    targets = {"logits": (1 - smooth) * one_hot + smooth / classes}
    if photos.biodegradable is not None:
        answers = photos.biodegradable[chosen, None].astype(np.float32)
        targets["biodegradable_logit"] = (1 - smooth) * answers + smooth / 2
    return {name: target.astype(np.float32) for name, target in targets.items()}


def class_quotas(counts: Sequence[int], balance: float, *, total: int | None = None) -> NDArray[np.intp]:
    """How many photos of each class an epoch draws, in proportion to `n ** (1 - balance)`.

    They add up to `total`; by default to as many as there are in all. Fractions are rounded by the largest remainder,
    so the sum is exact; a class without photos gets none.
    """
    sizes = np.asarray(counts, np.float64)
    weights = np.where(sizes > 0, np.maximum(sizes, 1) ** (1 - balance), 0)
    total = int(sizes.sum()) if total is None else total
    exact = total * weights / weights.sum()
    quotas: NDArray[np.intp] = np.floor(exact + 1e-9).astype(np.intp)
    missing = total - quotas.sum()
    quotas[np.argsort(quotas - exact, kind="stable")[:missing]] += 1
    return quotas


def draw_order(
    labels: NDArray[np.intp],
    balance: float,
    rng: np.random.Generator,
    *,
    total: int = 0,
    sources: NDArray[np.str_] | None = None,
    source_balance: float = 0.0,
) -> NDArray[np.intp]:
    """The positions of the photos of one epoch in random order.

    Within a class, or a source of it, no photo is drawn a second time before all were drawn once.

    Args:
        labels: `(n,)`; -1 for photos of none of the classes.
        balance: see `class_quotas`.
        rng: draws them.
        total: how many there are to be, those of none of the classes among them.
        sources: `(n,)`; None takes all photos of a class for those of one source.
        source_balance: likewise for the sources of a class.
    """
    counts = np.bincount(labels[labels >= 0])
    quotas = dict(enumerate(class_quotas(counts.tolist(), balance).tolist()))
    quotas[-1] = max(0, total - int(counts.sum()))
    drawn = []
    for label, quota in quotas.items():
        members = np.flatnonzero(labels == label)
        parts = [members] if sources is None else [members[sources[members] == s] for s in np.unique(sources[members])]
        if not quota:
            continue
        shares = class_quotas([len(part) for part in parts], source_balance, total=quota).tolist()
        for part, share in zip(parts, shares, strict=True):
            rounds = -(-share // len(part))
            drawn += [np.concatenate([rng.permutation(part) for _ in range(rounds)])[:share]] if rounds else []
    return rng.permutation(np.concatenate(drawn))


def _count_occurrences(order: NDArray[np.intp]) -> Iterator[_Draw]:
    seen: dict[int, int] = {}
    for index in order.tolist():
        yield _Draw(index, seen.get(index, 0))
        seen[index] = seen.get(index, 0) + 1
