"""Runs the steps in the connection and the transaction that `migrate` has open; alembic loads this file."""

from __future__ import annotations

from alembic import context

from tidegate.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
