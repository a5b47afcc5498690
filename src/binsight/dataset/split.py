"""Divide a data set into train, val and test so that no photo has its twin on the other side."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from binsight.dataset.duplicates import connected_groups
from binsight.dataset.samples import SPLITS, Dataset
from binsight.errors import DatasetError

__all__ = ["Groups", "Share", "split", "split_shares"]

Groups = Sequence[Hashable | None] | Mapping[str, Hashable]
"""For each sample the group it belongs to, in order, or by path; None, or no entry, for one that stands alone."""

_POINT = 0.01


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a class one split got.

    Attributes:
        class_id: the class.
        split: `train`, `val` or `test`.
        photos: how many of the class the split has.
        share: of the class's sound photos, in [0, 1].
        wanted: the share asked for.
    """

    class_id: str
    split: str
    photos: int
    share: float
    wanted: float

    def is_off(self, photos_of_class: int) -> bool:
        """Whether the share misses by more than one percentage point and more than one photo."""
        return abs(self.share - self.wanted) > max(_POINT, 1 / max(1, photos_of_class)) + 1e-12


def split(
    dataset: Dataset, *, val: float = 0.1, test: float = 0.15, seed: int = 0, groups: Groups | None = None
) -> Dataset:
    """The data set with every sound sample in `train`, `val` or `test`, and every group in one of them.

    Each class is divided in the proportions asked for: to the photo where all its photos stand alone, otherwise as near
    as the groups allow. Groups are dealt out at random, the large ones first, each to a split that still has room for
    it, with a probability that grows with that room; so twins are as frequent in one split as in another. The result
    depends on the samples and the seed, not on the order of the samples.

    Args:
        dataset: its splits, if it has any, are forgotten. Samples with an error get no split.
        val: the share of every class for `val`, in [0, 1).
        test: for `test`; `train` gets the rest.
        seed: another seed gives another split.
        groups: which samples must stay together, such as `binsight.dataset.duplicates.duplicate_groups` gives. Those
            with the same word in a manifest's column `group`, and files with the same bytes, stay together in any case.

    Returns:
        The same samples in the same order; those of a group that has several name it in `extra["group"]`: as before,
        or by the first of its paths.

    Raises:
        DatasetError: the shares are not in [0, 1) or leave nothing for `train`, `groups` does not fit the samples, or
            there is nothing to split.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise DatasetError(f"expected shares in [0, 1) that leave some for train, got val {val:g} and test {test:g}")
    fractions = np.array([1 - val - test, val, test])
    order = sorted((i for i, s in enumerate(dataset) if s.error is None), key=lambda i: dataset.samples[i].path)
    if not order:
        raise DatasetError(f"{dataset.root}: no sound photo to split")
    names = _group_names(dataset, groups)
    members = _members(dataset, order, names)
    chosen = _deal(dataset, members, fractions, np.random.default_rng(seed))
    splits: list[str | None] = [None] * len(dataset)
    labels: dict[int, str] = {}
    for rows, place in zip(members, chosen, strict=True):
        for i in rows:
            splits[i] = SPLITS[place]
            if len(rows) > 1:
                labels[i] = dataset.samples[i].extra.get("group", dataset.samples[rows[0]].path)
    marked = tuple(
        replace(s, extra={**s.extra, "group": labels[i]}) if i in labels else s for i, s in enumerate(dataset)
    )
    return replace(dataset, samples=marked).with_splits(splits)


def split_shares(dataset: Dataset, *, val: float, test: float) -> list[Share]:
    """What each split got of each class, class by class, against the shares asked for."""
    wanted = dict(zip(SPLITS, (1 - val - test, val, test), strict=True))
    counts = Counter((s.class_id, s.split) for s in dataset if s.error is None)
    totals = Counter(s.class_id for s in dataset if s.error is None)
    return [
        Share(name, part, counts[name, part], counts[name, part] / totals[name], share)
        for name in dataset.classes
        if totals[name]
        for part, share in wanted.items()
    ]


def _group_names(dataset: Dataset, groups: Groups | None) -> list[Hashable | None]:
    if groups is None:
        return [None] * len(dataset)
    if isinstance(groups, Mapping):
        return [groups.get(s.path) for s in dataset]
    if len(groups) != len(dataset):
        raise DatasetError(f"expected a group for each of the {len(dataset)} samples, got {len(groups)}")
    return list(groups)


def _members(dataset: Dataset, order: Sequence[int], names: Sequence[Hashable | None]) -> list[list[int]]:
    """The positions of each group's samples; what shares a name or its bytes is one group."""
    first: dict[Hashable, int] = {}
    pairs = []
    for row, i in enumerate(order):
        sample = dataset.samples[i]
        links = ("name", names[i]), ("column", sample.extra.get("group")), ("bytes", sample.sha256)
        pairs += [(first.setdefault(link, row), row) for link in links if link[1] is not None]
    found: dict[int, list[int]] = defaultdict(list)
    for i, group in zip(order, connected_groups(len(order), pairs), strict=True):
        found[group].append(i)
    return list(found.values())


def _deal(
    dataset: Dataset, members: Sequence[Sequence[int]], fractions: np.ndarray, rng: np.random.Generator
) -> list[int]:
    """For each group the position of its split."""
    labels = dataset.labels
    counts = np.bincount([labels[i] for rows in members for i in rows], minlength=len(dataset.classes))
    room = np.stack([_quotas(int(n), fractions) for n in counts], axis=1)
    sizes = np.array([len(rows) for rows in members])
    places = [0] * len(members)
    # A stable sort of a shuffled order: by size, and by chance among equals.
    shuffled = rng.permutation(len(members))
    for g in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        classes, need = np.unique(labels[list(members[g])], return_counts=True)
        left = room[:, classes]
        places[g] = _choose(left, need, counts[classes], fractions, rng)
        room[places[g], classes] -= need
    return places


def _choose(
    left: np.ndarray, need: np.ndarray, counts: np.ndarray, fractions: np.ndarray, rng: np.random.Generator
) -> int:
    """The split for a group that needs `need` places of its classes, of which each split has `left`: `(3, k)`."""
    fits = (left >= need).all(axis=1)
    if fits.any():
        weights = np.where(fits, (left / counts).sum(axis=1), 0.0)
        return int(rng.choice(len(left), p=weights / weights.sum()))
    excess = (np.maximum(need - left, 0) / counts).sum(axis=1)
    # What was not asked for stays empty, however well a group would fit.
    excess[fractions == 0] = np.inf
    return int(excess.argmin())


def _quotas(total: int, fractions: np.ndarray) -> np.ndarray:
    """Whole numbers that sum to `total`, each less than one from its share: the largest remainders round up."""
    exact = total * fractions
    quotas = np.floor(exact + 1e-9).astype(np.int64)
    # Stable, so that train comes first among equal remainders.
    for i in np.argsort(-(exact - quotas), kind="stable")[: total - quotas.sum()]:
        quotas[i] += 1
    return quotas
