"""Which photos a job is of, one after another: a folder, an object store's prefix, a list, an inventory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from binsight.batch.inventory import INVENTORY, list_inventory
from binsight.batch.lists import LIST_SUFFIXES, list_addresses
from binsight.dataset.folder import PHOTO_SUFFIXES, walk_photos
from binsight.dataset.samples import Ignored
from binsight.errors import InputError
from binsight.stores import is_remote, open_bucket, split_address, translated

__all__ = ["Source", "find_source"]

_LISTED_AT_ONCE = 1000
_NAMES_KEPT = 5


@dataclass(slots=True)
class Source:
    """Photos to be listed, as often as wanted; memory does not grow with their number.

    Attributes:
        address: as it was given.
        base: the folder that relative paths of it start from.
        list_photos: starts a listing: addresses and paths, as the rows will have them.
        may_repeat: whether one photo may come twice.
        passed_over: what the last listing has seen that is no photo: how many.
        unreadable: folders whose photos are missing for that, and why; the first of them.
    """

    address: str
    base: Path
    list_photos: Callable[[Source], Iterator[str]]
    may_repeat: bool = False
    passed_over: int = 0
    unreadable: list[str] = field(default_factory=list)

    def photos(self) -> Iterator[str]:
        """The photos, listed anew.

        Raises:
            InputError: the source cannot be read, or is none.
            StoreError: its store refuses.
        """
        self.passed_over, self.unreadable = 0, []
        return self.list_photos(self)


def find_source(address: str, *, is_list: bool = False) -> Source:
    """What is meant by a folder, an object store's prefix, a list of photos, or an inventory.

    Args:
        address: of this machine, relative to the working folder, or of an object store.
        is_list: take a file for a list whatever it is called.

    Raises:
        InputError: there is nothing there.
    """
    here = Path.cwd()
    name = PurePosixPath(address).name.lower()
    if name == INVENTORY:
        return Source(address, here, _keep_photos(list_inventory), may_repeat=True)
    if is_list or name.removesuffix(".gz").endswith(LIST_SUFFIXES):
        base = here if is_remote(address) else Path(os.path.abspath(address)).parent  # noqa: PTH100 - links stay
        return Source(address, here, lambda source: list_addresses(source.address, base), may_repeat=True)
    if is_remote(address):
        return Source(address, here, _list_bucket)
    if not os.path.isdir(address):  # noqa: PTH112 - answers for a name that no file can have, too
        wanted = f"expected a folder, an address such as s3://bucket/photos/, or a list ({', '.join(LIST_SUFFIXES)})"
        missing = "" if os.path.lexists(address) else "; there is nothing of that name"
        raise InputError(f"{address}: {wanted}{missing}")
    return Source(address, here, _list_folder)


def _list_folder(source: Source) -> Iterator[str]:
    def note(entry: Ignored) -> None:
        source.passed_over += 1
        if entry.hides_photos and len(source.unreadable) < _NAMES_KEPT:
            source.unreadable.append(f"{entry.path}: {entry.reason}")

    for parts in walk_photos(Path(source.address), note):
        yield os.path.join(source.address, *parts)  # noqa: PTH118 - many of them


def _list_bucket(source: Source) -> Iterator[str]:
    root, prefix = split_address(source.address)
    with translated(source.address):
        for entries in open_bucket(root).list(prefix.strip("/") or None, chunk_size=_LISTED_AT_ONCE):
            for entry in entries:
                if _is_photo(entry["path"]):
                    yield f"{root}/{entry['path']}"
                else:
                    source.passed_over += 1


def _keep_photos(listing: Callable[[str], Iterator[str]]) -> Callable[[Source], Iterator[str]]:
    def listed(source: Source) -> Iterator[str]:
        for address in listing(source.address):
            if _is_photo(address):
                yield address
            else:
                source.passed_over += 1

    return listed


def _is_photo(address: str) -> bool:
    # There, a photo is told by its name alone: opening all objects would cost more than classifying them.
    return os.path.splitext(address)[1].lower() in PHOTO_SUFFIXES  # noqa: PTH122 - many of them
