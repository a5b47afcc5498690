"""A bundle's files, from a folder or a zip, under one interface that trusts neither."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from binsight.errors import BundleError, InputError

__all__ = [
    "CALIBRATION_NAME",
    "CARD_NAME",
    "DELTA_NAME",
    "INT8_NAME",
    "MANIFEST_NAME",
    "MAX_FILES",
    "MAX_FILE_BYTES",
    "MAX_MANIFEST_BYTES",
    "MICRO_NAME",
    "MODEL_NAME",
    "NAME_PATTERN",
    "REPLAY_NAME",
    "Container",
    "FileEntry",
    "open_container",
]

MANIFEST_NAME = "bundle.json"
MODEL_NAME = "model.onnx"
DELTA_NAME = "model.onnx.delta"
INT8_NAME = "model.int8.onnx"
CARD_NAME = "card.md"
CALIBRATION_NAME = "calibration.json"
REPLAY_NAME = "replay.safetensors"
MICRO_NAME = "micro.tflite"
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 512 << 20
MAX_FILES = 64
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
# What zipfile raises for damaged archives; ValueError and OverflowError for names and offsets out of range.
_UNPACK_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What the manifest says of one file: its digest, and its size in bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, data: bytes) -> FileEntry:
        """The entry that describes `data`."""
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    def check(self, name: str, data: bytes) -> None:
        """Raise `BundleError` unless `data` is what this entry describes."""
        if len(data) != self.size:
            raise BundleError(f"expected {self.size:,} bytes, got {len(data):,}", file=name)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise BundleError("altered: its content does not match the sha256 in the manifest", file=name)


class Container(Protocol):
    """Named files, read whole."""

    def names(self) -> list[str]:
        """The names of all files that are there, sorted."""

    def size(self, name: str) -> int:
        """The size of a file in bytes, before anything of it is read."""

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            BundleError: it is missing, not a regular file, or cannot be read.
        """


def open_container(path: Path) -> Container:
    """The files of the bundle at `path`, a folder or a zip.

    Raises:
        InputError: there is nothing at `path`, or it cannot be read.
        BundleError: it is neither a folder nor a well-formed zip.
    """
    # Unlike those of `Path`, these also answer for a name that no file can have.
    if os.path.isdir(path):  # noqa: PTH112
        return _Folder(path)
    if not os.path.exists(path):  # noqa: PTH110
        raise InputError(f"no bundle at {path}")
    if not path.is_file():
        # Opening a pipe or a device could wait for ever.
        raise BundleError("expected a folder or a zip file, got a pipe or device")
    return _Zip(path)


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self._path.iterdir())
        except OSError as error:
            raise InputError(f"{self._path}: cannot be listed ({error.strerror})") from error

    def size(self, name: str) -> int:
        try:
            status = (self._path / name).stat()
        except OSError as error:
            raise BundleError(f"missing or unreadable ({error.strerror})", file=name) from error
        if not stat.S_ISREG(status.st_mode):
            raise BundleError("expected a regular file", file=name)
        return status.st_size

    def read(self, name: str) -> bytes:
        size = self.size(name)
        try:
            with (self._path / name).open("rb") as file:
                return file.read(size)
        except OSError as error:
            raise BundleError(f"cannot be read ({error.strerror})", file=name) from error


class _Zip:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
            raise BundleError(f"expected a folder or a zip file ({error})") from error
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        if len(infos) > MAX_FILES:
            raise BundleError(f"expected at most {MAX_FILES} files, got {len(infos)}")
        for info in infos:
            _check_entry(info)
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if info.filename in self._infos:
                raise BundleError("appears twice in the zip", file=info.filename)
            self._infos[info.filename] = info

    def names(self) -> list[str]:
        return sorted(self._infos)

    def size(self, name: str) -> int:
        return self._info(name).file_size

    def read(self, name: str) -> bytes:
        info = self._info(name)
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(info) as file:
                # zipfile stops at the size in the directory, whatever the compressed data would expand to.
                return file.read(info.file_size)
        except _UNPACK_ERRORS as error:
            raise BundleError(f"cannot be unpacked ({error})", file=name) from error

    def _info(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._infos[name]
        except KeyError:
            raise BundleError("missing", file=name) from None


def _check_entry(info: zipfile.ZipInfo) -> None:
    if not NAME_PATTERN.fullmatch(info.filename) or info.orig_filename != info.filename:
        raise BundleError(f"the zip holds {info.orig_filename!r}: only plain file names at the top level are allowed")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise BundleError("the zip holds a link where a file was expected", file=info.filename)
    if info.flag_bits & _ENCRYPTED:
        raise BundleError("encrypted; expected a plain zip", file=info.filename)
    if info.compress_type not in _COMPRESSIONS:
        raise BundleError("expected compression 'stored' or 'deflated'", file=info.filename)
    if info.file_size > MAX_FILE_BYTES:
        raise BundleError(f"expected at most {MAX_FILE_BYTES:,} bytes, got {info.file_size:,}", file=info.filename)
