"""From what the user wrote to the photos that are meant: files, folders, patterns, standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from binsight.cli.options import download_advice
from binsight.errors import InputError

if TYPE_CHECKING:
    from binsight.dataset import Ignored

__all__ = ["STDIN", "Source", "find_photos", "find_sources"]

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """One photo to classify, or the reason why something asked for is none.

    Attributes:
        name: as it is shown: the path as given, or `-` for standard input.
        relative: where it is below the folder that was given; the bare file name otherwise. Results that are files
            keep this structure.
        fault: set where there is nothing to classify.
    """

    name: str
    relative: Path
    fault: InputError | None = None


def find_sources(
    arguments: Iterable[str], *, on_passed_over: Callable[[Ignored], None] = lambda _ignored: None
) -> list[Source]:
    """The photos that `arguments` mean, in their order; those of a folder sorted by path.

    A folder gives all photos below it, as `binsight.dataset.folder` finds them for a data set. An argument with `*`,
    `?` or `[` that names no file is a pattern, in which `**` matches any number of folders.

    Args:
        arguments: files, folders, patterns, or `-`.
        on_passed_over: called with every file and folder below a folder that is no photo, its path as it is shown.
    """
    return [source for argument in arguments for source in _expand(argument, on_passed_over)]


def find_photos(*arguments: str) -> list[Path]:
    """The photos that `arguments` mean, where all of them must be photos.

    Raises:
        InputError: one is not there, or is none.
    """
    sources = find_sources(arguments)
    for source in sources:
        if source.fault is not None:
            raise type(source.fault)(f"{source.name}: {source.fault}")
    return [Path(source.name) for source in sources]


def _expand(argument: str, on_passed_over: Callable[[Ignored], None]) -> Iterator[Source]:
    # Unlike those of `Path`, these tests also answer for a name that no file can have.
    if argument == STDIN:
        yield Source(STDIN, Path("stdin"))
    elif os.path.isdir(argument):  # noqa: PTH112
        yield from _folder(Path(argument), on_passed_over)
    elif os.path.lexists(argument):
        yield Source(argument, Path(Path(argument).name))
    elif advice := download_advice(argument, command="curl -sL {} | binsight predict -"):
        yield _fault(argument, advice)
    elif glob.has_magic(argument):
        yield from _pattern(argument)
    else:
        yield _fault(argument, "no such file or folder")


def _folder(folder: Path, on_passed_over: Callable[[Ignored], None]) -> Iterator[Source]:
    from binsight.dataset import folder as folders

    try:
        found, ignored = folders.find_photos(folder)
    except InputError as error:
        yield Source(str(folder), Path(folder.name), error)
        return
    for parts in found:
        yield Source(str(folder.joinpath(*parts)), Path(*parts))
    hidden = [entry for entry in ignored if entry.hides_photos]
    for entry in hidden:
        yield _fault(str(folder / entry.path), entry.reason)
    for entry in ignored:
        if not entry.hides_photos:
            on_passed_over(replace(entry, path=str(folder / entry.path)))
    if not found and not hidden:
        suffixes = ", ".join(sorted(folders.PHOTO_SUFFIXES))
        yield _fault(str(folder), f"no photos in this folder; looked for {suffixes} and what begins like a photo")


def _pattern(pattern: str) -> Iterator[Source]:
    found = sorted(path for path in glob.glob(pattern, recursive=True) if not Path(path).is_dir())  # noqa: PTH207 - keeps the path as written
    for path in found:
        yield Source(path, Path(Path(path).name))
    if not found:
        yield _fault(pattern, "no file matches this pattern")


def _fault(name: str, message: str) -> Source:
    return Source(name, Path(Path(name).name), InputError(message))
