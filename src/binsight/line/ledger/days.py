"""PostgreSQL: pieces and pictures in one partition for each day (UTC), so that an old day goes at once.

A new ledger is made that way by its migration; `divide` does it to one that is full. What it had before is then one
partition, of all days until now. There is no partition for all else: the writer makes a day before it writes into it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

import sqlalchemy as sa

__all__ = ["TURN", "Days", "are_divided", "divide"]

_TABLES = {"pieces": ("seen_at", ("id", "seen_at"), ("line", "seq", "seen_at")), "thumbnails": ("at", ("key", "at"))}
TURN = "hashtextextended('binsight days', 0)"  # one program at a time makes or drops them
_PATIENCE = "SET LOCAL lock_timeout = '200ms'"  # a long question holds up the dropping, not all who write behind it
_DAY = dt.timedelta(days=1)
_UNTIL = re.compile(r"TO \('([^']+)'\)")
_PARTITIONS = """
    SELECT parent.relname, part.relname, pg_get_expr(part.relpartbound, part.oid) FROM pg_inherits
    JOIN pg_class parent ON parent.oid = inhparent JOIN pg_class part ON part.oid = inhrelid
    WHERE inhparent IN (to_regclass('pieces'), to_regclass('thumbnails'))
"""


def are_divided(connection: sa.Connection) -> bool:
    """Whether a ledger is kept by days; never in SQLite."""
    if connection.dialect.name != "postgresql":
        return False
    kind = sa.text("SELECT relkind FROM pg_class WHERE oid = to_regclass('pieces')")
    return connection.execute(kind).scalar() == "p"


def divide(connection: sa.Connection) -> None:
    """Keep a PostgreSQL ledger by days from now on. Nobody can write until the transaction ends; lines find out."""
    now = dt.datetime.now(dt.UTC)
    _run(connection, "SET LOCAL timezone TO 'UTC'")
    _run(connection, f"LOCK TABLE {', '.join(_TABLES)} IN ACCESS EXCLUSIVE MODE")
    for table, (time, *keys) in _TABLES.items():
        last = connection.execute(sa.text(f"SELECT max({time}) FROM {table}")).scalar()  # noqa: S608 - names of ours
        unique, indexes = _names(connection, table, "contype IS NOT NULL"), _names(connection, table, "contype IS NULL")
        for name in unique:
            _run(connection, f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        _run(connection, f"ALTER TABLE {table} RENAME TO {table}_before")
        for name in indexes:
            _run(connection, f"ALTER INDEX {name} RENAME TO {name}_before")
        _run(connection, f"CREATE TABLE {table} (LIKE {table}_before INCLUDING DEFAULTS) PARTITION BY RANGE ({time})")
        for key in keys:
            _run(
                connection,
                f"ALTER TABLE {table} ADD {'UNIQUE' if key[0] == 'line' else 'PRIMARY KEY'} ({', '.join(key)})",
            )
        for definition in indexes.values():
            _run(connection, definition)
        if last is None:
            _run(connection, f"DROP TABLE {table}_before")
        else:
            until = _midnight(max(now, last).date() + _DAY)
            _run(
                connection,
                f"ALTER TABLE {table} ATTACH PARTITION {table}_before FOR VALUES FROM (MINVALUE) TO ('{until}')",
            )


def _names(connection: sa.Connection, table: str, which: str) -> dict[str, str]:
    """Indexes of a table with their definitions."""
    query = f"""
        SELECT index.relname, pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class index ON index.oid = indexrelid
        LEFT JOIN pg_constraint ON conindid = indexrelid WHERE indrelid = '{table}'::regclass AND {which}
    """  # noqa: S608 - names of ours
    return dict(map(tuple, connection.execute(sa.text(query))))


class Days:
    """Makes days, and drops them; to be made anew after a transaction that failed."""

    def __init__(self) -> None:
        self._known: set[dt.date] = set()

    def make(self, connection: sa.Connection, times: Iterable[dt.datetime]) -> None:
        """Have the days there to which these times belong, and the days after them, before anything else is written."""
        wanted = {time.astimezone(dt.UTC).date() for time in times} - self._known
        if not wanted:
            return
        _run(connection, f"SELECT pg_advisory_xact_lock({TURN})")
        there = _read_untils(connection)
        for day in sorted(wanted | {day + _DAY for day in wanted}):
            for table in _TABLES:
                part = f"{table}_{day:%Y%m%d}"
                is_before = day < there.get(f"{table}_before", dt.date.min)
                if part not in there and not is_before:
                    _make(connection, table, part, day)
        self._known |= wanted

    @staticmethod
    def drop(connection: sa.Connection, before: dt.datetime) -> list[str]:
        """Drop one day that ended by then, of each table; lines remember their last sequence number.

        Returns:
            What was dropped; nothing where there is none, or somebody reads for too long.
        """
        try:
            with connection.begin_nested():
                _run(connection, _PATIENCE)
                untils = _read_untils(connection)
                old = {until for until in untils.values() if until <= before.astimezone(dt.UTC).date()}
                parts = [part for part, until in untils.items() if old and until == min(old)]
                for part in parts:
                    if part.startswith("pieces"):
                        _run(connection, _REMEMBER.format(part=part))
                    _run(connection, f"DROP TABLE {part}")
                return parts
        except sa.exc.OperationalError as error:
            if "lock timeout" in str(error.orig):
                return []
            raise


_REMEMBER = """
    UPDATE lines SET last_seq = greatest(last_seq, last.seq) FROM (
        SELECT name, (SELECT max(seq) FROM {part} WHERE line = name) AS seq FROM lines
    ) AS last WHERE last.name = lines.name AND last.seq IS NOT NULL
"""


def _make(connection: sa.Connection, table: str, part: str, day: dt.date) -> None:
    # Attached, not made as a part: that would lock out all who write.
    _run(connection, f"CREATE TABLE {part} (LIKE {table} INCLUDING DEFAULTS) WITH (fillfactor = 80)")
    bounds = f"FROM ('{_midnight(day)}') TO ('{_midnight(day + _DAY)}')"
    _run(connection, f"ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES {bounds}")


def _read_untils(connection: sa.Connection) -> dict[str, dt.date]:
    """The partitions, and on which day each ends."""
    _run(connection, "SET LOCAL timezone TO 'UTC'; SET LOCAL datestyle TO 'ISO'")
    found = {}
    for _, part, bounds in connection.execute(sa.text(_PARTITIONS)):
        if until := _UNTIL.search(bounds):
            found[part] = dt.date.fromisoformat(until[1][:10])
    return found


def _midnight(day: dt.date) -> str:
    return f"{day} 00:00:00+00"


def _run(connection: sa.Connection, statement: str) -> None:
    connection.execute(sa.text(statement))
