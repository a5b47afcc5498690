"""Photos with what they show: all that an evaluation needs to know of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.errors import DatasetError

__all__ = ["LabelledSet"]


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Photo files and the class of each.

    Attributes:
        paths: the n files.
        labels: `(n,)`, positions in the taxonomy of the model that is evaluated.
        root: what paths are shown relative to; None shows them as they are.
        groups: for each photo a word to count it by, such as where it comes from; None: not counted by anything.
        copies: `(n,)`, copies of one photo have the same number, so that they count as one observation; by default no
            photo is a copy of another.

    Raises:
        DatasetError: there are no photos, or not as many labels or groups as photos, or a label below 0.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.intp]
    root: Path | None = None
    groups: tuple[str, ...] | None = None
    copies: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))

    def __post_init__(self) -> None:
        if not self.paths:
            raise DatasetError("expected at least one labelled photo, got none")
        if self.labels.shape != (len(self.paths),):
            raise DatasetError(f"expected one label for each of {len(self.paths)} photos, got {self.labels.shape}")
        if self.groups is not None and len(self.groups) != len(self.paths):
            raise DatasetError(f"expected one group for each of {len(self.paths)} photos, got {len(self.groups)}")
        if not len(self.copies):
            object.__setattr__(self, "copies", np.arange(len(self.paths)))
        if self.copies.shape != self.labels.shape:
            raise DatasetError(
                f"expected one copy number for each of {len(self.paths)} photos, got {self.copies.shape}"
            )
        if int(self.labels.min()) < 0:
            raise DatasetError("expected labels from 0 on, got one below")

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, position: int) -> str:
        """What the photo at `position` is called: its path below `root`, with `/` between the parts."""
        path = self.paths[position]
        inside = self.root is not None and path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside and self.root else path.as_posix()

    def take(self, positions: Iterable[int]) -> LabelledSet:
        """The photos at `positions`, in that order."""
        chosen = [int(i) for i in positions]
        groups = None if self.groups is None else tuple(self.groups[i] for i in chosen)
        return LabelledSet(
            tuple(self.paths[i] for i in chosen), self.labels[chosen], self.root, groups, self.copies[chosen]
        )

    def spread(self, count: int) -> NDArray[np.intp]:
        """Positions of at most `count` photos, evenly spread, each class with about its share; sorted."""
        if count >= len(self):
            return np.arange(len(self))
        by_class = np.argsort(self.labels, kind="stable")
        return np.sort(by_class[np.linspace(0, len(self) - 1, max(1, count)).round().astype(np.intp)])
