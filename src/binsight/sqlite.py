"""SQLite files, opened in one way; what is wrong with one is said in words."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from binsight.errors import BinsightError, DiskFullError, InputError, OutputError

__all__ = ["FileBusyError", "connect", "read_only", "transaction", "upgrade"]

_LOCK_TIMEOUT_S = 10.0
_BLOCK = 4096  # bytes that the smallest file takes


class FileBusyError(OutputError):
    """Another program holds a file for too long."""

    code: ClassVar[str] = "busy"


def connect(path: Path, *, timeout_s: float | None = None, shared: bool = False) -> sqlite3.Connection:
    """Open a file, made when it is missing; outside a transaction each statement is kept at once.

    Args:
        path: in a folder that is there.
        timeout_s: how long other programs are waited for; by default ten seconds.
        shared: threads take turns with the connection.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    patience_s = _LOCK_TIMEOUT_S if timeout_s is None else timeout_s
    connection = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=not shared)
    connection.row_factory = sqlite3.Row
    return connection


def upgrade(connection: sqlite3.Connection, schema: str, version: int) -> None:
    """Write ahead, to the disk, and make the tables that a file of an earlier version lacks.

    Args:
        connection: of the file.
        schema: statements that change nothing where they were carried out before, each with its semicolon.
        version: of the schema, 1 or more.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # what was answered for outlives a power cut
    if connection.execute("PRAGMA user_version").fetchone()[0] < version:
        connection.executescript(f"{schema}PRAGMA user_version = {version};")


@contextmanager
def transaction(path: Path, schema: str, version: int = 1) -> Iterator[sqlite3.Connection]:
    """The file at `path`, made when it is missing, with the one write lock held; kept on success, undone on any error.

    Raises:
        FileBusyError: another program holds the file for too long.
        DiskFullError: there is no room for it.
        OutputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(connect(path)) as connection:
            upgrade(connection, schema, version)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                if connection.in_transaction:
                    connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise _write_error(path, error) from error
    except OSError as error:
        if isinstance(error, BinsightError):
            raise
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def read_only(path: Path, *, given_to: str = "binsight serve --loop") -> Iterator[sqlite3.Connection]:
    """The file at `path`, to be read.

    Raises:
        InputError: there is none, whose folder would be the one that was `given_to` a command; or it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"no {path.name} in {path.parent}: expected the folder given to `{given_to}`")
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_LOCK_TIMEOUT_S)) as found:
            found.row_factory = sqlite3.Row
            yield found
    except sqlite3.Error as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _write_error(path: Path, error: sqlite3.Error) -> OutputError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest tells kinds of one code apart
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return FileBusyError(f"cannot write {path}: another program holds it; try again")
    is_full = code == sqlite3.SQLITE_FULL
    with suppress(OSError):  # SQLite calls some writes on a full disk other names
        is_full = is_full or shutil.disk_usage(path.parent).free < _BLOCK
    if is_full:
        return DiskFullError(f"cannot write {path}: the disk is full")
    return OutputError(f"cannot write {path}: {error}")
