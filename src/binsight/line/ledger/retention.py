"""What a ledger forgets, and when.

- Rows, with their pictures, and events: after the `keep_days` of their line.
- Pictures of pieces that were not drawn for the audit: after one day. They are for looking at what just happened.
- Never the last sequence number of a line, for no number is used twice: its newest row stays, however old.

So a piece that waits for its auditor keeps row and picture for `keep_days`. With `keep_days` 0 rows, events and the
audit's pictures are kept for ever; the other pictures, of which there would be some gigabytes a day, are not.
Deleted rows leave room in the file for new ones: it stops growing, but does not get smaller.

A PostgreSQL that is kept by days drops each that is too old for every line; the lines' last numbers stand in `lines`.
Single rows are deleted there only of lines that keep theirs for less time than others do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from binsight.line.ledger.days import TURN, Days, are_divided
from binsight.line.ledger.schema import events, hours, lines, pieces, thumbnails

__all__ = ["Retention"]

_PICTURE_DAYS = 1
_BATCH = 200  # rows; a command that waits to be written is held up by no more than the deletion of so many
_TAKE_TURN = f"SELECT pg_try_advisory_xact_lock({TURN})"


class Retention:
    """Removes what is too old, a little at a time. Of many lines that are about to, one does it for all.

    Args:
        begin: a transaction on the ledger.
        keep_days: of lines that did not tell; rows older than this are removed; 0 keeps them.
        batch: rows removed in one transaction.
    """

    def __init__(
        self, begin: Callable[[], AbstractContextManager[sa.Connection]], keep_days: int, *, batch: int = _BATCH
    ) -> None:
        self._begin = begin
        self._keep_days = keep_days
        self._batch = batch
        self._looked_until: dt.datetime | None = None  # pictures before this are of pieces drawn for the audit

    def remove(self, now: dt.datetime) -> int:
        """Remove all that is too old at `now`; how many rows and pictures that were, and tables of days."""
        return sum(self.batches(now))

    def batches(self, now: dt.datetime) -> Iterator[int]:
        """The same in steps: each one transaction; gives how many it removed."""
        if not (yield from self._pictures(now - dt.timedelta(days=_PICTURE_DAYS))):
            return
        with self._begin() as connection:
            days = sa.func.coalesce(lines.c.keep_days, self._keep_days)
            names: dict[int, list[str]] = {}
            for name, number in connection.execute(sa.select(lines.c.name, days)):
                names.setdefault(number, []).append(name)
            is_divided = are_divided(connection)
        longest = 0 if 0 in names else max(names, default=0)
        if is_divided and longest:
            yield from self._repeat(lambda connection: len(Days.drop(connection, now - dt.timedelta(days=longest))), 1)
        for number, those in names.items():
            if number:
                before = now - dt.timedelta(days=number)
                if not is_divided or number != longest:
                    yield from self._rows(those, before)
                with self._begin() as connection:
                    connection.execute(sa.delete(hours).where(hours.c.line.in_(those), hours.c.hour < before))
                old = sa.select(events.c.number).where(events.c.line.in_(those), events.c.at < before)
                yield from self._delete(events.c.number, old)

    def _pictures(self, before: dt.datetime) -> Generator[int, None, bool]:
        """Of pieces that were not drawn, and of none; from where the last look ended. False where others are at it."""
        # A picture's key is its piece's id.
        same = (pieces.c.id == thumbnails.c.key, pieces.c.seen_at == thumbnails.c.at)
        drawn = sa.exists().where(*same, pieces.c.audit_probability.is_not(None))
        query = sa.select(thumbnails.c.key).where(thumbnails.c.at < before, ~drawn)
        if self._looked_until is not None:
            query = query.where(thumbnails.c.at >= self._looked_until)
        if done := (yield from self._delete(thumbnails.c.key, query)):
            self._looked_until = before
        return done

    def _rows(self, names: list[str], before: dt.datetime) -> Iterator[int]:
        same = pieces.alias()
        newest = sa.select(sa.func.max(same.c.seq)).where(same.c.line == lines.c.name).scalar_subquery()
        old = (pieces.c.line == lines.c.name, pieces.c.seen_at < before, pieces.c.seq != newest)
        yield from self._delete(pieces.c.id, sa.select(pieces.c.id).where(lines.c.name.in_(names), *old))

    def _delete(self, key: sa.Column[Any], query: sa.Select[Any]) -> Generator[int, None, bool]:
        """Rows with these keys; of pieces, their pictures as well."""

        def delete(connection: sa.Connection) -> int:
            keys = list(connection.execute(query.limit(self._batch)).scalars())
            for column in {key, thumbnails.c.key} if key is pieces.c.id else {key}:
                connection.execute(sa.delete(column.table).where(column.in_(keys)))
            return len(keys)

        return self._repeat(delete, self._batch)

    def _repeat(self, step: Callable[[sa.Connection], int], most: int) -> Generator[int, None, bool]:
        """A step in transactions of its own, as long as it finds so many; False where others are at it."""
        found = most
        while found >= most:
            with self._begin() as connection:
                if connection.dialect.name == "postgresql" and not connection.execute(sa.text(_TAKE_TURN)).scalar():
                    return False
                found = step(connection)
            yield found
        return True
