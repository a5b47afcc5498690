"""Which photos a folder holds, and what their folders say of them: split, biodegradable or not, class.

Understood are `<class>/…`, `<split>/<class>/…`, and either with `biodegradable` and `non_biodegradable` folders above
the classes; all of it may lie in one more folder, as archives often have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from binsight.dataset.labels import biodegradability_name, is_split, split_name
from binsight.dataset.samples import Ignored
from binsight.errors import DatasetError, InputError, TaxonomyError, UnsupportedImageError
from binsight.imaging import sniff_format
from binsight.taxonomy import Taxonomy

__all__ = ["PHOTO_SUFFIXES", "Placed", "find_photos", "place_photos"]

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif"}
)
_SYSTEM_NAMES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "__pycache__", "@eadir", "$recycle.bin"}
    | {"system volume information", "lost+found"}
)
_SNIFFED_BYTES = 16


@dataclass(frozen=True, slots=True)
class Placed:
    """A photo and what its place among the folders says.

    Attributes:
        parts: of its path below the root.
        class_name: the class as the folder is called.
        split: `train`, `val` or `test`; None where no folder says.
        biodegradable: as a folder above the class says; None where none does.
    """

    parts: tuple[str, ...]
    class_name: str
    split: str | None = None
    biodegradable: bool | None = None


def find_photos(root: Path) -> tuple[list[tuple[str, ...]], list[Ignored]]:
    """The photos below `root`, as the parts of their paths, sorted; and what was passed over.

    A photo is told by its suffix, and a file with another suffix by its first bytes. Hidden and system files and
    folders are passed over. Links to folders are followed, but no folder is entered twice.

    Raises:
        InputError: a folder cannot be read.
    """
    photos: list[tuple[str, ...]] = []
    ignored: list[Ignored] = []
    entered: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(root, followlinks=True, onerror=_refuse):
        parts = Path(parent).relative_to(root).parts
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            ignored.append(Ignored("/".join(parts), "a link to a folder that was searched already"))
            continue
        entered.add((status.st_dev, status.st_ino))
        ignored += [Ignored("/".join((*parts, n)), why) for n in (*folders, *files) if (why := _passed_over(n))]
        folders[:] = sorted(name for name in folders if not _passed_over(name))
        for name in files:
            if _passed_over(name):
                continue
            if _is_photo(Path(parent, name)):
                photos.append((*parts, name))
            else:
                ignored.append(Ignored("/".join((*parts, name)), "not a photo"))
    return sorted(photos), sorted(ignored, key=lambda i: i.path)


def place_photos(
    photos: Sequence[tuple[str, ...]], taxonomy: Taxonomy | None, *, where: str
) -> tuple[list[Placed], list[Ignored]]:
    """What their folders say of the photos; those in no class folder come second.

    Args:
        photos: parts of the paths below the root.
        taxonomy: tells a class folder from one that only wraps the others.
        where: the root, for the message.

    Raises:
        DatasetError: no photo lies in a class folder, or splits and classes lie side by side.
    """
    depth = _wrapping(photos, taxonomy)
    loose = [parts for parts in photos if len(parts) - depth < 2]
    heads = {parts[depth] for parts in photos if len(parts) - depth >= 2}
    splits = {name for name in heads if is_split(name)}
    if splits and splits != heads:
        raise DatasetError(
            f"{where}: expected folders that are all splits or all classes, got {_some(splits)} beside "
            f"{_some(heads - splits)}; move one of them elsewhere, or write a manifest"
        )
    placed = []
    for parts in photos:
        found = _place(parts, depth, has_splits=bool(splits))
        if found is not None:
            placed.append(found)
        elif parts not in loose:
            loose.append(parts)
    if not placed:
        raise DatasetError(_nothing_found(where, photos))
    return placed, [Ignored("/".join(parts), "not in a class folder") for parts in loose]


def _place(parts: tuple[str, ...], depth: int, *, has_splits: bool) -> Placed | None:
    folders = parts[depth:-1]
    split = biodegradable = None
    if has_splits and folders:
        split, folders = split_name(folders[0]), folders[1:]
    # With nothing below it, such a folder is a class: a data set of two.
    if len(folders) > 1 and (biodegradable := biodegradability_name(folders[0])) is not None:
        folders = folders[1:]
    return Placed(parts, folders[0], split, biodegradable) if folders else None


def _wrapping(photos: Sequence[tuple[str, ...]], taxonomy: Taxonomy | None) -> int:
    """How many folders all photos share before splits or classes begin."""
    if not photos:
        return 0
    depth = 0
    first = photos[0]
    while (
        all(len(parts) > depth + 2 and parts[depth] == first[depth] for parts in photos)
        and not is_split(first[depth])
        and biodegradability_name(first[depth]) is None
        and not _is_class(first[depth], taxonomy)
    ):
        depth += 1
    return depth


def _is_class(name: str, taxonomy: Taxonomy | None) -> bool:
    try:
        return taxonomy is not None and bool(taxonomy.match(name))
    except TaxonomyError:
        return False


def _passed_over(name: str) -> str | None:
    if name.casefold() in _SYSTEM_NAMES:
        return "a system file"
    return "hidden" if name.startswith(".") else None


def _is_photo(path: Path) -> bool:
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            # Two letters are all that tells a BMP; too little for a file that does not claim to be one.
            return sniff_format(file.read(_SNIFFED_BYTES)) != "BMP"
    except (OSError, UnsupportedImageError):
        return False


def _refuse(error: OSError) -> None:
    raise InputError(f"cannot read {error.filename}: {error.strerror or error}") from error


def _nothing_found(where: str, photos: Sequence[tuple[str, ...]]) -> str:
    got = f"{len(photos):,} photos in no class folder" if photos else "no photos"
    return f"{where}: expected photos in folders <class>/ or train|val|test/<class>/, got {got}"


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:5]) + (f" and {len(ordered) - 5} more" if len(ordered) > 5 else "")
