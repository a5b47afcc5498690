"""Photos of none of the classes: to learn from, to judge by, and of empty places to paste objects on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.dataset import Dataset
from binsight.dataset.licences import keep_licensed
from binsight.dataset.samples import Sample
from binsight.files import write_whole
from binsight.imaging import decode_image
from binsight.pipeline.auxiliary import read_unlabelled
from binsight.pipeline.held_out import held_out_shares, is_held_out
from binsight.predictor import run_in_order
from binsight.training.photos import open_photo

if TYPE_CHECKING:
    from binsight.pipeline.config import DataConfig

__all__ = ["CORNERS", "Strangers", "read_strangers", "strangers_digest", "write_corners"]

CORNERS: Final = "corners"
"""The source of what `write_corners` makes."""
_SIDE: Final = 300  # of a corner, in pixels
_MIRRORED: Final = 0.6  # of the corners; the others are enlarged


@dataclass(frozen=True)
class Strangers:
    """Photos of none of the classes.

    Attributes:
        learnt: to learn from, not to be sure of them.
        sources: of each of these its source.
        held: source → photos that judge.
        places: empty ones, to paste objects on.
    """

    learnt: tuple[Path, ...] = ()
    sources: tuple[str, ...] = ()
    held: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    places: tuple[Path, ...] = ()

    def with_corners(self, paths: Sequence[Path]) -> Strangers:
        """These and corners of photos, to learn from."""
        return replace(self, learnt=(*self.learnt, *paths), sources=(*self.sources, *[CORNERS] * len(paths)))


def read_strangers(
    config: DataConfig, *, workers: int | None, say: Callable[[str], None]
) -> tuple[Strangers, tuple[Sample, ...]]:
    """The photos that the settings name, under the licences that may be used; and the rows of those to train with.

    Raises:
        InputError: there is no such place, or no photo in it.
        DatasetError: none is under such a licence.
    """
    outliers, places = (_read(where, config, workers, say) for where in (config.outliers, config.backdrops))
    shares = held_out_shares(config.hold_out)
    held: dict[str, tuple[Path, ...]] = {}
    for sample in outliers:
        if is_held_out(sample, shares):
            source = sample.extra["source"]
            held[source] = (*held.get(source, ()), outliers.file(sample))
    learnt = [s for s in outliers if not is_held_out(s, shares)]
    usable = [s for s in places if not is_held_out(s, shares)]
    found = Strangers(
        tuple(map(outliers.file, learnt)),
        tuple(s.extra["source"] for s in learnt),
        held,
        tuple(map(places.file, usable)),
    )
    return found, tuple({s.path: s for s in (*learnt, *usable)}.values())


def _read(where: Sequence[str], config: DataConfig, workers: int | None, say: Callable[[str], None]) -> Dataset:
    if not where:
        return Dataset(Path(), (), ())
    found, notes = keep_licensed(read_unlabelled(where, workers=workers), config.licences)
    for note in (*found.notes, *notes):
        say(note)
    return found


def write_corners(photos: Sequence[Path], count: int, folder: Path, *, seed: int) -> list[Path]:
    """Write corners of photos as PNG files, always the same: a floor or a table with nothing on it; gives their paths.

    Args:
        photos: of objects that fill the middle.
        count: how many are wanted, of as many photos; fewer where there are fewer.
        folder: where; files that are there are left as they are.
        seed: draws the photos, and the corner of each.
    """
    rng = np.random.default_rng([seed, 11])
    chosen = np.sort(rng.choice(len(photos), min(count, len(photos)), replace=False)).tolist()
    paths = [folder / f"{i:06}.png" for i in chosen]
    work = partial(_write_corner, seed=seed)
    tasks: Iterator[tuple[Path, Path, int]] = ((photos[i], path, i) for i, path in zip(chosen, paths, strict=True))
    list(run_in_order(work, tasks))
    return paths


def _write_corner(task: tuple[Path, Path, int], *, seed: int) -> None:
    photo, path, number = task
    if path.exists():
        return
    corner = _cut_corner(open_photo(photo, decode_image), np.random.default_rng([seed, 13, number]))
    stream = io.BytesIO()
    Image.fromarray(corner).save(stream, "PNG")
    write_whole(path, stream.getvalue())


def _cut_corner(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A quarter to a third of both sides, mirrored until it covers the square, or enlarged."""
    height, width = image.shape[:2]
    share = rng.uniform(0.22, 0.34)
    rows, columns = max(1, int(height * share)), max(1, int(width * share))
    top, left = rng.integers(2, size=2) * (height - rows, width - columns)
    corner = image[top : top + rows, left : left + columns]
    if rng.random() < _MIRRORED:
        margins = (0, max(0, _SIDE - rows)), (0, max(0, _SIDE - columns)), (0, 0)
        return np.pad(corner, margins, "symmetric")[:_SIDE, :_SIDE]
    return np.asarray(Image.fromarray(corner).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))


def strangers_digest(first: str, samples: Sequence[Sample], *more: object) -> str:
    """The digest of all photos: of those of the classes, of these, and of what is made from them."""
    rows = [first, *(str(s.sha256) for s in samples), *(repr(value) for value in more if value)]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
