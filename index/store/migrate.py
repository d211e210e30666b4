"""Brings a database to the newest schema, in one transaction."""

from sqlalchemy import Connection, inspect, text

from embedding.errors import StoreError, StoreNewer
from index.store.tables import REVISION


def migrate(connection: Connection) -> None:
    """Bring the schema to `REVISION`; does nothing when it is there already.

    Raises:
        StoreNewer: the schema has a revision that this program does not know.
    """
    current = _current_revision(connection)
    if current == REVISION:
        return
    # Imported only where there is something to do: it adds a sixth to the service's start.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "index.store:migrations")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise _newer(current)
    command.upgrade(config, REVISION)


def check_current(connection: Connection) -> None:
    """Pass a database whose schema is `REVISION`; nothing is changed.

    Raises:
        StoreNewer: the schema is of a newer version of this program.
        StoreError: it is of an older one, or there is none yet.
    """
    current = _current_revision(connection)
    if current == REVISION:
        return
    if current is not None and current > REVISION:
        raise _newer(current)
    raise StoreError(
        f"the database has schema {current or 'none'}, but {REVISION} is needed; start the "
        f"service once, or run facegallery-index check, which brings it up to date"
    )


def _newer(current: str) -> StoreNewer:
    return StoreNewer(
        f"the data folder has schema {current}, but this program knows only schemas up to "
        f"{REVISION}; install the version of FaceGallery that wrote it, or a newer one"
    )


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
