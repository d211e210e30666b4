"""The audit log read from outside, also while a service has the database open; nothing changes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from embedding.errors import StoreError
from index.audit.anchor import ANCHOR_NAME, read_anchor
from index.audit.entries import AuditEntry, Codes
from index.audit.verifying import AuditReport, verify_chain
from index.store.audit_rows import all_entries, read_head
from index.store.facts import read_fact
from index.store.folder import DATABASE_NAME, read_secret
from index.store.migrate import check_current
from index.store.postgres import PostgresDatabase
from index.store.reading import reading_sqlite


def verify_audit(
    data_folder: Path,
    *,
    database_url: str | None = None,
    anchor: Path | None = None,
    exported: Iterable[AuditEntry] | None = None,
) -> AuditReport:
    """Return what is wrong with a log.

    Args:
        data_folder: a service may hold it.
        database_url: of a PostgreSQL database; None for SQLite in the folder.
        anchor: of the log; None for the one in the data folder.
        exported: look at these, which should be all entries of the log, instead.

    Raises:
        StoreCorrupt: an entry or the anchor cannot be read at all.
        StoreError: there is no log, or it cannot be read.
    """
    secret = read_secret(data_folder, "audit")
    path = anchor or data_folder / ANCHOR_NAME
    # Before the entries: they are at least as many as it remembers then.
    anchored = path.read_bytes() if path.exists() else None
    with _reading(data_folder, database_url) as connection:
        database_id = (read_fact(connection, "database_id") or b"").decode()
        codes = Codes(key=secret, database_id=database_id)
        if exported is not None:
            return verify_chain(exported, codes, head=None, anchor=None)
        remembered = None if anchored is None else read_anchor(path, anchored, codes)
        report = verify_chain(
            all_entries(connection), codes, head=read_head(connection), anchor=remembered
        )
    if remembered is None:
        report.told.append(f"there is no anchor at {path}: a cut at the end is not noticed")
    return report


@contextmanager
def audit_entries(
    data_folder: Path, *, database_url: str | None = None
) -> Iterator[Iterator[AuditEntry]]:
    """Give all entries, the oldest first, of one moment; a service may hold the data folder.

    Raises:
        StoreError: it cannot be read.
    """
    with _reading(data_folder, database_url) as connection:
        yield all_entries(connection)


@contextmanager
def _reading(data_folder: Path, database_url: str | None) -> Iterator[Connection]:
    if database_url is None:
        path = _database(data_folder)
        with reading_sqlite(path) as connection:
            check_current(connection)
            yield connection
        return
    database = PostgresDatabase(database_url)
    try:
        with database.picture() as connection:
            yield connection
    finally:
        database.close()


def _database(data_folder: Path) -> Path:
    path = data_folder / DATABASE_NAME
    if not path.is_file():
        raise StoreError(
            f"there is no database in {data_folder}; give the folder of the galleries"
        )
    return path
