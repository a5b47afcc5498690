"""From what the user wrote to the photos that are meant: files, folders, patterns, standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from binsight.cli.options import download_advice
from binsight.errors import InputError

__all__ = ["PHOTO_SUFFIXES", "STDIN", "Source", "find_sources"]

STDIN = "-"
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif"})


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


def find_sources(arguments: Iterable[str]) -> list[Source]:
    """The photos that `arguments` mean, in their order; those of a folder sorted by path.

    A folder gives all photos below it, told by their suffix; hidden files and folders are passed over. An argument with
    `*`, `?` or `[` that names no file is a pattern, in which `**` matches any number of folders.
    """
    return [source for argument in arguments for source in _expand(argument)]


def _expand(argument: str) -> Iterator[Source]:
    # Unlike those of `Path`, these tests also answer for a name that no file can have.
    if argument == STDIN:
        yield Source(STDIN, Path("stdin"))
    elif os.path.isdir(argument):  # noqa: PTH112
        yield from _folder(Path(argument))
    elif os.path.lexists(argument):
        yield Source(argument, Path(Path(argument).name))
    elif advice := download_advice(argument, command="curl -sL {} | binsight predict -"):
        yield _fault(argument, advice)
    elif glob.has_magic(argument):
        yield from _pattern(argument)
    else:
        yield _fault(argument, "no such file or folder")


def _folder(folder: Path) -> Iterator[Source]:
    unreadable: list[OSError] = []
    found = sorted(_photos_below(folder, unreadable.append))
    for path in found:
        yield Source(str(path), path.relative_to(folder))
    for error in unreadable:
        yield _fault(str(error.filename), f"cannot read this folder: {error.strerror}")
    if not found and not unreadable:
        yield _fault(str(folder), f"no photos in this folder; looked for {', '.join(sorted(PHOTO_SUFFIXES))}")


def _photos_below(folder: Path, onerror: Callable[[OSError], None]) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=onerror):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in PHOTO_SUFFIXES:
                yield Path(parent, name)


def _pattern(pattern: str) -> Iterator[Source]:
    found = sorted(path for path in glob.glob(pattern, recursive=True) if not Path(path).is_dir())  # noqa: PTH207 - keeps the path as written
    for path in found:
        yield Source(path, Path(Path(path).name))
    if not found:
        yield _fault(pattern, "no file matches this pattern")


def _fault(name: str, message: str) -> Source:
    return Source(name, Path(Path(name).name), InputError(message))
