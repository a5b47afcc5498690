"""For many lines: indexes for what dashboards ask, how long each line keeps its rows, days in PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from binsight.line.ledger.days import are_divided, divide

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; a ledger in PostgreSQL that is still empty is kept by days."""
    op.add_column("lines", sa.Column("keep_days", sa.Integer))
    op.add_column("lines", sa.Column("last_seq", sa.BigInteger))
    op.create_index("pieces_line_status_seen", "pieces", ["line", "status", "seen_at"])
    op.create_index("pieces_line_lane_seen", "pieces", ["line", "lane", "seen_at"])
    connection = op.get_bind()
    if connection.dialect.name == "postgresql" and not any(
        connection.execute(sa.text(f"SELECT 1 FROM {table} LIMIT 1")).all()  # noqa: S608 - names of ours
        for table in ("pieces", "thumbnails")
    ):
        divide(connection)


def downgrade() -> None:
    """Drop them, and put the days together again."""
    if are_divided(op.get_bind()):
        for table in ("pieces", "thumbnails"):
            op.execute(f"CREATE TABLE {table}_whole (LIKE {table} INCLUDING DEFAULTS)")
            op.execute(f"INSERT INTO {table}_whole SELECT * FROM {table}")  # noqa: S608 - names of ours
            op.execute(f"DROP TABLE {table}")
            op.execute(f"ALTER TABLE {table}_whole RENAME TO {table}")
        op.execute("ALTER TABLE pieces ADD PRIMARY KEY (id), ADD CONSTRAINT pieces_line_seq UNIQUE (line, seq)")
        op.execute("ALTER TABLE thumbnails ADD PRIMARY KEY (key)")
        op.create_index("pieces_line_seen", "pieces", ["line", "seen_at"])
        drawn = sa.text("audit_probability IS NOT NULL")
        op.create_index("pieces_audit", "pieces", ["line", "audited_at"], postgresql_where=drawn)
        op.create_index("ix_thumbnails_at", "thumbnails", ["at"])
    else:
        op.drop_index("pieces_line_lane_seen", "pieces")
        op.drop_index("pieces_line_status_seen", "pieces")
    op.drop_column("lines", "last_seq")
    op.drop_column("lines", "keep_days")
