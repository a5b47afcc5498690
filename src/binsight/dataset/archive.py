"""Unpack an archive from the internet without letting it do harm."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from binsight.errors import DatasetError, OutputError
from binsight.progress import Progress, unheard
from binsight.taxonomy import folder_name_fault

__all__ = ["ArchiveLimits", "unpack"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """The largest archive that is unpacked.

    Attributes:
        max_files: entries.
        max_bytes: of all files, unpacked.
        max_ratio: unpacked bytes for each packed one; photos are compressed already, so little is gained by packing.
    """

    max_files: int = 500_000
    max_bytes: int = 100_000_000_000
    max_ratio: float = 50.0


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file in an archive."""

    name: str
    size: int
    source: zipfile.ZipInfo | tarfile.TarInfo


def unpack(archive: Path, folder: Path, *, limits: ArchiveLimits | None = None, progress: Progress = unheard) -> int:
    """Unpack a .zip or .tar archive into `folder`, which must not exist yet.

    Nothing is written when an entry would land outside the folder, is a link or a device, or when the whole is larger
    than the limits or the free space. What an entry claims as its size is all that is written of it.

    Args:
        archive: the file.
        folder: made here; removed again when something goes wrong.
        limits: the largest archive accepted.
        progress: called as files are done.

    Returns:
        How many files were written.

    Raises:
        DatasetError: the archive is damaged, or refused for one of the reasons above.
        OutputError: a file cannot be written.
    """
    limits = limits or ArchiveLimits()
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror or error}") from error
    try:
        opened = _open(archive)
        with opened:
            entries = list(_entries(opened, archive, limits))
            _check_total(archive, entries, limits, shutil.disk_usage(folder).free)
            for done, entry in enumerate(entries, start=1):
                _write(opened, entry, folder, archive)
                progress(done, len(entries))
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError)):
            raise DatasetError(f"{archive}: damaged or unusual archive: {error}; download it again") from error
        if isinstance(error, OSError) and not isinstance(error, OutputError):
            raise OutputError(f"cannot unpack {archive}: {error.strerror or error}") from error
        raise
    return len(entries)


def _open(archive: Path) -> zipfile.ZipFile | tarfile.TarFile:
    if archive.name.endswith(".zip"):
        return zipfile.ZipFile(archive)
    return tarfile.open(archive)


def _entries(opened: zipfile.ZipFile | tarfile.TarFile, archive: Path, limits: ArchiveLimits) -> Iterator[_Entry]:
    """The files of the archive; folders are made as files need them."""
    taken: set[str] = set()
    infos: Iterable[zipfile.ZipInfo | tarfile.TarInfo] = (
        opened.infolist() if isinstance(opened, zipfile.ZipFile) else opened
    )
    for count, info in enumerate(infos, start=1):
        if count > limits.max_files:
            raise DatasetError(f"{archive}: more than {limits.max_files:,} entries; refused")
        if info.is_dir() if isinstance(info, zipfile.ZipInfo) else info.isdir():
            continue
        entry = _entry(info)
        if fault := _name_fault(entry.name) or _type_fault(info):
            raise DatasetError(f"{archive}: entry {entry.name!r} {fault}; refused")
        if entry.name.casefold() in taken:
            raise DatasetError(f"{archive}: entry {entry.name!r} occurs twice; refused")
        taken.add(entry.name.casefold())
        yield entry


def _entry(info: zipfile.ZipInfo | tarfile.TarInfo) -> _Entry:
    if isinstance(info, zipfile.ZipInfo):
        return _Entry(info.filename, info.file_size, info)
    return _Entry(info.name.removeprefix("./"), info.size, info)


def _name_fault(name: str) -> str | None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return "would lie outside the folder"
    return next((fault for part in path.parts if (fault := folder_name_fault(part))), None)


def _type_fault(info: zipfile.ZipInfo | tarfile.TarInfo) -> str | None:
    if isinstance(info, tarfile.TarInfo):
        return None if info.isreg() else "is no plain file"
    kind = stat.S_IFMT(info.external_attr >> 16)
    return None if kind in {0, stat.S_IFREG} else "is no plain file"


def _check_total(archive: Path, entries: list[_Entry], limits: ArchiveLimits, free: int) -> None:
    total = sum(e.size for e in entries)
    packed = archive.stat().st_size
    if total > limits.max_bytes:
        raise DatasetError(f"{archive}: {total:,} bytes unpacked, more than {limits.max_bytes:,}; refused")
    if total > limits.max_ratio * packed:
        raise DatasetError(f"{archive}: {packed:,} bytes would become {total:,}; refused as a decompression bomb")
    if total > free:
        raise OutputError(f"{archive} needs {total:,} bytes unpacked, {free:,} are free")


def _read(opened: zipfile.ZipFile | tarfile.TarFile, entry: _Entry) -> IO[bytes]:
    if isinstance(opened, zipfile.ZipFile):
        return opened.open(entry.source)  # type: ignore[arg-type]  # a ZipFile's entries are ZipInfo
    source = opened.extractfile(entry.source)  # type: ignore[arg-type]  # a TarFile's are TarInfo
    assert source is not None  # noqa: S101 - only plain files come this far
    return source


def _write(opened: zipfile.ZipFile | tarfile.TarFile, entry: _Entry, folder: Path, archive: Path) -> None:
    target = folder / entry.name
    target.parent.mkdir(parents=True, exist_ok=True)
    source = _read(opened, entry)
    left = entry.size
    with source, target.open("xb") as file:
        while left > 0 and (chunk := source.read(min(_CHUNK, left))):
            file.write(chunk)
            left -= len(chunk)
        if left or source.read(1):
            raise DatasetError(f"{archive}: entry {entry.name!r} is not as long as it claims; refused")
