"""What was found out about photos before, so that it is not found out again: one SQLite file.

A photo is the same as before when its path, size and time of change are. Only sound photos are remembered: whether an
error goes away may depend on more than the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from binsight.dataset.samples import Facts
from binsight.errors import OutputError

__all__ = ["FileKey", "ScanCache"]

# The number is the format of the rows: another one starts afresh.
_CREATE = """
CREATE TABLE IF NOT EXISTS photos_1 (
    path BLOB NOT NULL, limits TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, format TEXT NOT NULL,
    decoded INTEGER NOT NULL, PRIMARY KEY (path, limits)
) WITHOUT ROWID
"""
_SELECT = """
SELECT sha256, width, height, format, size, decoded FROM photos_1
WHERE path = ? AND limits = ? AND size = ? AND mtime_ns = ?
"""
_INSERT = "INSERT OR REPLACE INTO photos_1 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_BUSY_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class FileKey:
    """What a remembered photo is recognised by.

    Attributes:
        path: absolute.
        size: in bytes.
        mtime_ns: time of the last change, in nanoseconds.
        limits: the limits it was checked against, as text.
    """

    path: str
    size: int
    mtime_ns: int
    limits: str

    @classmethod
    def of(cls, path: Path, limits: str) -> FileKey | None:
        """The key of a file as it is now; None when it cannot be looked at."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(str(path), status.st_size, status.st_mtime_ns, limits)


class ScanCache:
    """Facts about photos in an SQLite file. Use it from one thread.

    Args:
        connection: to the file; `ScanCache.open` makes it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[ScanCache]:
        """Open or make the cache at `path`; a damaged file is thrown away, for all in it can be found out again.

        Raises:
            OutputError: it can be neither opened nor made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = _connect(path)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"cannot use the cache {path}: {error}; name another or scan without one") from error
        with contextlib.closing(connection):
            yield cls(connection)

    def get(self, key: FileKey) -> Facts | None:
        """What is remembered of the file, if it has not changed since."""
        row = self._connection.execute(_SELECT, (os.fsencode(key.path), key.limits, key.size, key.mtime_ns)).fetchone()
        if row is None:
            return None
        sha256, width, height, name, size, decoded = row
        return Facts(sha256=sha256, width=width, height=height, format=name, bytes=size, decoded=bool(decoded))

    def put(self, found: Iterable[tuple[FileKey, Facts]]) -> None:
        """Remember all at once, or none."""
        rows = [
            (os.fsencode(k.path), k.limits, k.size, k.mtime_ns, f.sha256, f.width, f.height, f.format, f.decoded)
            for k, f in found
            if f.error is None and f.bytes == k.size
        ]
        with self._connection:
            self._connection.executemany(_INSERT, rows)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return _connect_once(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # not an SQLite file, or no longer
        path.unlink()
        return _connect_once(path)


def _connect_once(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)
    try:
        connection.execute(_CREATE)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
