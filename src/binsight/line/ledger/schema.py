"""The ledger's tables, the same in SQLite and in PostgreSQL (there, by days: their keys hold the time as well)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

__all__ = ["AUDIT_COLUMNS", "PICTURED", "Utc", "events", "hours", "lines", "metadata", "pieces", "thumbnails"]

metadata = sa.MetaData()

# Written by auditors, never by the line: a late answer of the sorter must not wipe out what a person said.
AUDIT_COLUMNS = ("true_category", "audited_at", "audited_by")

_DRAWN = sa.text("audit_probability IS NOT NULL")
_TO_AUDIT = sa.text("audit_probability IS NOT NULL AND audited_at IS NULL AND thumbnail IS NOT NULL")


class Utc(sa.TypeDecorator[dt.datetime]):
    """UTC with its zone; SQLite, which knows no zones, keeps it without."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Any) -> dt.datetime | None:
        """The time as the database takes it."""
        if value is None:
            return None
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: Any) -> dt.datetime | None:  # noqa: ARG002
        """The time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


pieces = sa.Table(
    "pieces",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("line", sa.String(64), nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("seen_at", Utc, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("encoder", sa.BigInteger),
    sa.Column("frames", sa.Integer, nullable=False),
    sa.Column("category", sa.Text),
    sa.Column("confidence", sa.Float),
    sa.Column("scores", sa.JSON(none_as_null=True)),
    sa.Column("decision", sa.String(8)),
    sa.Column("reason", sa.String(32)),
    sa.Column("lane", sa.Integer, nullable=False),
    sa.Column("target", sa.BigInteger),
    sa.Column("commanded_at", Utc),
    sa.Column("acknowledged_at", Utc),
    sa.Column("ack_result", sa.String(16)),
    sa.Column("confirmed_at", Utc),
    sa.Column("confirm_result", sa.String(16)),
    sa.Column("latency_ms", sa.Float),
    sa.Column("model_name", sa.Text),
    sa.Column("model_version", sa.Text),
    sa.Column("shift", sa.Text),
    sa.Column("thumbnail", sa.Text),
    sa.Column("audit_probability", sa.Float),
    sa.Column("true_category", sa.Text),
    sa.Column("audited_at", Utc),
    sa.Column("audited_by", sa.Text),
    sa.Column("captured_at", Utc),
    sa.Column("decided_at", Utc),
    sa.UniqueConstraint("line", "seq", name="pieces_line_seq"),
    sa.Index("pieces_line_seen", "line", "seen_at"),
    sa.Index("pieces_line_status_seen", "line", "status", "seen_at"),
    sa.Index("pieces_line_lane_seen", "line", "lane", "seen_at"),
    # Few rows are drawn for the audit; those still to be labelled are looked for often.
    sa.Index(
        "pieces_audit",
        "line",
        "audited_at",
        "audited_by",
        sqlite_where=_DRAWN,
        postgresql_where=_DRAWN,
    ),
    # Auditors go through them in the order of their random part.
    sa.Index(
        "pieces_audit_next", "line", sa.func.substr(sa.column("id"), 11), sqlite_where=_TO_AUDIT,
        postgresql_where=_TO_AUDIT,
    ),
)  # fmt: skip

thumbnails = sa.Table(
    "thumbnails",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("at", Utc, nullable=False, index=True),
    sa.Column("jpeg", sa.LargeBinary, nullable=False),
    sa.Column("views", sa.JSON(none_as_null=True)),
    sa.Column("frames", sa.LargeBinary),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", Utc, nullable=False),
    sa.Column("line", sa.String(64), nullable=False),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Index("events_line_at", "line", "at"),
)

lines = sa.Table(
    "lines",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("configuration", sa.JSON(none_as_null=True)),
    sa.Column("since", Utc, nullable=False),
    sa.Column("keep_days", sa.Integer),
    sa.Column("last_seq", sa.BigInteger),  # of days that were dropped
    sa.Column("counted_until", Utc),  # hours before are in `hours`, or have no piece
)

# What was seen in an hour, see `binsight.line.ledger.hours`; null where a piece has changed since.
hours = sa.Table(
    "hours",
    metadata,
    sa.Column("line", sa.String(64), primary_key=True),
    sa.Column("hour", Utc, primary_key=True),
    sa.Column("counts", sa.JSON(none_as_null=True)),
    sa.Column("latencies", sa.JSON(none_as_null=True)),
)

# The picture of a piece. The time says in which day to look, where the ledger is kept by days.
PICTURED = sa.and_(thumbnails.c.key == pieces.c.thumbnail, thumbnails.c.at == pieces.c.seen_at)
