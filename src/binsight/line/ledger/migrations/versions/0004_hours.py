"""Finished hours are counted once; the next piece of an audit is found by an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from binsight.line.ledger.schema import Utc

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_DRAWN = sa.text("audit_probability IS NOT NULL")
_OPEN = sa.text("audit_probability IS NOT NULL AND audited_at IS NULL AND thumbnail IS NOT NULL")


def upgrade() -> None:
    """Add them; the lines count what there is when they have time."""
    op.create_table(
        "hours",
        sa.Column("line", sa.String(64), primary_key=True),
        sa.Column("hour", Utc, primary_key=True),
        sa.Column("counts", sa.JSON(none_as_null=True)),
        sa.Column("latencies", sa.JSON(none_as_null=True)),
    )
    op.add_column("lines", sa.Column("counted_until", Utc))
    _index_audit("line", "audited_at", "audited_by")
    columns: list[str | sa.TextClause] = ["line", sa.text("substr(id, 11)")]
    op.create_index("pieces_audit_next", "pieces", columns, sqlite_where=_OPEN, postgresql_where=_OPEN)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("pieces_audit_next", "pieces")
    _index_audit("line", "audited_at")
    op.drop_column("lines", "counted_until")
    op.drop_table("hours")


def _index_audit(*columns: str) -> None:
    op.drop_index("pieces_audit", "pieces")
    op.create_index("pieces_audit", "pieces", columns, sqlite_where=_DRAWN, postgresql_where=_DRAWN)
