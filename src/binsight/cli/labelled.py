"""Labelled photos for the commands that judge a model: which split of DATA, and what its class names mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binsight.cli.data_options import print_notes
from binsight.cli.options import option, quiet_option, together, workers_option
from binsight.cli.progress import progress_bar
from binsight.cli.text import plain
from binsight.errors import DatasetError, TaxonomyError
from binsight.settings import suggest

if TYPE_CHECKING:
    from binsight.dataset import Dataset
    from binsight.evaluation import LabelledSet
    from binsight.taxonomy import Taxonomy

__all__ = ["Labelled", "labelled_options", "load_labelled", "load_own_classes", "parse_renamed"]


_LEFT_OUT = ""


@dataclass(frozen=True)
class Labelled:
    """The photos chosen from DATA.

    Attributes:
        photos: with labels of the model's taxonomy.
        split: what they are called.
    """

    photos: LabelledSet
    split: str


labelled_options = together(
    option(
        "--split",
        section="Photos",
        metavar="NAME",
        help="Which split of DATA.  [default: val where there is one; all photos where there are no splits]",
    ),
    option(
        "--class",
        "renamed",
        section="Photos",
        multiple=True,
        metavar="NAME=CLASS",
        help="What a class name of DATA means in the model; NAME= leaves its photos out. May be repeated.",
    ),
    workers_option(),
    quiet_option("No progress bar, no notes."),
)
"""The options that choose labelled photos."""


def load_labelled(
    data: Path,
    taxonomy: Taxonomy,
    *,
    split: str | None,
    renamed: tuple[str, ...],
    workers: int | None,
    quiet: bool,
    by: str | None = None,
    find_copies: bool = True,
) -> Labelled:
    """The photos of one split of DATA, labelled in the model's taxonomy. Photos that cannot be read are among them.

    Args:
        data: a folder or a manifest.
        taxonomy: the model's.
        split: which; None: `val`, or all where there are no splits.
        renamed: `NAME=CLASS` pairs.
        workers: threads.
        quiet: no progress bar and no notes.
        by: the column of a manifest to group by.
        find_copies: whether to look for copies among the photos, so that these count as one observation.

    Raises:
        InputError: DATA cannot be read.
        DatasetError: it is no data set, or has no such split, class or column.
        TaxonomyError: a class name is none of the model's.
    """
    from binsight.dataset import scan

    meanings = parse_renamed(renamed)
    with progress_bar("Scanning", quiet=quiet) as progress:
        found = scan(data, taxonomy=None if meanings else taxonomy, progress=progress, workers=workers)
    print_notes(found)
    if meanings:
        found = _rename(found, meanings, taxonomy, quiet=quiet)
    chosen, name = _choose(found, split)
    copies = _find_copies(chosen, workers=workers, quiet=quiet) if find_copies else range(len(chosen))
    return Labelled(_labelled(chosen, copies, None if by is None else _groups(chosen, by)), name)


def load_own_classes(
    data: Path, *, split: str | None, renamed: tuple[str, ...], workers: int | None, quiet: bool
) -> tuple[Labelled, Labelled]:
    """The photos of DATA to fit on, its split `train`, and those to judge on, with the classes as DATA has them.

    The parameters are those of `load_labelled`, but that `--class` can only leave classes out.

    Raises:
        InputError: DATA cannot be read.
        DatasetError: it is no data set, or has no such split or class.
    """
    from binsight.dataset import scan

    meanings = parse_renamed(renamed)
    if named := sorted(name for name, meaning in meanings.items() if meaning != _LEFT_OUT):
        raise click.BadParameter(f"{named[0]}: only NAME=, which leaves a class out, goes here", param_hint="--class")
    with progress_bar("Scanning", quiet=quiet) as progress:
        found = scan(data, progress=progress, workers=workers)
    print_notes(found)
    left_out = {found.find_class(name) for name in meanings}
    classes = tuple(name for name in found.classes if name not in left_out)
    samples = tuple(s for s in found if s.class_id not in left_out)
    found = replace(found, classes=classes, samples=samples)
    parts = [_choose(found, name) for name in ("train", split or "val")]
    fit, judge = (
        Labelled(_labelled(part, _find_copies(part, workers=workers, quiet=quiet)), name) for part, name in parts
    )
    return fit, judge


def parse_renamed(renamed: tuple[str, ...]) -> dict[str, str]:
    """What `--class NAME=CLASS` says, each given once or more."""
    meanings = {}
    for text in renamed:
        name, sign, meaning = text.partition("=")
        if not sign or not name.strip():
            raise click.BadParameter(f"expected NAME=CLASS, got {text!r}", param_hint="--class")
        meanings[name.strip()] = meaning.strip()
    return meanings


def _rename(found: Dataset, meanings: Mapping[str, str], taxonomy: Taxonomy, *, quiet: bool) -> Dataset:
    from binsight.dataset.labels import resolve_classes

    means = {found.find_class(name): meaning for name, meaning in meanings.items()}
    wanted = {name: means.get(name, name) for name in found.classes if means.get(name) != _LEFT_OUT}
    try:
        ids = resolve_classes(wanted.values(), taxonomy, where=str(found.root))
    except TaxonomyError as error:
        raise TaxonomyError(f"{error}; --class NAME=CLASS says what is meant, --class NAME= leaves it out") from error
    left_out = Counter(s.class_id for s in found if s.class_id not in wanted)
    if left_out and not quiet:
        listed = ", ".join(f"{count:,} {plain(name)}" for name, count in left_out.items())
        click.echo(f"note: photos left out as asked: {listed}", err=True)
    samples = tuple(replace(s, class_id=ids[wanted[s.class_id]]) for s in found if s.class_id in wanted)
    return replace(found, classes=taxonomy.ids, samples=samples, taxonomy=taxonomy)


def _labelled(found: Dataset, copies: Sequence[int], groups: tuple[str, ...] | None = None) -> LabelledSet:
    import numpy as np

    from binsight.evaluation import LabelledSet

    paths = tuple(found.file(s) for s in found)
    return LabelledSet(paths, found.labels.astype("intp"), found.root, groups, np.asarray(copies, np.intp))


def _find_copies(found: Dataset, *, workers: int | None, quiet: bool) -> Sequence[int]:
    """Which photos are copies of each other: these count as one observation."""
    from binsight.dataset.duplicates import duplicate_groups

    with progress_bar("Looking for copies", quiet=quiet) as progress:
        return duplicate_groups(found, workers=workers, progress=progress)


def _choose(found: Dataset, split: str | None) -> tuple[Dataset, str]:
    """The photos of a split, and what they are called."""
    name = found.find_split(split)
    return (found, found.root.name or "photos") if name is None else (found.in_split(name), name)


def _groups(found: Dataset, column: str) -> tuple[str, ...]:
    columns = sorted({name for s in found for name in s.extra})
    if column not in columns:
        raise DatasetError(f"{found.root}: no column {column!r}; {suggest(column, columns)}")
    return tuple(s.extra.get(column) or "not said" for s in found)
