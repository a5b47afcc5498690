"""Which public sets of waste photos there are, where they come from, and under what licence."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from binsight.errors import DatasetError
from binsight.settings import suggest
from binsight.taxonomy import folder_name_fault, name_key

__all__ = ["Catalogue", "PublicSet", "RemoteFile"]

_SET_KEYS = {"name", "title", "home", "licence", "photos", "kaggle", "folders", "only", "crops", "classes", "files"}
_FILE_KEYS = {"name", "urls", "bytes", "about_bytes", "sha256"}
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One archive of a set.

    Attributes:
        name: what it is called here; ends in `.zip`, `.tar`, `.tar.gz` or `.tgz`.
        urls: where it can be had; the first that answers is taken.
        bytes: its exact size, where it is known.
        about_bytes: its size more or less, for people.
        sha256: of its bytes, where it is known.
    """

    name: str
    urls: tuple[str, ...]
    bytes: int | None = None
    about_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class PublicSet:
    """A public set of photos.

    Attributes:
        name: what it is asked for by.
        title: what a person reads.
        home: the page that describes it.
        licence: in words, with what is in doubt.
        classes: its classes → those of `waste8`; those without a counterpart are left out.
        photos: how many there are, where that is known.
        files: the archives, unless Kaggle has it.
        kaggle: its handle on Kaggle, `owner/name`.
        folders: where below the unpacked files the photos are; the first that exists counts.
        only: folders there that count; all when it is empty.
        crops: the COCO annotations below that folder, when the photos are to be cut to one object each.
    """

    name: str
    title: str
    home: str
    licence: str
    classes: Mapping[str, str]
    photos: int | None = None
    files: tuple[RemoteFile, ...] = ()
    kaggle: str | None = None
    folders: tuple[str, ...] = (".",)
    only: tuple[str, ...] = ()
    crops: str | None = None

    @property
    def download_bytes(self) -> int | None:
        """What is to be downloaded, more or less; None where that is not known."""
        sizes = [f.bytes or f.about_bytes for f in self.files]
        return sum(s for s in sizes if s) if sizes and all(sizes) else None

    def to_waste8(self, class_name: str) -> str | None:
        """The class of `waste8` that a class of this set is; None when it has no counterpart."""
        keys = {name_key(own): target for own, target in self.classes.items()}
        return keys.get(name_key(class_name))


@dataclass(frozen=True)
class Catalogue:
    """Public sets by name, in the order of their file."""

    sets: Mapping[str, PublicSet] = field(default_factory=dict)

    @classmethod
    def builtin(cls) -> Catalogue:
        """The catalogue in the package."""
        return cls.from_toml(resources.files("binsight.dataset").joinpath("catalogue.toml").read_text("utf-8"))

    @classmethod
    def from_toml(cls, text: str) -> Catalogue:
        """Read a catalogue; the format is in `docs/datasets.md`.

        Raises:
            DatasetError: listing every fault.
        """
        try:
            tables = tomllib.loads(text).get("sets", [])
        except tomllib.TOMLDecodeError as error:
            raise DatasetError(f"catalogue: not valid TOML: {error}") from error
        if not isinstance(tables, list) or not all(isinstance(t, Mapping) for t in tables):
            raise DatasetError("catalogue: expected an array of tables [[sets]]")
        faults = [fault for i, table in enumerate(tables) for fault in _set_faults(i, table)]
        names = [table.get("name") for table in tables]
        faults += [f"{name!r} occurs twice" for name in dict.fromkeys(names) if names.count(name) > 1]
        if faults:
            raise DatasetError("catalogue: " + "; ".join(faults))
        return cls({table["name"]: _public_set(table) for table in tables})

    def find(self, name: str) -> PublicSet:
        """The set called `name`.

        Raises:
            DatasetError: there is none; the message says which come closest.
        """
        if name in self.sets:
            return self.sets[name]
        raise DatasetError(f"no public set {name!r}; {suggest(name.lower(), self.sets)}")


def _public_set(table: Mapping[str, Any]) -> PublicSet:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    values["files"] = tuple(RemoteFile(**{**f, "urls": tuple(f["urls"])}) for f in table.get("files", []))
    return PublicSet(**values)


def _set_faults(position: int, table: Mapping[str, Any]) -> list[str]:
    where = f"set {table.get('name', position + 1)}"
    faults = [f"{where}: unknown key {key}" for key in sorted(set(table) - _SET_KEYS)]
    faults += [
        f"{where}: {key} must be a text" for key in ("name", "title", "home", "licence") if not _text(table, key)
    ]
    if not isinstance(table.get("classes"), Mapping):
        faults.append(f"{where}: expected a table of classes")
    if bool(table.get("kaggle")) == bool(table.get("files")):
        faults.append(f"{where}: expected either kaggle or files")
    for key in ("folders", "only", "crops"):
        named = table.get(key, [])
        for name in [named] if isinstance(named, str) else named:
            # The photos are moved out of there.
            if not isinstance(name, str) or any(map(folder_name_fault, PurePosixPath(name).parts)) or name[:1] == "/":
                faults.append(f"{where}: {key} {name!r}: expected a path below the unpacked files")
    for file in table.get("files", []):
        faults += [f"{where}: {fault}" for fault in _file_faults(file)]
    return faults


def _file_faults(file: Mapping[str, Any]) -> list[str]:
    name, urls, sha256 = file.get("name", ""), file.get("urls", []), file.get("sha256")
    faults = [f"file {name}: unknown key {key}" for key in sorted(set(file) - _FILE_KEYS)]
    if not _text(file, "name") or folder_name_fault(name) or name.startswith("."):
        faults.append(f"file {name!r}: expected a plain file name")
    elif not name.endswith(_ARCHIVE_SUFFIXES):
        faults.append(f"file {name}: expected one of {', '.join(_ARCHIVE_SUFFIXES)}")
    if not urls or any(urlsplit(str(url)).scheme not in {"http", "https"} for url in urls):
        faults.append(f"file {name}: expected http or https addresses")
    if sha256 is not None and (not isinstance(sha256, str) or len(sha256) != _SHA256_DIGITS):
        faults.append(f"file {name}: expected {_SHA256_DIGITS} hexadecimal digits as sha256")
    return faults


def _text(table: Mapping[str, Any], key: str) -> bool:
    return isinstance(table.get(key), str) and bool(table[key].strip())
