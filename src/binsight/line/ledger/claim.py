"""One line of a name writes into a ledger: the second is refused, for both would count with the same numbers."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from typing import NoReturn

import sqlalchemy as sa

from binsight.errors import InputError

__all__ = ["Claim"]

# A machine that lost its power is forgotten within half a minute, not two hours, so that its line can start again.
_FORGET = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
_KEY = "hashtextextended('binsight line ' || :line, 0)"
_HOLDER = f"""
    SELECT coalesce(host(client_addr), 'this machine') AS place, backend_start FROM pg_stat_activity
    JOIN pg_locks USING (pid), (SELECT {_KEY} AS key) AS wanted
    WHERE locktype = 'advisory' AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = key
"""  # noqa: S608 - the line is a parameter


class Claim:
    """Holds a line's name, as long as the process and, in PostgreSQL, the connection lives.

    In PostgreSQL the lock belongs to the very connection that writes: who has lost the one has lost the other. SQLite
    has no locks of that kind; there it is the lock of a second, empty file beside the ledger.

    Args:
        line: its name.
    """

    def __init__(self, line: str) -> None:
        self._line = line
        self._file: sqlite3.Connection | None = None

    def take(self, connection: sa.Connection, *, patience_s: float = 0.0) -> None:
        """Take the name, or have it already.

        Args:
            connection: that writes.
            patience_s: for PostgreSQL to notice that a line which has just ended is gone.

        Raises:
            InputError: another line has it.
        """
        if connection.dialect.name == "sqlite":
            self._take_file(connection.engine.url.database)
            return
        connection.execute(sa.text(_FORGET))
        line, end_s = {"line": self._line}, time.monotonic() + patience_s
        while not connection.execute(sa.text(f"SELECT pg_try_advisory_lock({_KEY})"), line).scalar():
            if time.monotonic() >= end_s:
                self._refuse(connection)
            time.sleep(0.05)

    def _refuse(self, connection: sa.Connection) -> NoReturn:
        holder = connection.execute(sa.text(_HOLDER), {"line": self._line}).first()
        who = "" if holder is None else f", from {holder.place} since {holder.backend_start:%Y-%m-%d %H:%M:%S %Z}"
        raise self._refusal(who)

    def release(self, connection: sa.Connection | None) -> None:
        """Let go of it: now, where a connection that is only closed is gone for PostgreSQL a moment later."""
        if connection is not None:
            connection.execute(sa.text(f"SELECT pg_advisory_unlock({_KEY})"), {"line": self._line})
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take_file(self, database: str | None) -> None:
        if self._file is not None or not database or database == ":memory:":
            return
        file = sqlite3.connect(f"{database}.{self._line}.lock", timeout=0, check_same_thread=False)
        try:
            file.execute("PRAGMA journal_mode = OFF")  # nothing is written, so no journal beside it either
            file.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            with suppress(sqlite3.Error):
                file.close()
            raise self._refusal("") from error
        self._file = file

    def _refusal(self, who: str) -> InputError:
        return InputError(
            f"a line named {self._line!r} writes into this ledger already{who}; lines that share a ledger need "
            "names of their own: [line] name in line.toml"
        )
