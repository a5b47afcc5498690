"""Which photos a folder holds: one definition for every command that is given a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from binsight.dataset.samples import Ignored
from binsight.errors import InputError, UnsupportedImageError
from binsight.imaging import sniff_format

__all__ = ["PHOTO_SUFFIXES", "Parts", "find_photos", "folder_notes", "some", "walk_photos"]

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif"}
)
_SYSTEM_NAMES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "__pycache__", "@eadir", "$recycle.bin"}
    | {"system volume information", "lost+found"}
)
_SNIFFED_BYTES = 16
_NO_PHOTOS = "a folder without photos"

Parts = tuple[str, ...]
"""The parts of a path below a folder."""


def find_photos(root: Path) -> tuple[list[Parts], list[Ignored]]:
    """The photos below `root`, as the parts of their paths, sorted; and what was passed over, as `walk_photos` says.

    Raises:
        InputError: `root` cannot be read.
    """
    ignored: list[Ignored] = []
    searched: list[Parts] = []
    photos = sorted(walk_photos(root, ignored.append, searched.append))
    ignored += _without_photos(searched, photos, ignored)
    return photos, sorted(ignored, key=lambda i: i.path)


def walk_photos(
    root: Path, on_passed_over: Callable[[Ignored], object], on_folder: Callable[[Parts], object] = lambda _parts: None
) -> Iterator[Parts]:
    """The photos below `root`, as the parts of their paths, folder by folder; only the folders are kept in memory.

    A photo is told by its suffix, and a file with another suffix by its first bytes. Hidden and system files and
    folders are passed over, pipes, sockets and devices are never opened, and folders that cannot be read are told.
    Links to folders are followed, but no folder is entered twice.

    Args:
        root: the folder to search.
        on_passed_over: called with every file and folder that is no photo.
        on_folder: called with every folder that is searched.

    Raises:
        InputError: `root` cannot be read.
    """
    entered: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        path = Path(error.filename)
        if path == root:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        reason = f"cannot read this folder: {error.strerror or error}"
        on_passed_over(Ignored(path.relative_to(root).as_posix(), reason, hides_photos=True))

    for parent, folders, files in os.walk(root, followlinks=True, onerror=refuse):
        parts = Path(parent).relative_to(root).parts
        try:
            status = os.stat(parent)  # noqa: PTH116 - once for every folder of a large set
        except OSError as error:  # it went away
            refuse(error)
            continue
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            on_passed_over(Ignored("/".join(parts), "a link to a folder that was searched already"))
            continue
        entered.add((status.st_dev, status.st_ino))
        on_folder(parts)
        for name in folders:
            if why := _passed_over(name):
                on_passed_over(Ignored("/".join((*parts, name)), why))
        folders[:] = sorted(name for name in folders if not _passed_over(name))
        for name in sorted(files):
            if why := _passed_over(name) or _no_photo(os.path.join(parent, name)):  # noqa: PTH118 - likewise
                on_passed_over(Ignored("/".join((*parts, name)), why))
            else:
                yield (*parts, name)


def folder_notes(ignored: Sequence[Ignored]) -> Iterator[str]:
    """What a person should be told of what `find_photos` passed over."""
    for entry in ignored:
        if entry.hides_photos:
            yield f"{entry.path}: {entry.reason}; what is in it is missing"
    if empty := [entry.path for entry in ignored if entry.reason == _NO_PHOTOS]:
        yield f"no photos in {some(empty)}"


def some(names: Iterable[str]) -> str:
    """The first five of `names` in order, and how many more there are."""
    ordered = sorted(names)
    return ", ".join(ordered[:5]) + (f" and {len(ordered) - 5:,} more" if len(ordered) > 5 else "")


def _passed_over(name: str) -> str | None:
    if name.casefold() in _SYSTEM_NAMES:
        return "a system file"
    return "hidden" if name.startswith(".") else None


def _no_photo(path: str) -> str | None:
    """Why a file is no photo; None when it is one, or claims to be."""
    claims = os.path.splitext(path)[1].lower() in PHOTO_SUFFIXES  # noqa: PTH122 - many files
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - likewise
            return "a pipe, socket or device"
        if claims:
            return None
        with open(path, "rb") as file:  # noqa: PTH123 - likewise
            # Two letters are all that tells a BMP; too little for a file that does not claim to be one.
            return "not a photo" if sniff_format(file.read(_SNIFFED_BYTES)) == "BMP" else None
    except UnsupportedImageError:
        return "not a photo"
    except OSError as error:
        return None if claims else f"cannot be read: {error.strerror or error}"


def _without_photos(
    searched: Iterable[Parts], photos: Iterable[Parts], ignored: Sequence[Ignored]
) -> Iterator[Ignored]:
    """The uppermost folders that hold no photo at any depth."""
    holds = {parts[:n] for parts in photos for n in range(len(parts))}
    unknown = [i.path for i in ignored if i.hides_photos]
    for parts in searched:
        name = "/".join(parts)
        is_empty = parts and parts not in holds and parts[:-1] in holds
        if is_empty and not any(path.startswith(f"{name}/") for path in unknown):
            yield Ignored(name, _NO_PHOTOS)
