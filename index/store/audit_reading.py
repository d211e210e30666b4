"""The audit log read from outside, also while a service has the database open; nothing changes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from embedding.errors import StoreError
from index.audit.anchor import ANCHOR_NAME, read_anchor
from index.audit.entries import Codes
from index.audit.exports import read_export, write_export
from index.audit.verifying import BEGINS, AuditReport, verify_chain
from index.store.audit_rows import all_entries, known_cut, verify_rows
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
) -> AuditReport:
    """Return what is wrong with a log.

    Args:
        data_folder: a service may hold it.
        database_url: of a PostgreSQL database; None for SQLite in the folder.
        anchor: of the log; None for the one in the data folder.

    Raises:
        StoreCorrupt: an entry or the anchor cannot be read at all.
        StoreError: there is no log, or it cannot be read.
    """
    path = anchor or data_folder / ANCHOR_NAME
    # Before the entries: they are at least as many as it remembers then.
    anchored = path.read_bytes() if path.exists() else None
    with _reading(data_folder, database_url) as connection:
        codes = _codes(connection, data_folder)
        remembered = None if anchored is None else read_anchor(path, anchored, codes)
        report = verify_rows(connection, codes, remembered)
    if remembered is None:
        report.told.append(f"there is no anchor at {path}: a cut at the end is not noticed")
    return report


def verify_exports(
    data_folder: Path, files: Sequence[Path], *, database_url: str | None = None
) -> AuditReport:
    """Return what is wrong with files that should hold a log, one after the other.

    Args:
        data_folder: of the log.
        files: exports and what was cut off, in their order; each goes on where the one before
            ends. The first may begin after a cut.
        database_url: of a PostgreSQL database; None for SQLite in the folder.

    Raises:
        RequestInvalid: a file cannot be read.
        StoreCorrupt: a line is no entry, or what it says of a cut was changed.
        StoreError: the database cannot be read, whose id the codes cover.
    """
    with _reading(data_folder, database_url) as connection:
        codes = _codes(connection, data_folder)
    whole: AuditReport | None = None
    for file in files:
        cut, entries = read_export(file, codes)
        report = verify_chain(entries, codes, cut=cut)
        if whole is None:
            whole = report
            continue
        if report.cut != whole.head:
            whole.add(f"{file.name} does not go on where the file before it ends")
        for problem in report.findings:
            whole.add(problem)
        whole.told += [each for each in report.told if not each.startswith(BEGINS)]
        whole.num_entries += report.num_entries
        whole.head = report.head
    return whole or verify_chain((), codes)


def export_audit(data_folder: Path, file: Path, *, database_url: str | None = None) -> int:
    """Write all entries of one moment to a new file; returns how many there were.

    Args:
        data_folder: a service may hold it.
        file: new.
        database_url: of a PostgreSQL database; None for SQLite in the folder.

    Raises:
        RequestInvalid: the file exists.
        StoreCorrupt: an entry cannot be read at all.
        StoreError: the log cannot be read, or the file not written; none is left.
    """
    with _reading(data_folder, database_url) as connection:
        codes = _codes(connection, data_folder)
        cut = known_cut(connection, codes)
        return write_export(all_entries(connection), file, cut=cut, codes=codes)


def _codes(connection: Connection, data_folder: Path) -> Codes:
    database_id = (read_fact(connection, "database_id") or b"").decode()
    return Codes(key=read_secret(data_folder, "audit"), database_id=database_id)


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
