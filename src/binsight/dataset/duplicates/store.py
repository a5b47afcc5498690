"""What was computed from photos' content, kept in one SQLite file and found again by the content's hash.

A photo that was moved or renamed is found; one that was changed is not. Use it from one thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from binsight.errors import OutputError

__all__ = ["ContentStore"]

_CREATE = """
CREATE TABLE IF NOT EXISTS content (kind TEXT NOT NULL, sha256 TEXT NOT NULL, value BLOB NOT NULL,
PRIMARY KEY (kind, sha256)) WITHOUT ROWID
"""
_BUSY_TIMEOUT_S = 30
_AT_ONCE = 500  # SQLite takes at most 999 parameters in old builds


class ContentStore:
    """Values by `(kind, sha256)`.

    Args:
        connection: to the file; `ContentStore.open` makes it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, path: str | Path) -> Iterator[ContentStore]:
        """Open or make the store at `path`.

        Raises:
            OutputError: it can be neither opened nor made, or is no such store.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"cannot use the cache {path}: {error}; name another file") from error
        with contextlib.closing(connection):
            try:
                connection.execute(_CREATE)
            except sqlite3.Error as error:
                raise OutputError(f"cannot use the cache {path}: {error}; delete it or name another file") from error
            yield cls(connection)

    def get(self, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The values that are there."""
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            places = ",".join("?" * len(some))
            query = f"SELECT sha256, value FROM content WHERE kind = ? AND sha256 IN ({places})"  # noqa: S608 - only question marks are put in
            found.update(self._connection.execute(query, (kind, *some)).fetchall())
        return found

    def put(self, kind: str, values: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> None:
        """Keep all at once, or none."""
        rows = values.items() if isinstance(values, Mapping) else values
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO content VALUES (?, ?, ?)", ((kind, key, value) for key, value in rows)
            )
