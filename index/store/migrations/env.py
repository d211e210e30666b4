"""Runs migrations on the connection that `index.store.migrate` gives; touches no logging."""

from alembic import context

from index.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # The connection begins its transactions itself, so SQLite undoes half a migration too.
    transactional_ddl=True,
    # SQLite changes most things of a table only by copying it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
