"""What a ledger tells: pieces counted in every way that a report or a dashboard asks for, and single ones.

Everything about many pieces comes from `count_pieces`, of finished hours without a look at them; `total` sums it up as
one likes.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from binsight.errors import InputError
from binsight.line.alarms import Alarm
from binsight.line.film import Film
from binsight.line.ledger.hours import group_latencies, group_pieces, hour_of, read_hours
from binsight.line.ledger.schema import PICTURED, Utc, events, hours, lines, pieces, thumbnails
from binsight.line.records import FAIL_SAFE_LANE, Piece

__all__ = [
    "PIECE",
    "Count",
    "Span",
    "choose_line",
    "count_pieces",
    "every_piece",
    "find_pieces",
    "hours_of",
    "last_seen",
    "latencies_between",
    "latency_percentiles",
    "read_events",
    "read_piece",
    "read_pieces",
    "total",
]

_STAYED = ("fail_safe", "late", "refused", "dropped")
PIECE = [pieces.c[field.name] for field in fields(Piece)]
"""The columns of which `Piece(*row)` is made."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which pieces are asked for.

    Attributes:
        line: its name.
        since: seen at this time or later.
        until: seen before.
        shift: only of the shift with this name.
    """

    line: str
    since: dt.datetime
    until: dt.datetime
    shift: str | None = None

    def holds(self) -> sa.ColumnElement[bool]:
        """The condition on rows of `pieces`; the index on line and time serves it."""
        inside = (pieces.c.line == self.line, pieces.c.seen_at >= self.since, pieces.c.seen_at < self.until)
        return sa.and_(*inside, *([] if self.shift is None else [pieces.c.shift == self.shift]))


@dataclass(frozen=True, slots=True)
class Count:
    """How many pieces have all of this in common.

    Attributes:
        at: beginning of the hour, or of the part of it that was asked for, in which they were seen, UTC.
        status: where in their lives they are.
        reason: why.
        decision: accept, review, or None.
        lane: where they were sent.
        category: what the model said.
        shift: name of the shift.
        true_category: what an auditor said, of pieces drawn at random for the audit; None for all others.
        pieces: how many.
    """

    at: dt.datetime
    status: str
    reason: str | None
    decision: str | None
    lane: int
    category: str | None
    shift: str | None
    true_category: str | None
    pieces: int

    @property
    def reached(self) -> int | None:
        """The lane they lie in: 0 for those that stayed on the belt, None where nobody knows (yet)."""
        if self.status in _STAYED or self.reason == "missed":
            return FAIL_SAFE_LANE
        return self.lane if self.status in {"acknowledged", "confirmed"} else None


def choose_line(database: sa.Engine, name: str | None = None) -> str:
    """The line that is meant: the one of that name, or the only one.

    Raises:
        InputError: there is none, or it has to be said which.
    """
    with database.connect() as connection:
        names: list[str] = sorted(connection.execute(sa.select(lines.c.name)).scalars())
        if name is not None and name not in names:
            # A ledger that was filled by hand may lack the row.
            known = connection.execute(sa.select(pieces.c.id).where(pieces.c.line == name).limit(1)).first()
            names += [name] if known else []
    if name is None and len(names) == 1:
        return names[0]
    if name is not None and name in names:
        return name
    there = f"it has {', '.join(names)}" if names else "it has none yet"
    raise InputError(f"no line {name!r} in this ledger; {there}" if name else f"which line? this ledger: {there}")


def last_seen(database: sa.Engine, line: str) -> dt.datetime | None:
    """When the newest piece was seen; None before there is one."""
    with database.connect() as connection:
        newest = sa.select(sa.func.max(pieces.c.seen_at)).where(pieces.c.line == line)
        return connection.execute(newest).scalar()


def count_pieces(database: sa.Engine, span: Span, cuts: Sequence[dt.datetime] = ()) -> list[Count]:
    """All pieces of a span, counted by hour and all that `Count` names, in order of time.

    An hour that one of `cuts` divides (they rise) is counted in parts.
    """
    # Who labels a piece that was not drawn has chosen it: it says nothing of the others.
    truth = sa.case((pieces.c.audit_probability.is_not(None), pieces.c.true_category)).label("truth")
    labelled = (pieces.c.audit_probability.is_not(None), pieces.c.audited_at.is_not(None))
    sums: Counter[tuple[Any, ...]] = Counter()
    with database.connect() as connection:
        finished, rest = read_hours(connection, span.line, (span.since, *cuts, span.until), hours.c.counts)
        for hour, rows in finished.items():
            sums.update({(hour, *key, None): number for *key, number in rows})
        for *key, said, number in group_pieces(connection, span.holds(), *labelled, truth=[truth]) if finished else []:
            if key[0] in finished:
                sums.update({(*key, said): number, (*key, None): -number})
        for since, until in rest:
            here = replace(span, since=since, until=until).holds()
            for hour, *key, number in group_pieces(connection, here, truth=[truth]):
                sums[max(hour, since), *key] += number
    counts = [Count(*(*key, number)) for key, number in sums.items() if number > 0]
    return sorted((c for c in counts if span.shift in {None, c.shift}), key=lambda count: count.at)


def hours_of(
    database: sa.Engine, span: Span, key: sa.ColumnElement[Any], *sums: sa.ColumnElement[Any]
) -> list[tuple[Any, ...]]:
    """For each hour (UTC) and each value of `key`: hour, value, pieces, and the sums."""
    at = hour_of(database.dialect.name)
    query = sa.select(at, key, sa.func.count(), *sums).where(span.holds()).group_by(at, key)
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def read_pieces(database: sa.Engine, span: Span) -> list[Piece]:
    """All pieces of a span, in the order in which they came."""
    query = sa.select(*PIECE).where(span.holds()).order_by(pieces.c.seen_at, pieces.c.seq)
    with database.connect() as connection:
        return [Piece(*row) for row in connection.execute(query)]


def every_piece(database: sa.Engine, line: str | None = None) -> list[Piece]:
    """All pieces of a ledger, or of one of its lines, by their sequence numbers."""
    mine = sa.true() if line is None else pieces.c.line == line
    with database.connect() as connection:
        return [Piece(*row) for row in connection.execute(sa.select(*PIECE).where(mine).order_by(pieces.c.seq))]


def total(counts: Iterable[Count], *names: str) -> Counter[Any]:
    """Pieces by one attribute of `Count`, or by tuples of several, the most frequent first.

    Pieces per lane are `total(counts, "reached")`, ends `total(counts, "status")`, per hour `total(counts, "at")`.
    """
    sums: Counter[Any] = Counter()
    for count in counts:
        values = tuple(getattr(count, name) for name in names)
        sums[values[0] if len(names) == 1 else values] += count.pieces
    return Counter(dict(sums.most_common()))


def latency_percentiles(
    database: sa.Engine, span: Span, percents: Sequence[float] = (50, 90, 99)
) -> dict[float, float] | None:
    """From capture to command in milliseconds, by nearest rank, exact to 0.1 ms; None where nothing was commanded."""
    return latencies_between(database, span, [span.since, span.until], percents)[0]


def latencies_between(
    database: sa.Engine, span: Span, times: Sequence[dt.datetime], percents: Sequence[float]
) -> list[dict[float, float] | None]:
    """The same for each time between two of `times`, which rise."""
    found: list[Counter[int]] = [Counter() for _ in times[1:]]
    with database.connect() as connection:
        column = hours.c.latencies
        finished, rest = ({}, pairwise(times)) if span.shift else read_hours(connection, span.line, times, column)
        for hour, rows in finished.items():
            found[bisect_right(times, hour) - 1].update(dict(rows))
        for since, until in rest:
            here = replace(span, since=since, until=until).holds()
            for _, tenth, count in group_latencies(connection, here):
                found[bisect_right(times, since) - 1][tenth] += count
    return [_ranked(sorted(histogram.items()), percents) for histogram in found]


def _ranked(histogram: Sequence[tuple[int, int]], percents: Sequence[float]) -> dict[float, float] | None:
    number = sum(count for _, count in histogram)
    return {percent: _nearest_rank(histogram, percent / 100 * number) / 10 for percent in percents} if number else None


def _nearest_rank(histogram: Sequence[tuple[int, int]], rank: float) -> int:
    passed = 0
    for value, count in histogram:
        passed += count
        if passed >= rank:
            return value
    return histogram[-1][0]


def find_pieces(
    database: sa.Engine,
    span: Span,
    *,
    statuses: Sequence[str] = (),
    lane: int | None = None,
    before: Piece | None = None,
    limit: int = 100,
) -> list[Piece]:
    """Pieces, the newest first; `before` is the last of the page before."""
    query = sa.select(*PIECE).where(span.holds()).order_by(pieces.c.seen_at.desc(), pieces.c.seq.desc())
    if statuses:
        query = query.where(pieces.c.status.in_(statuses))
    if lane is not None:
        query = query.where(pieces.c.lane == lane)
    if before is not None:
        older = sa.tuple_(pieces.c.seen_at, pieces.c.seq) < sa.tuple_(
            sa.literal(before.seen_at, Utc()), sa.literal(before.seq)
        )
        query = query.where(pieces.c.seen_at <= before.seen_at, older)
    with database.connect() as connection:
        return [Piece(*row) for row in connection.execute(query.limit(limit))]


def read_piece(database: sa.Engine, id: str) -> tuple[Piece, Film | None] | None:  # noqa: A002 - its name everywhere
    """One piece with its pictures, which are None once they are removed; all is None without such a piece."""
    kept = (thumbnails.c.jpeg, thumbnails.c.views, thumbnails.c.frames)
    query = sa.select(*PIECE, *kept).where(pieces.c.id == id)
    joined = pieces.outerjoin(thumbnails, PICTURED)
    with database.connect() as connection:
        row = connection.execute(query.select_from(joined)).first()
    if row is None:
        return None
    jpeg, views, frames = row[-3:]
    # Ledgers of earlier versions have one picture of a piece.
    return Piece(*row[:-3]), None if jpeg is None else Film(jpeg, tuple(views or ()), frames or b"")


def read_events(
    database: sa.Engine, line: str, since: dt.datetime, until: dt.datetime, *, limit: int = 1000
) -> list[Alarm]:
    """Alarms that came and went, the newest first."""
    query = (
        sa.select(events.c.code, events.c.active, events.c.detail, events.c.at)
        .where(events.c.line == line, events.c.at >= since, events.c.at < until)
        .order_by(events.c.at.desc(), events.c.number.desc())
    )
    with database.connect() as connection:
        return [Alarm(*row) for row in connection.execute(query.limit(limit))]
