"""Features by the SHA-256 of their photos, in 256 files by its first byte, each added to and never written anew.

So keeping more costs what is new, not what is there; only the digests are held in memory. A file begins with the mark
`bsf1` and the number of features; each record is a digest, a checksum of the features, and these as float32.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from binsight.notes import Note
from binsight.system_errors import describe_os_error

__all__ = ["FeatureCache"]

_SAVED_AFTER_S = 30.0
_HEADER = struct.Struct("<4sI")
_MARK = b"bsf1"

Row = NDArray[np.float32]


class FeatureCache:
    """What is known of photos, by content. Reading is safe from several threads, adding from one.

    Args:
        folder: where it is kept; None keeps it for as long as this object lives.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._shards: dict[int, _Shard] = {}
        self._lock = threading.Lock()
        self._due = time.monotonic() + _SAVED_AFTER_S

    def get(self, digest: bytes) -> Row | None:
        """The features of the photo with that SHA-256; None where they are not known."""
        return self._shard(digest).get(digest)

    def put(self, digest: bytes, row: Row) -> None:
        """Keep the features of a photo; now and then, what is new is written."""
        self._shard(digest).put(digest, row)
        if time.monotonic() >= self._due:
            self.save()

    def save(self) -> None:
        """Write what is new; where that cannot be done, a note says so once, and the work goes on."""
        self._due = time.monotonic() + _SAVED_AFTER_S
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for shard in list(self._shards.values()):
                shard.save()
        except OSError as error:
            warnings.warn(Note(f"going on without the cache: {describe_os_error(error)}"), stacklevel=3)
            self._folder = None

    def _shard(self, digest: bytes) -> _Shard:
        number = digest[0]
        with self._lock:
            if number not in self._shards:
                self._shards[number] = _Shard(self._folder / f"{number:02x}.bin" if self._folder else None)
            return self._shards[number]


class _Shard:
    """One file: where each digest's record is, and what is not in it yet."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._state = _read(path)

    def get(self, digest: bytes) -> Row | None:
        state = self._state  # one and the same, while another thread may save
        if (row := state.new.get(digest)) is not None:
            return row
        place = state.places.get(digest)
        if place is None:
            return None
        record = state.records[place]
        found = np.array(record["row"], np.float32)
        return found if zlib.crc32(found.tobytes()) == record["check"] else None

    def put(self, digest: bytes, row: Row) -> None:
        if self.get(digest) is None:
            self._state.new[digest] = np.asarray(row, np.float32)

    def save(self) -> None:
        rows = self._state.new
        if self._path is None or not rows:
            return
        form = _record_type(len(next(iter(rows.values()))))
        new = [(np.frombuffer(digest, np.uint8), zlib.crc32(row.tobytes()), row) for digest, row in rows.items()]
        with self._path.open("a+b") as file:
            size = _sound_size(file, form)
            if size != file.seek(
                0, os.SEEK_END
            ):  # what a process that was killed has left would shift all that follows
                file.truncate(size)
            if not size:
                file.write(_HEADER.pack(_MARK, form["row"].shape[0]))
            file.write(np.array(new, form).tobytes())
        self._state = _read(self._path)  # with what others may have added


@dataclass(frozen=True, slots=True)
class _State:
    """The records on disk, where each digest's is, and what is in memory only."""

    records: Any
    places: dict[bytes, int]
    new: dict[bytes, Row]


def _record_type(size: int) -> np.dtype[Any]:
    return np.dtype([("digest", "u1", 32), ("check", "<u4"), ("row", "<f4", size)])


def _sound_size(file: BinaryIO, form: np.dtype[Any]) -> int:
    """The bytes of the file that can stay: its header and whole records; none where it is something else."""
    file.seek(0)
    if file.read(_HEADER.size) != _HEADER.pack(_MARK, form["row"].shape[0]):
        return 0
    return _HEADER.size + (file.seek(0, os.SEEK_END) - _HEADER.size) // form.itemsize * form.itemsize


def _read(path: Path | None) -> _State:
    """The whole records of a file, left on disk; none where there is no such file, or a damaged one."""
    records: Any = np.empty(0, _record_type(1))
    with suppress(OSError, ValueError, struct.error):
        if path is not None:
            with path.open("rb") as file:
                form = _record_type(_HEADER.unpack(file.read(_HEADER.size))[1])
                count = (_sound_size(file, form) - _HEADER.size) // form.itemsize
            if count > 0:
                records = np.memmap(path, form, "r", offset=_HEADER.size, shape=(count,))
    return _State(records, {digest.tobytes(): place for place, digest in enumerate(records["digest"])}, {})
