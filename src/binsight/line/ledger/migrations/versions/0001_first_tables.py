"""The first tables: pieces, thumbnails, events, lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them. Written out, not taken from the schema: that one changes with later versions."""
    utc = sa.DateTime(timezone=True)
    _create_pieces(utc)
    op.create_table(
        "thumbnails",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("at", utc, nullable=False, index=True),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", utc, nullable=False),
        sa.Column("line", sa.String(64), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("events_line_at", "events", ["line", "at"])
    op.create_table(
        "lines",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("configuration", sa.JSON),
        sa.Column("since", utc, nullable=False),
    )


def _create_pieces(utc: sa.DateTime) -> None:
    op.create_table(
        "pieces",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("line", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("seen_at", utc, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("encoder", sa.BigInteger),
        sa.Column("frames", sa.Integer, nullable=False),
        sa.Column("category", sa.Text),
        sa.Column("confidence", sa.Float),
        sa.Column("scores", sa.JSON),
        sa.Column("decision", sa.String(8)),
        sa.Column("reason", sa.String(32)),
        sa.Column("lane", sa.Integer, nullable=False),
        sa.Column("target", sa.BigInteger),
        sa.Column("commanded_at", utc),
        sa.Column("acknowledged_at", utc),
        sa.Column("ack_result", sa.String(16)),
        sa.Column("confirmed_at", utc),
        sa.Column("confirm_result", sa.String(16)),
        sa.Column("latency_ms", sa.Float),
        sa.Column("model_name", sa.Text),
        sa.Column("model_version", sa.Text),
        sa.Column("shift", sa.Text),
        sa.Column("thumbnail", sa.Text),
        sa.Column("audit_probability", sa.Float),
        sa.Column("true_category", sa.Text),
        sa.Column("audited_at", utc),
        sa.Column("audited_by", sa.Text),
        sa.UniqueConstraint("line", "seq", name="pieces_line_seq"),
    )
    op.create_index("pieces_line_seen", "pieces", ["line", "seen_at"])
    drawn = sa.text("audit_probability IS NOT NULL")
    op.create_index("pieces_audit", "pieces", ["line", "audited_at"], sqlite_where=drawn, postgresql_where=drawn)


def downgrade() -> None:
    """Drop them all, with what is in them."""
    for table in ("lines", "events", "thumbnails", "pieces"):
        op.drop_table(table)
