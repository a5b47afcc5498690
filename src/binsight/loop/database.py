"""The loop's SQLite files: opened, locked, and their errors in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

from binsight.errors import InputError, OutputError

__all__ = ["StoreBusyError", "read_only", "transaction"]

_LOCK_TIMEOUT_S = 10.0
_VERSION = 4  # a file of an earlier one gets the tables that it lacks


class StoreBusyError(OutputError):
    """Another program holds a file of the loop for too long."""

    code: ClassVar[str] = "feedback_unavailable"


@contextmanager
def transaction(path: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """The file at `path`, made when it is missing, with the one write lock held; kept on success, undone on any error.

    Raises:
        OutputError: it cannot be written.
        StoreBusyError: another program holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a label that was answered for is on disk
            if connection.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                connection.executescript(f"{schema}PRAGMA user_version = {_VERSION};")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        reason = "another program holds it; try again" if busy else str(error)
        raise (StoreBusyError if busy else OutputError)(f"cannot write {path}: {reason}") from error
    except OSError as error:
        if isinstance(error, OutputError | InputError):
            raise
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """The file at `path`, to be read.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"no {path.name} in {path.parent}: expected the folder given to `binsight serve --loop`")
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_LOCK_TIMEOUT_S)
        ) as found:
            found.row_factory = sqlite3.Row
            yield found
    except sqlite3.Error as error:
        raise InputError(f"cannot read {path}: {error}") from error
