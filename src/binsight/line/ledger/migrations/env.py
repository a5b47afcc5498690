"""What Alembic runs: the steps between two versions of the ledger, on the connection that is handed in."""

from __future__ import annotations

from alembic import context

from binsight.line.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
