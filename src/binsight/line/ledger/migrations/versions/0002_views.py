"""All views of a piece beside its picture; when its deciding frame was taken, and when it was decided."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; rows that are there have nothing in them."""
    utc = sa.DateTime(timezone=True)
    op.add_column("pieces", sa.Column("captured_at", utc))
    op.add_column("pieces", sa.Column("decided_at", utc))
    op.add_column("thumbnails", sa.Column("views", sa.JSON))
    op.add_column("thumbnails", sa.Column("frames", sa.LargeBinary))


def downgrade() -> None:
    """Drop them, with what is in them."""
    for table, column in (
        ("thumbnails", "frames"),
        ("thumbnails", "views"),
        ("pieces", "decided_at"),
        ("pieces", "captured_at"),
    ):
        op.drop_column(table, column)
