"""What was found out about photos before, so that it is not found out again: one SQLite file.

It is never needed: where it cannot be read or written, a warning says so once and the work goes on without. A damaged
one is made anew; a file that is something else is left alone.
"""

from __future__ import annotations

import sqlite3
import stat
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from binsight.errors import OutputError
from binsight.notes import Note

__all__ = ["PhotoCache", "is_cache"]

# Either tells which files are ours, also damaged ones: SQLite keeps the comment as it is on the first page.
_APPLICATION_ID = int.from_bytes(b"bsig", "big")
_MARK = "binsight photo cache 6c1f9ad27e"
# The number is the format of the values: another one starts afresh.
_CREATE = f"""
CREATE TABLE IF NOT EXISTS photos_1 (/* {_MARK} */ kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
PRIMARY KEY (kind, key)) WITHOUT ROWID
"""
_LARGEST_PAGE = 65536
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY_TIMEOUT_S = 2.0
_AT_ONCE = 500  # SQLite takes at most 999 parameters in old builds
_CHECK_BYTES = 4

T = TypeVar("T")


class PhotoCache:
    """Values by kind and key, each with a checksum. Use it from one thread.

    Args:
        path: the file; None remembers nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    @classmethod
    @contextmanager
    def open(cls, path: str | Path | None) -> Iterator[PhotoCache]:
        """The cache at `path`, which is made when it is missing; with None, one that remembers nothing.

        Raises:
            OutputError: there is something at `path` that is no cache.
        """
        cache = cls(None if path is None else Path(path))
        if path is not None and not is_cache(Path(path)):
            raise OutputError(f"{path} is no cache of binsight and is left as it is; name another file")
        try:
            yield cache
        finally:
            cache._close()

    def get(self, kind: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values that are there."""
        return self._try(lambda connection: dict(_select(connection, kind, keys))) or {}

    def put(self, kind: str, values: Mapping[bytes, bytes]) -> None:
        """Keep all at once, or none."""
        if values:
            self._try(lambda connection: _insert(connection, kind, values))

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` gives; None where the cache cannot be used."""
        for is_last in (False, True):
            if self._path is None:
                break
            try:
                self._connection = self._connection or _connect(self._path)
                return work(self._connection)
            except (OSError, sqlite3.Error) as error:
                self._close()
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED and not is_last:
                    _remove(self._path)
                    continue
                warnings.warn(Note(f"going on without the cache {self._path}: {error}"), stacklevel=3)
                self._path = None
        return None

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def is_cache(path: Path) -> bool:
    """Whether the file is a cache, sound or damaged, or may become one: it is missing, or empty."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return False
        with path.open("rb") as file:
            head = file.read(_LARGEST_PAGE)
    except OSError:  # whoever goes on to use it says why not
        return True
    return not head or head[68:72] == _APPLICATION_ID.to_bytes(4, "big") or _MARK.encode() in head


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)
    try:
        if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(_CREATE)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _select(connection: sqlite3.Connection, kind: str, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        places = ",".join("?" * len(some))
        query = f"SELECT key, value FROM photos_1 WHERE kind = ? AND key IN ({places})"  # noqa: S608 - only question marks are put in
        for key, value in connection.execute(query, (kind, *some)):
            # SQLite does not notice when bytes inside a value change.
            if isinstance(value, bytes) and value[:_CHECK_BYTES] == _check(value[_CHECK_BYTES:]):
                yield key, value[_CHECK_BYTES:]


def _insert(connection: sqlite3.Connection, kind: str, values: Mapping[bytes, bytes]) -> None:
    with connection:
        rows = ((kind, key, _check(value) + value) for key, value in values.items())
        connection.executemany("INSERT OR REPLACE INTO photos_1 VALUES (?, ?, ?)", rows)


def _check(value: bytes) -> bytes:
    return zlib.crc32(value).to_bytes(_CHECK_BYTES, "big")
