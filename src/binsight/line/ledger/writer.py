"""The one writer of a ledger: what is queued is written in the order in which it came, in batches.

A row after which something is done (a command leaves) is written at once, with all that waits. A piece's first row,
without which it would not be counted, waits a tenth of a second for its decision; ends, pictures and events wait a
quarter, and that a command was accepted waits for what became of it. Of a line that is killed meanwhile the row is
there, and ends as `start` says.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from binsight.errors import InputError
from binsight.line.film import Film
from binsight.line.ledger.claim import Claim
from binsight.line.ledger.days import Days, are_divided
from binsight.line.ledger.hours import FinishedHours
from binsight.line.ledger.retention import Retention
from binsight.line.ledger.schema import AUDIT_COLUMNS, events, lines, pieces, thumbnails
from binsight.line.records import FAIL_SAFE_LANE, Piece

__all__ = ["LedgerWriter"]

_log = logging.getLogger(__name__)

_FIRST_S = 0.1  # of a piece that nothing is done with yet: it is decided meanwhile, and written once
_WAIT_S = 0.25  # of rows that a crash may make anew
_ANSWER_S = 5.0  # of an acknowledgement, which says nothing after a crash that the command does not say
_PATIENCE_S = 2.0  # at the start, with a line of the same name that has just ended
_MAX_WAITING = 100_000  # rows kept while the database is away; about two hours at 10 pieces a second
_MAX_FILMS = 1000  # pieces whose pictures wait, some 20 kB each
_PAUSES_S = (0.05, 0.2, 1.0, 5.0)  # between tries, the last for ever
_TIDY_S = 3600.0  # between two looks for what is too old
_COLUMNS = [column.name for column in fields(Piece)]
_AFTER_RESTART = {"commanded": "unknown", "acknowledged": "unknown", "seen": "late", "decided": "late"}


@dataclass(slots=True)
class _Waiting:
    """What is to be written next. A piece that changed twice is written once."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    answered: dict[str, Piece] = field(default_factory=dict)  # acknowledged; written with their ends
    thumbnails: dict[str, tuple[dt.datetime, Film]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    after: list[Callable[[bool], None]] = field(default_factory=list)
    due_s: float = math.inf
    answers_due_s: float = math.inf

    def __bool__(self) -> bool:
        return bool(self.pieces or self.answered or self.thumbnails or self.events or self.after)

    def take(self) -> tuple[_Waiting, _Waiting]:
        """What is to be written now, and what goes on waiting."""
        if time.monotonic() < self.answers_due_s:
            kept = _Waiting(answered=self.answered, due_s=self.answers_due_s, answers_due_s=self.answers_due_s)
            return replace(self, answered={}), kept
        return replace(self, pieces={**self.answered, **self.pieces}, answered={}), _Waiting()


class LedgerWriter:
    """Writes pieces, thumbnails and events; see `ports.Ledger`.

    Args:
        database: as `open_database` gives it.
        threaded: write on a thread of its own. Without one, `flush` writes in the calling thread: for virtual time.
        keep_days: the thread removes what is older when nothing waits to be written, see `Retention`; None: nothing.
    """

    def __init__(self, database: sa.Engine, *, threaded: bool = True, keep_days: int | None = None) -> None:
        self.database = database
        self._insert: Any = postgresql.insert if database.dialect.name == "postgresql" else sqlite.insert
        with database.connect() as connection:
            self._look(connection)
        self._using = threading.RLock()  # the connection: `start` is called from another thread
        self._connection: sa.Connection | None = None
        self._claims: dict[str, Claim] = {}
        self._hours = FinishedHours()
        self._waiting = _Waiting()
        self._changed = threading.Condition()
        self._busy = False
        self._closing = False
        self._confirms = True  # else an acknowledgement is an end
        self.fault: str | None = None  # why the last write failed; None while all is well
        self.lost = 0  # rows given up because too many waited
        self._keep_days = keep_days
        self._retention = None if keep_days is None else Retention(self._transaction, keep_days)
        self._tidying: Iterator[int] | None = None
        # A wall clock that jumps while the line runs must not make everything old.
        self._started = dt.datetime.now(dt.UTC), time.monotonic()
        self._tidy_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    def start(
        self, line: str, at: dt.datetime, *, confirms: bool = True, configuration: Mapping[str, Any] | None = None
    ) -> int:
        """Open a line's account and end what a killed run left open; see `ports.Ledger.start`.

        Raises:
            InputError: another line of that name writes into this ledger.
        """
        self._confirms = confirms
        with self._transaction() as connection:
            claim = self._claims.setdefault(line, Claim(line))
            claim.take(connection, patience_s=_PATIENCE_S)
            for status, end in _AFTER_RESTART.items():
                if status == "acknowledged" and not confirms:
                    continue
                left_open = sa.update(pieces).where(pieces.c.line == line, pieces.c.status == status)
                lane = {"lane": FAIL_SAFE_LANE} if end == "late" else {}
                ended = left_open.values(status=end, reason="restart", **lane).returning(pieces.c.seen_at)
                self._hours.outdate(connection, line, connection.execute(ended).scalars().all())
            told = {"configuration": configuration, "keep_days": self._keep_days}
            statement = self._insert(lines).values({"name": line, "since": at, **told})
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=told))
            newest = sa.select(sa.func.max(pieces.c.seq)).where(pieces.c.line == line).scalar_subquery()
            known = sa.select(lines.c.counted_until, newest, lines.c.last_seq).where(lines.c.name == line)
            counted_until, *last = connection.execute(known).one()
        self._hours.begin(line, counted_until)
        with self._changed:  # its hours, too
            self._tidying, self._tidy_at = None, time.monotonic()
            self._changed.notify_all()
        return max(seq or 0 for seq in last) + 1

    def put(self, piece: Piece, *, after: Callable[[bool], None] | None = None) -> None:
        """Queue a piece's row; see `ports.Ledger.put`."""
        with self._changed:
            if len(self._waiting.pieces) >= _MAX_WAITING and piece.id not in self._waiting.pieces:
                del self._waiting.pieces[next(iter(self._waiting.pieces))]
                self.lost += 1
            self._waiting.answered.pop(piece.id, None)
            if piece.status == "acknowledged" and self._confirms and piece.id not in self._waiting.pieces:
                self._waiting.answered[piece.id] = piece
                self._waiting.answers_due_s = min(self._waiting.answers_due_s, time.monotonic() + _ANSWER_S)
                self._wake(_ANSWER_S)
                return
            self._waiting.pieces[piece.id] = piece
            if after is not None:
                self._waiting.after.append(after)
            self._wake(0.0 if after is not None else _FIRST_S if piece.status == "seen" else _WAIT_S)

    def keep(self, piece: Piece, film: Film) -> None:
        """Queue the pictures of a piece; see `ports.Ledger.keep`."""
        with self._changed:
            if piece.thumbnail is not None and len(self._waiting.thumbnails) < _MAX_FILMS:
                self._waiting.thumbnails[piece.thumbnail] = (piece.seen_at, film)
            self._wake(_WAIT_S)

    def event(self, line: str, code: str, *, active: bool, detail: str, at: dt.datetime) -> None:
        """Queue a row of `events`."""
        with self._changed:
            if len(self._waiting.events) < _MAX_WAITING:
                self._waiting.events.append({"line": line, "code": code, "active": active, "detail": detail, "at": at})
            self._wake(_WAIT_S)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until all that was queued is written; without a thread, write it now."""
        if self._thread is None:
            while self._waiting:
                self._waiting.answers_due_s = 0.0
                if not self._write_waiting():
                    return False
            return True
        with self._changed:
            self._waiting.answers_due_s = 0.0
            if self._waiting:
                self._wake(0.0)
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout_s)

    def close(self) -> None:
        """Write what is queued, and stop; what cannot be written is said in the log."""
        self.flush()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._waiting:
            _log.error("ledger: %d rows could not be written: %s", len(self._waiting.pieces), self.fault)
        with self._using, suppress(sa.exc.SQLAlchemyError):
            for claim in self._claims.values():
                claim.release(self._connection)
        self._hang_up()
        self.database.dispose()

    def abandon(self) -> None:
        """Stop without writing what waits, as a killed process does."""
        with self._changed:
            self._waiting = _Waiting()
        self.close()

    def _run(self) -> None:
        failures = 0
        while True:
            called = self._wait()
            with self._changed:
                if self._closing and (not self._waiting or self.fault):
                    return
            if not called:
                self._tidy()
                continue
            failures = 0 if self._write_waiting() else failures + 1
            if failures:
                pause_s = _PAUSES_S[min(failures, len(_PAUSES_S)) - 1]
                with self._changed:
                    # New commands must hear soon that they cannot be written; they end the pause.
                    self._changed.wait_for(lambda: self._closing or self._waiting.after, pause_s)

    def _wait(self) -> bool:
        """Until something is to be written, or removed: then False."""
        with self._changed:
            while not self._closing:
                now_s = time.monotonic()
                tidy_at = math.inf if self._retention is None else self._tidy_at
                if now_s >= self._waiting.due_s:
                    return True
                if now_s >= tidy_at:
                    return False
                wakes_s = min(self._waiting.due_s, tidy_at)
                self._changed.wait(None if wakes_s == math.inf else wakes_s - now_s)
            return True

    def _wake(self, wait_s: float) -> None:
        """Have what waits written within a time. The lock is held."""
        due_s = time.monotonic() + wait_s
        if due_s < self._waiting.due_s:
            self._waiting.due_s = due_s
            self._changed.notify_all()

    def _tidy(self) -> None:
        """Remove one batch of what is too old."""
        assert self._retention is not None  # noqa: S101 - else nobody calls
        began, began_s = self._started
        now_s = time.monotonic()
        if (tidying := self._tidying) is None:
            now = began + dt.timedelta(seconds=now_s - began_s)
            tidying = self._tidying = chain(self._retention.batches(now), self._hours.count(self._transaction, now))
        try:
            done = next(tidying, None) is None
        except (sa.exc.SQLAlchemyError, InputError) as error:
            _log.warning("ledger: cannot remove what is too old: %s", getattr(error, "orig", error))
            done = True
        with self._changed:
            if done and self._tidying is tidying:
                self._tidying, self._tidy_at = None, now_s + _TIDY_S

    def _write_waiting(self) -> bool:
        with self._changed:
            batch, self._waiting = self._waiting.take()
            self._busy = True
        try:
            self._write(batch)
        except (sa.exc.SQLAlchemyError, InputError) as error:
            self._take_back(batch, error)
            written = False
        else:
            self.fault = None
            written = True
        for after in batch.after:
            after(written)
        with self._changed:
            self._busy = False
            self._changed.notify_all()
        return written

    def _take_back(self, batch: _Waiting, error: Exception) -> None:
        fault = str(getattr(error, "orig", error)).strip().splitlines()[0]
        if self.fault is None:
            _log.error("ledger: cannot write (%s); keeping the rows and trying again", fault)
        self.fault = fault
        with self._changed:
            newer = self._waiting
            newer.pieces = {**batch.pieces, **newer.pieces}
            newer.thumbnails = {**batch.thumbnails, **newer.thumbnails}
            newer.events = [*batch.events, *newer.events]
            newer.due_s = 0.0

    def _write(self, batch: _Waiting) -> None:
        with self._transaction() as connection:
            if self._days is not None:
                pictured = (at for at, _ in batch.thumbnails.values())
                self._days.make(connection, {*(piece.seen_at for piece in batch.pieces.values()), *pictured})
            if batch.pieces:
                rows = [{name: getattr(piece, name) for name in _COLUMNS} for piece in batch.pieces.values()]
                connection.execute(self._put_pieces, rows)
                for line in {row["line"] for row in rows}:
                    self._hours.outdate(connection, line, [row["seen_at"] for row in rows if row["line"] == line])
            if batch.thumbnails:
                films = [_film_row(key, *kept) for key, kept in batch.thumbnails.items()]
                connection.execute(self._put_thumbnails, films)
            if batch.events:
                connection.execute(sa.insert(events), batch.events)

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        """In PostgreSQL on the one connection that holds the lines' names; after a failure the next one is new."""
        if self.database.dialect.name == "sqlite":
            with self.database.begin() as connection:
                yield connection
            return
        with self._using:
            if self._connection is None:
                connection = self.database.connect()
                try:
                    with connection.begin():
                        for claim in self._claims.values():
                            claim.take(connection)
                        self._look(connection)
                except BaseException:
                    connection.close()
                    raise
                self._connection = connection
            try:
                with self._connection.begin():
                    yield self._connection
            except sa.exc.SQLAlchemyError:
                self._hang_up()
                raise

    def _look(self, connection: sa.Connection) -> None:
        """How the tables are kept; that may have changed while they could not be written."""
        self._days = Days() if are_divided(connection) else None
        self._put_pieces = _upsert(self._insert, pieces, pieces.c.seen_at, self._days, AUDIT_COLUMNS)
        self._put_thumbnails = _upsert(self._insert, thumbnails, thumbnails.c.at, self._days)

    def _hang_up(self) -> None:
        with self._using:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.invalidate()  # not back to the pool, where it would keep the names
                connection.close()


def _upsert(
    insert: Any, table: sa.Table, time: sa.Column[Any], days: Days | None, untouched: tuple[str, ...] = ()
) -> Any:
    statement = insert(table)
    key = [column.name for column in table.primary_key] + ([time.name] if days else [])
    names = {column.name for column in table.columns} - {*key, *untouched}
    excluded = {name: statement.excluded[name] for name in sorted(names)}
    return statement.on_conflict_do_update(index_elements=key, set_=excluded)


def _film_row(key: str, at: dt.datetime, film: Film) -> dict[str, Any]:
    return {"key": key, "at": at, "jpeg": film.thumbnail, "views": list(film.views), "frames": film.frames}
