"""Finished hours of a line, counted once: what is asked of a day comes from 24 rows, not from all its pieces.

The line's writer counts an hour some minutes after its end. A piece that it writes into such an hour later outdates
it, in the same transaction; then its pieces are counted themselves, until the hour is counted anew. What auditors say
is not in there: they label pieces of any time.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain, pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from binsight.line.ledger.schema import PICTURED, Utc, hours, lines, pieces, thumbnails

__all__ = ["FinishedHours", "group_latencies", "group_pieces", "hour_of", "read_hours"]

_HOUR = dt.timedelta(hours=1)
_AFTER = dt.timedelta(minutes=10)  # its last pieces have their ends
_STEP = 6 * _HOUR  # counted in one transaction, for which a command waits
_KEYS = tuple(pieces.c[name] for name in ("status", "reason", "decision", "lane", "category", "shift"))


def hour_of(dialect: str) -> sa.ColumnElement[Any]:
    """The beginning of the hour in which a piece was seen."""
    if dialect == "sqlite":  # there a time is text, `2026-01-02 03:04:05.678000`
        text = sa.func.substr(pieces.c.seen_at, 1, 14, type_=sa.String()) + "00:00.000000"
        return sa.type_coerce(text, Utc()).label("hour")
    # In UTC, whatever zone the server is set to: some zones are off by half an hour.
    return sa.func.date_trunc("hour", sa.func.timezone("UTC", pieces.c.seen_at), type_=Utc()).label("hour")


def group_pieces(
    connection: sa.Connection, *where: sa.ColumnElement[bool], truth: Iterable[sa.ColumnElement[Any]] = ()
) -> list[tuple[Any, ...]]:
    """Hour, status, reason, decision, lane, category, shift and `truth` of pieces, and how many have them in common."""
    columns = (hour_of(connection.dialect.name), *_KEYS, *truth)
    return list(map(tuple, connection.execute(sa.select(*columns, sa.func.count()).where(*where).group_by(*columns))))


def group_latencies(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[tuple[dt.datetime, int, int]]:
    """Hour, tenths of a millisecond from capture to command, and how many commanded pieces took that long."""
    hour = hour_of(connection.dialect.name)
    tenth = sa.cast(sa.func.round(pieces.c.latency_ms * 10), sa.Integer).label("tenth")
    known = (pieces.c.latency_ms.is_not(None), pieces.c.commanded_at.is_not(None))
    query = sa.select(hour, tenth, sa.func.count()).where(*where, *known).group_by(hour, tenth)
    return list(map(tuple, connection.execute(query)))


def read_hours(
    connection: sa.Connection, line: str, times: Sequence[dt.datetime], column: sa.Column[Any]
) -> tuple[dict[dt.datetime, list[Any]], list[tuple[dt.datetime, dt.datetime]]]:
    """What a column of `hours` has of the time between the first and the last of `times`, which rise.

    Returns:
        Its values by hour, without hours that one of `times` divides; and the rest, where pieces themselves are to be
        counted, in parts that none of them divides.
    """
    first, last = _floor(times[0] + _HOUR - dt.timedelta.resolution), _floor(times[-1])
    # One question: what is counted, and until when, belong together.
    here = sa.and_(hours.c.line == lines.c.name, hours.c.hour >= first, hours.c.hour < last)
    query = sa.select(lines.c.counted_until, hours.c.hour, column).select_from(lines.outerjoin(hours, here))
    rows = connection.execute(query.where(lines.c.name == line)).all()
    last = min(last, rows[0].counted_until or first) if rows else first
    divided = {_floor(at) for at in times} - set(times)
    found = {hour: values for _, hour, values in rows if hour is not None and hour < last}
    rest = [(hour, hour + _HOUR) for hour, values in found.items() if values is None or hour in divided]
    rest += [(times[0], first), (last, times[-1])] if first < last else [(times[0], times[-1])]
    parts = [pairwise(sorted({a, b, *(at for at in times if a < at < b)})) for a, b in rest]
    return {h: v for h, v in found.items() if v is not None and h not in divided}, list(chain.from_iterable(parts))


class FinishedHours:
    """Counts the hours of the lines that a writer writes."""

    def __init__(self) -> None:
        self._until: dict[str, dt.datetime | None] = {}

    def begin(self, line: str, until: dt.datetime | None) -> None:
        """The hours of a line are counted until then; None: none is."""
        self._until[line] = until

    def outdate(self, connection: sa.Connection, line: str, times: Iterable[dt.datetime]) -> None:
        """Pieces of these times have changed, or will, in this transaction."""
        if line in self._until:
            until = self._until[line]
            times = () if until is None else [at for at in times if at < until]
        if late := {_floor(at) for at in times}:
            _put(connection, [{"line": line, "hour": hour, "counts": None, "latencies": None} for hour in sorted(late)])

    def count(self, begin: Callable[[], AbstractContextManager[sa.Connection]], now: dt.datetime) -> Iterator[int]:
        """Count what has ended, in steps of one transaction each; gives how many hours that were."""
        finished = _floor(now - _AFTER)
        for line in list(self._until):
            outdated = sa.select(hours.c.hour).where(hours.c.line == line, hours.c.counts.is_(None))
            while True:
                with begin() as connection:
                    again = connection.execute(outdated.where(hours.c.hour < finished).limit(1)).scalar()
                    if again is not None:
                        _count(connection, line, again, again + _HOUR, empty=True)
                yield int(again is not None)
                if again is None:
                    break
            until = self._until[line]
            while until is None or until < finished:
                with begin() as connection:
                    first = sa.select(sa.func.min(pieces.c.seen_at)).where(pieces.c.line == line)
                    if until is not None:
                        first = first.where(pieces.c.seen_at >= until)
                    next_at = connection.execute(first).scalar()
                    since = finished if next_at is None else min(finished, _floor(next_at))
                    until = min(finished, since + _STEP)
                    done = _count(connection, line, since, until)
                    connection.execute(sa.update(lines).where(lines.c.name == line).values(counted_until=until))
                self._until[line] = until
                yield done


def _count(connection: sa.Connection, line: str, since: dt.datetime, until: dt.datetime, *, empty: bool = False) -> int:
    """Count the pieces of whole hours; how many have some, or had, where it is `empty` now.

    Where the picture of a piece that waits for its auditor was lost, this is noted.
    """
    where = (pieces.c.line == line, pieces.c.seen_at >= since, pieces.c.seen_at < until)
    open_ = (pieces.c.audit_probability.is_not(None), pieces.c.audited_at.is_(None), pieces.c.thumbnail.is_not(None))
    picture = sa.select(thumbnails.c.key).where(PICTURED).correlate(pieces)
    connection.execute(sa.update(pieces).where(*where, *open_, ~picture.exists()).values(thumbnail=None))
    counts: dict[dt.datetime, list[Any]] = defaultdict(list)
    latencies: dict[dt.datetime, list[Any]] = defaultdict(list)
    for hour, *values in group_pieces(connection, *where):
        counts[hour].append(values)
    for hour, *values in group_latencies(connection, *where):
        latencies[hour].append(values)
    found = counts.keys() | ({since} if empty else set())
    _put(
        connection,
        [{"line": line, "hour": hour, "counts": counts[hour], "latencies": latencies[hour]} for hour in sorted(found)],
    )
    return len(found)


def _put(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    if rows:
        statement: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(hours)
        values = {name: statement.excluded[name] for name in ("counts", "latencies")}
        connection.execute(statement.on_conflict_do_update(index_elements=["line", "hour"], set_=values), rows)


def _floor(at: dt.datetime) -> dt.datetime:
    return at.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
