"""The photos of the second stage, and how they are drawn.

They are those of `waste8`, by more photographers, and of none of the classes.

Of TrashNet's metal, paper and cardboard, and of the glass and textiles of Garbage Dataset, a half that the hash of a
photo's name decides is kept back to judge by; so are TrashNet's glass and the clothes, whole.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.taxonomy import Taxonomy

NONE: Final = -1  # the label of what is of none of the classes
PATCH: Final = "patch"
TWINS_OF_VAL: Final = frozenset(
    {
        "ewaste_0040.jpg",
        "paper_waste_0629.jpg",
        "plastic_bottles_0051.jpg",
        "plastic_bottles_0066.jpg",
        "plastic_bottles_0808.jpg",
    }
)  # `binsight data audit` finds a twin of each in `val`; see docs/audit.md
TRASHNET: Final = (
    ("metal", "metal_cans"),
    ("paper", "paper_waste"),
    ("cardboard", "paper_waste"),
    ("glass", "glass"),
)
_ORDER: Final = MappingProxyType({"train": 0, "val": 1, "eval": 2})
_SHARES: Final[Mapping[str, float]] = MappingProxyType({"glass": 0.42, "textiles": 0.16, "not-waste": 0.2, PATCH: 0.22})
_SOURCE_POWER: Final = 0.5  # a source is drawn in proportion to its photos to this power, a class likewise
_DOUBTED: Final = MappingProxyType({"more/sglitter": 0.5})  # its contrast was equalised
_PATCHED: Final = ("plastic_bottles", "metal_cans", "plastic_bags", "ewaste")  # what lies around these is no waste
_PATCHES: Final = 900


@dataclass(frozen=True)
class Photos:
    """Photos with what is known of each: `(n,)` all of them.

    Attributes:
        paths: files, those to train on first.
        classes: names, also such that the taxonomy does not have.
        labels: positions in the taxonomy, or `NONE`.
        sources: who took it; those of `more` begin with `more/`.
        roles: train, val, or eval.
    """

    paths: list[Path]
    classes: NDArray[np.str_]
    labels: NDArray[np.intp]
    sources: NDArray[np.str_]
    roles: NDArray[np.str_]

    @property
    def trained(self) -> int:
        """How many there are to train on: the first ones."""
        return int((self.roles == "train").sum())

    def anchors(self) -> NDArray[np.intp]:
        """Those of `waste8` itself that are trained on."""
        others = np.isin(self.sources, ["trashnet", "gd-glass", "gd-textiles"])
        others |= np.char.startswith(self.sources, "more/")
        return np.flatnonzero((self.roles == "train") & ~others)

    def empty_places(self) -> NDArray[np.intp]:
        """Belts, floors and grass to put objects on."""
        is_empty = (self.classes == "not-waste") & (self.sources != "more/debwallpaper")
        return np.flatnonzero(is_empty & (self.roles == "train"))

    def to_patch(self) -> NDArray[np.intp]:
        """The photos whose corners are shown as empty places, always the same."""
        fit = np.isin(self.classes, _PATCHED) & ~np.isin(self.sources, ["trashnet", "woosong"])
        pool = np.flatnonzero(fit & (self.roles == "train"))
        chosen: NDArray[np.intp] = np.random.default_rng(11).choice(pool, _PATCHES, replace=False)
        return chosen


def list_photos(data: Path, taxonomy: Taxonomy) -> Photos:
    """All photos below the folder of `waste8`, `more`, `trashnet` and `not-waste`."""
    rows = sorted([*_waste8(data), *_more(data), *_others(data)], key=lambda row: _ORDER[row[3]])
    paths, classes, sources, roles = zip(*rows, strict=True)
    labels = [taxonomy.index(name) if name in taxonomy.ids else NONE for name in classes]
    return Photos(
        [data / path for path in paths], np.array(classes), np.array(labels), np.array(sources), np.array(roles)
    )


def list_test(data: Path, taxonomy: Taxonomy) -> Photos:
    """The photos of the split `test` of `waste8`, which nothing else in this recipe looks at."""
    rows = [row for row in _rows(data / "waste8" / "manifest.csv") if row["split"] == "test"]
    classes, sources = (np.array([row[name] for row in rows]) for name in ("class", "source"))
    labels = np.array([taxonomy.index(name) for name in classes.tolist()])
    return Photos([data / row["path"] for row in rows], classes, labels, sources, np.full(len(rows), "test"))


def _waste8(data: Path) -> Iterator[tuple[str, str, str, str]]:
    for row in _rows(data / "waste8" / "manifest.csv"):
        is_twin = row["split"] == "train" and Path(row["path"]).name in TWINS_OF_VAL
        if row["split"] in {"train", "val"} and not is_twin:
            yield row["path"], row["class"], row["source"], row["split"]


def _more(data: Path) -> Iterator[tuple[str, str, str, str]]:
    for row in _rows(data / "more" / "manifest.csv"):
        path = f"more/{row['path']}"
        if row["source"] == "gd":
            yield path, row["class"], f"gd-{row['class']}", "train" if _in_half(path) else "eval"
        else:
            yield path, row["class"], f"more/{row['source']}", "train"


def _others(data: Path) -> Iterator[tuple[str, str, str, str]]:
    for folder, name in TRASHNET:
        for file in sorted((data / "trashnet" / folder).rglob("*.jpg")):
            path = str(file.relative_to(data))
            yield path, name, "trashnet", "train" if name != "glass" and _in_half(path) else "eval"
    for file in sorted((data / "not-waste").glob("*.jpg")):
        yield str(file.relative_to(data)), "clothes", "clothes", "eval"


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _in_half(path: str) -> bool:
    return hashlib.sha256(path.encode()).digest()[0] % 2 == 1


class Draws:
    """Draws photos by class and source, and some of none of the classes.

    Args:
        photos: what is drawn from; of `rows` only.
        rows: positions among the photos.
        patches: positions of patches of empty places; from `len(photos)` on in what is drawn.
        none_share: of what is drawn, how much is of none of the classes.
    """

    def __init__(self, photos: Photos, rows: NDArray[np.intp], patches: NDArray[np.intp], none_share: float) -> None:
        self._none_share = none_share
        self._known = rows[photos.labels[rows] != NONE]
        self._weights = _known_weights(photos.labels[self._known], photos.sources[self._known])
        none = rows[photos.labels[rows] == NONE]
        names = np.concatenate([photos.classes[none], np.full(len(patches), PATCH)])
        self._none = np.concatenate([none, patches + len(photos.paths)])
        weights = np.array([_SHARES[name] for name in names])
        for name in _SHARES:
            weights[names == name] /= max(1, int((names == name).sum()))
        self._none_weights = weights / weights.sum()

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """So many positions in random order."""
        strangers = round(count * self._none_share)
        known = rng.choice(self._known, count - strangers, p=self._weights)
        none = rng.choice(self._none, strangers, p=self._none_weights)
        order: NDArray[np.intp] = rng.permutation(np.concatenate([known, none]))
        return order


def _known_weights(labels: NDArray[np.intp], sources: NDArray[np.str_]) -> NDArray[np.float64]:
    """The root of each class's photos, shared among its sources by the root of theirs."""
    weights = np.zeros(len(labels))
    for label in np.unique(labels):
        of_class = labels == label
        names, counts = np.unique(sources[of_class], return_counts=True)
        shares = counts.astype(float) ** _SOURCE_POWER * np.array([_DOUBTED.get(str(name), 1.0) for name in names])
        for name, share, count in zip(names, shares / shares.sum(), counts, strict=True):
            weights[of_class & (sources == name)] = of_class.sum() ** 0.5 * share / count
    drawn: NDArray[np.float64] = weights / weights.sum()
    return drawn


def without(photos: Photos, sources: Sequence[str], empties_of: Sequence[str] = ()) -> NDArray[np.intp]:
    """The positions of what is trained on when sources are left out, and the empty places of others."""
    away = np.isin(photos.sources, sources) | ((photos.classes == "not-waste") & np.isin(photos.sources, empties_of))
    return np.flatnonzero((photos.roles == "train") & ~away)
