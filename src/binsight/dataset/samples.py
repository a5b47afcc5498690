"""The table that every data command works on: one row per photo, no pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.errors import DatasetError
from binsight.settings import suggest
from binsight.taxonomy import Taxonomy, name_key

__all__ = ["SPLITS", "Dataset", "Facts", "Ignored", "Sample"]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a photo's file says of itself. A value that is not known, or could not be read, is None.

    Attributes:
        sha256: of the file's bytes, hexadecimal.
        width: of the upright photo, in pixels.
        height: of the upright photo, in pixels.
        format: by content, one of `binsight.imaging.SUPPORTED_FORMATS`.
        bytes: the file's size.
        error: why the photo cannot be used; None when nothing was found wrong.
        error_code: the error's code, as `binsight.errors` has it: `truncated`, `broken`, `not_an_image`, `empty`,
            `too_large`, `unreadable`.
        decoded: whether all of its pixels were decoded; without that, only its header was looked at.
    """

    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    bytes: int | None = None
    error: str | None = None
    error_code: str | None = None
    decoded: bool = False


@dataclass(frozen=True, slots=True)
class Sample(Facts):
    """One photo of a data set, with the facts about its file.

    Attributes:
        path: below the data set's root, with `/` between the parts; absolute where the file lies elsewhere.
        class_id: what the photo shows, as it is labelled.
        split: `train`, `val`, `test`, or another word from a manifest; None where there is no split yet.
        extra: what else a manifest says of it, such as `source` or `group`.
    """

    path: str
    class_id: str
    split: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict, hash=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file that lies among the photos and is none of the samples.

    Attributes:
        path: as for a sample.
        reason: why it is not a sample.
        hides_photos: whether photos may be missing because of it, such as a folder that cannot be read.
    """

    path: str
    reason: str
    hides_photos: bool = False


@dataclass(frozen=True)
class Dataset:
    """Labelled photos.

    Attributes:
        root: the folder that relative paths start from.
        classes: the class ids, in label order; every sample's class is among them, but one may have no sample.
        samples: the rows, in a fixed order.
        taxonomy: what the classes mean, where that is known; its ids are then `classes`.
        ignored: files that were found and are no samples.
        notes: what a person should be told: spellings taken for one class, photos in no class folder, and the like.

    Raises:
        DatasetError: a sample has a class that is not among `classes`.
    """

    root: Path
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    taxonomy: Taxonomy | None = None
    ignored: tuple[Ignored, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := sorted({s.class_id for s in self.samples} - set(self.classes)):
            raise DatasetError(f"samples of unknown classes {', '.join(unknown)}; known: {', '.join(self.classes)}")

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def file(self, sample: Sample) -> Path:
        """Where the photo of `sample` lies."""
        return self.root / sample.path

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """For each of the n samples the position of its class in `classes`: `(n,)`."""
        positions = {name: i for i, name in enumerate(self.classes)}
        return np.fromiter((positions[s.class_id] for s in self.samples), np.int64, len(self.samples))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that occur: `train`, `val`, `test` first, then others by name. Unsplit samples do not count."""
        found = {s.split for s in self.samples if s.split is not None}
        return (*(name for name in SPLITS if name in found), *sorted(found - set(SPLITS)))

    def counts(self) -> dict[tuple[str | None, str], int]:
        """How many samples each `(split, class)` has; pairs without any are left out."""
        return dict(Counter((s.split, s.class_id) for s in self.samples))

    def where(self, keep: Callable[[Sample], bool]) -> Dataset:
        """The data set with only the samples for which `keep` is true."""
        return replace(self, samples=tuple(s for s in self.samples if keep(s)))

    def take(self, positions: Iterable[int]) -> Dataset:
        """The data set with the samples at `positions`, in that order."""
        return replace(self, samples=tuple(self.samples[i] for i in positions))

    def find_class(self, name: str) -> str:
        """The class that `name` means, whatever the case, spaces, hyphens and underscores.

        Raises:
            DatasetError: there is none.
        """
        for class_id in self.classes:
            if name_key(class_id) == name_key(name):
                return class_id
        raise DatasetError(f"{self.root}: no class {name!r}; {suggest(name, self.classes)}")

    def find_split(self, wanted: str | None, *, usual: str = "val") -> str | None:
        """The split that is wanted, or the usual one; None, for all photos, where nothing is wanted or in a split.

        Raises:
            DatasetError: there is none.
        """
        if wanted is None and not self.splits:
            return None
        if (name := wanted or usual) not in self.splits:
            there = f"; there are {', '.join(self.splits)}" if self.splits else "; its photos are in no split"
            raise DatasetError(f"{self.root}: no split {name!r}{there}; choose with --split")
        return name

    def in_split(self, split: str | None) -> Dataset:
        """The samples of one split; with None those that have none."""
        return self.where(lambda s: s.split == split)

    def sound(self) -> Dataset:
        """The samples in which nothing was found wrong."""
        return self.where(lambda s: s.error is None)

    def with_splits(self, splits: Sequence[str | None]) -> Dataset:
        """The data set with a new split for every sample, in order."""
        rows = zip(self.samples, splits, strict=True)
        return replace(self, samples=tuple(replace(s, split=split) for s, split in rows))
