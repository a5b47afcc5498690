"""What waits for the server, on disk: results, and the pictures of those that it is still to be asked about."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from binsight.errors import OutputError
from binsight.sqlite import connect, upgrade

__all__ = ["Entry", "Outbox"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    message TEXT NOT NULL,
    photo BLOB,
    bytes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
_ROW_BYTES: Final = 64  # what the database adds to a result
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A result that nobody has taken yet.

    Attributes:
        seq: its number, rising by at least 1 from result to result of a device, over restarts too; never used twice.
        message: what is to be told; `seq` is in it.
        photo: a JPEG that the server is to be asked about first, or None.
    """

    seq: int
    message: dict[str, Any]
    photo: bytes | None


class Outbox:
    """Results in the order in which they came, kept until they are taken; a killed program loses none.

    A result is on the disk when `put` returns. It may be told twice, where the program was killed between the telling
    and `remove`; it has the same number then.

    Args:
        path: an SQLite file, made where there is none.
        max_bytes: of all messages and pictures; beyond it the oldest pictures are dropped, then the oldest results.

    Raises:
        OutputError: it cannot be opened or written. May be used from several threads.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self.changes = 0
        try:
            self._database = connect(path, timeout_s=5, shared=True)
            version = self._one("PRAGMA user_version")
            tables = self._one("SELECT count(*) FROM sqlite_master")
            if version != _VERSION and (version or tables):
                raise OutputError(f"{path}: expected a store that `binsight edge run` made, got another database")
            upgrade(self._database, _SCHEMA, _VERSION)  # a number that was told must not be given again
        except (sqlite3.Error, OSError) as error:
            raise OutputError(f"{path}: the store cannot be opened ({error})") from error

    def put(self, message: dict[str, Any], photo: bytes | None = None) -> int:
        """Keep a result; gives its number.

        Raises:
            OutputError: the disk is full or broken.
        """
        size = len(json.dumps(message)) + _ROW_BYTES + len(photo or b"")
        with self._changed:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                self._make_room(size)
                insert = "INSERT INTO results (message, photo, bytes) VALUES ('', ?, ?)"
                seq = self._database.execute(insert, (photo, size)).lastrowid
                text = json.dumps({**message, "seq": seq}, ensure_ascii=False, allow_nan=False)
                self._database.execute("UPDATE results SET message = ? WHERE seq = ?", (text, seq))
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise OutputError(f"{self._path}: the result cannot be kept ({error})") from error
            self._note_change()
        return int(seq or 0)

    def first(self, *, with_photo: bool) -> Entry | None:
        """The oldest result that waits for the server's opinion, or the oldest of those that do not."""
        wanted = "NOT NULL" if with_photo else "NULL"
        query = f"SELECT seq, message, photo FROM results WHERE photo IS {wanted} ORDER BY seq LIMIT 1"  # noqa: S608
        with self._lock, closing(self._database.execute(query)) as found:
            row = found.fetchone()
        return None if row is None else Entry(row[0], json.loads(row[1]), row[2])

    def settle(self, seq: int, message: dict[str, Any]) -> None:
        """Replace a message and drop its picture: the server was asked, or cannot be."""
        text = json.dumps(message, ensure_ascii=False, allow_nan=False)
        self._write("UPDATE results SET message = ?, photo = NULL, bytes = ? WHERE seq = ?",
                    (text, len(text) + _ROW_BYTES, seq))  # fmt: skip

    def remove(self, seq: int) -> None:
        """A result was taken."""
        self._write("DELETE FROM results WHERE seq = ?", (seq,))

    def wait(self, seen: int, timeout_s: float) -> None:
        """Until there were other changes than `seen`, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.changes != seen, timeout_s)

    def wake(self) -> None:
        """Let whoever waits go on."""
        with self._changed:
            self._note_change()

    def waiting(self) -> int:
        """How many results are kept."""
        with self._lock:
            return int(self._one("SELECT count(*) FROM results"))

    def dropped(self) -> dict[str, int]:
        """How many pictures and results had to make room, since the store was made."""
        with self._lock:
            found = dict(self._database.execute("SELECT name, value FROM counts").fetchall())
        return {name: int(found.get(name, 0)) for name in ("photos", "results")}

    def close(self) -> None:
        """Stop; what is kept stays."""
        with self._lock:
            self._database.close()

    def _one(self, query: str) -> Any:
        return self._database.execute(query).fetchone()[0]

    def _make_room(self, size: int) -> None:
        excess = self._one("SELECT coalesce(sum(bytes), 0) FROM results") + size - self._max_bytes
        for seq, photo, held in self._oldest("photo IS NOT NULL") if excess > 0 else ():
            if excess <= 0:
                return
            self._database.execute("UPDATE results SET photo = NULL, bytes = ? WHERE seq = ?", (held - photo, seq))
            self._count("photos")
            excess -= photo
        for seq, _, held in self._oldest("TRUE") if excess > 0 else ():
            if excess <= 0:
                return
            self._database.execute("DELETE FROM results WHERE seq = ?", (seq,))
            self._count("results")
            excess -= held

    def _oldest(self, condition: str) -> list[tuple[int, int, int]]:
        query = f"SELECT seq, coalesce(length(photo), 0), bytes FROM results WHERE {condition} ORDER BY seq"  # noqa: S608
        return self._database.execute(query).fetchall()

    def _count(self, name: str) -> None:
        self._database.execute(
            "INSERT INTO counts VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1", (name,)
        )

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._changed:
            try:
                self._database.execute(statement, values)
            except sqlite3.Error as error:
                raise OutputError(f"{self._path}: the store cannot be written ({error})") from error
            self._note_change()

    def _note_change(self) -> None:
        self.changes += 1
        self._changed.notify_all()
