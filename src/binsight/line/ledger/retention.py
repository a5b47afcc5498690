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
from collections.abc import Iterator

import sqlalchemy as sa

from binsight.line.ledger.days import Days, are_divided
from binsight.line.ledger.schema import events, lines, pieces, thumbnails

__all__ = ["Retention"]

_PICTURE_DAYS = 1
_BATCH = 200  # rows; a command that waits to be written is held up by no more than the deletion of so many


class Retention:
    """Removes what is too old, a little at a time.

    Args:
        database: the ledger.
        keep_days: of lines that did not tell; rows older than this are removed; 0 keeps them.
        batch: rows removed in one transaction.
    """

    def __init__(self, database: sa.Engine, keep_days: int, *, batch: int = _BATCH) -> None:
        self._database = database
        self._keep_days = keep_days
        self._batch = batch
        self._looked_until: dt.datetime | None = None  # pictures before this are of pieces drawn for the audit

    def remove(self, now: dt.datetime) -> int:
        """Remove all that is too old at `now`; how many rows and pictures that were, and tables of days."""
        return sum(self.batches(now))

    def batches(self, now: dt.datetime) -> Iterator[int]:
        """The same in steps: each one transaction; gives how many it removed."""
        yield from self._pictures(now - dt.timedelta(days=_PICTURE_DAYS))
        days = sa.func.coalesce(lines.c.keep_days, self._keep_days)
        with self._database.connect() as connection:
            kept = dict(map(tuple, connection.execute(sa.select(lines.c.name, days))))
            is_divided = are_divided(connection)
        longest = max((number or dt.timedelta.max.days for number in kept.values()), default=0)
        if is_divided and 0 < longest < dt.timedelta.max.days:
            yield from self._days(now - dt.timedelta(days=longest))
        for name, number in kept.items():
            if number:
                before = now - dt.timedelta(days=number)
                if not is_divided or number < longest:
                    yield from self._rows(name, before)
                old = (events.c.line == name, events.c.at < before)
                yield from self._delete(events, events.c.number, sa.select(events.c.number).where(*old))

    def _days(self, before: dt.datetime) -> Iterator[int]:
        days = Days(self._database)
        while dropped := days.drop(before):
            yield len(dropped)

    def _pictures(self, before: dt.datetime) -> Iterator[int]:
        """Of pieces that were not drawn, and of none; from where the last look ended."""
        # A picture's key is its piece's id.
        same = (pieces.c.id == thumbnails.c.key, pieces.c.seen_at == thumbnails.c.at)
        drawn = sa.exists().where(*same, pieces.c.audit_probability.is_not(None))
        query = sa.select(thumbnails.c.key).where(thumbnails.c.at < before, ~drawn)
        if self._looked_until is not None:
            query = query.where(thumbnails.c.at >= self._looked_until)
        yield from self._delete(thumbnails, thumbnails.c.key, query)
        self._looked_until = before

    def _rows(self, line: str, before: dt.datetime) -> Iterator[int]:
        newest = sa.select(sa.func.max(pieces.c.seq)).where(pieces.c.line == line).scalar_subquery()
        query = sa.select(pieces.c.id).where(pieces.c.line == line, pieces.c.seen_at < before, pieces.c.seq != newest)
        while True:
            with self._database.begin() as connection:
                ids = list(connection.execute(query.limit(self._batch)).scalars())
                connection.execute(sa.delete(thumbnails).where(thumbnails.c.key.in_(ids)))
                connection.execute(sa.delete(pieces).where(pieces.c.id.in_(ids)))
            yield len(ids)
            if len(ids) < self._batch:
                return

    def _delete(self, table: sa.Table, key: sa.Column[object], query: sa.Select[tuple[object]]) -> Iterator[int]:
        while True:
            with self._database.begin() as connection:
                keys = list(connection.execute(query.limit(self._batch)).scalars())
                connection.execute(sa.delete(table).where(key.in_(keys)))
            yield len(keys)
            if len(keys) < self._batch:
                return
