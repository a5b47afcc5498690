"""Trains a small network on cached features.

`n` is the number of photos, `d` of features, `C` of classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from binsight.training.heads.linear import Heads
from binsight.training.heads.small_network import SmallNetwork, SmallNetworkSettings

__all__ = ["FeatureSet", "FitEpoch", "FitResult", "fit_small_network"]


@dataclass(frozen=True)
class FeatureSet:
    """Photos as a small network sees them.

    Attributes:
        views: one or more `(n, d)` float32 arrays of the same photos. In every epoch a photo is seen in one of them,
            chosen at random. The first is the photo as it is: it alone is used to judge.
        labels: `(n,)`, 0 to C - 1.
        biodegradable: `(n,)`, or None where the taxonomy leaves it open.
    """

    views: Sequence[NDArray[np.float32]]
    labels: NDArray[np.intp]
    biodegradable: NDArray[np.bool_] | None = None

    @property
    def upright(self) -> NDArray[np.float32]:
        """The photos as they are, `(n, d)`."""
        return self.views[0]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class FitEpoch:
    """How training stood after one epoch, counted from 1. The loss is the mean over the epoch's batches."""

    epoch: int
    loss: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class FitResult:
    """The heads of the best epoch, and how it went.

    Attributes:
        heads: with the weights after the first epoch that reached the best accuracy on the validation photos; or after
            the last, where that was asked for.
        history: every epoch.
        best: the epoch of `heads`.
    """

    heads: Heads
    history: tuple[FitEpoch, ...]
    best: FitEpoch


def fit_small_network(
    train: FeatureSet,
    val: FeatureSet,
    *,
    classes: int,
    settings: SmallNetworkSettings,
    keep: Literal["best", "last"] = "best",
    on_epoch_end: Callable[[FitEpoch], None] = lambda _record: None,
) -> FitResult:
    """Train a small network; by default its best epoch is kept, as a checkpoint on the validation accuracy would.

    Args:
        train: the photos to learn from.
        val: the photos that decide which epoch is best.
        classes: C.
        settings: shape, rate, length.
        keep: the weights of the best epoch, or of the last, where `val` is not to decide.
        on_epoch_end: called after every epoch; may raise to stop.
    """
    shape = train.upright.shape[1]
    network = SmallNetwork(shape, classes, biodegradable=train.biodegradable is not None, settings=settings)
    weights = _class_weights(train.labels, classes) if settings.balanced else None
    generator = np.random.default_rng([settings.seed, 1])
    history: list[FitEpoch] = []
    best, heads = None, network.heads()
    for epoch in range(1, settings.epochs + 1):
        loss = _run_epoch(network, train, weights, settings.batch_size, generator)
        record = FitEpoch(epoch, loss, *network.evaluate(val.upright, val.labels, val.biodegradable))
        history.append(record)
        if keep == "last" or best is None or record.val_accuracy > best.val_accuracy:
            best, heads = record, network.heads()
        on_epoch_end(record)
    if best is None:  # no epochs: the settings forbid it
        raise ValueError("expected at least one epoch")
    return FitResult(heads, tuple(history), best)


def _run_epoch(
    network: SmallNetwork,
    train: FeatureSet,
    weights: NDArray[np.float32] | None,
    batch_size: int,
    generator: np.random.Generator,
) -> float:
    order = generator.permutation(len(train))
    choice = generator.integers(len(train.views), size=len(train))
    total = 0.0
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        batch = train.upright[rows] if len(train.views) == 1 else np.stack([train.views[choice[i]][i] for i in rows])
        truth = None if train.biodegradable is None else train.biodegradable[rows]
        counts = None if weights is None else weights[rows]
        total += network.train_batch(batch, train.labels[rows], truth, counts, generator) * len(rows)
    return total / len(order)


def _class_weights(labels: NDArray[np.intp], classes: int) -> NDArray[np.float32]:
    """For each photo `n / (C n_c)`, as scikit-learn's `balanced`."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return (len(labels) / (classes * counts))[labels].astype(np.float32)
