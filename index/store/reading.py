"""A SQLite file read from outside, also while a service has it open.

This is safe beside the rule of one connection. SQLite before 3.51.3 can lose commits when a
checkpoint of one connection meets the write of another that begins the log anew. A connection of
`mode=ro` does neither: it cannot write, and it cannot empty the log, not even as the last one to
close, for that takes an exclusive lock on a file that it may only read. It takes shared locks
alone, which make a service's checkpoint stop early and try again later.

A process that has the file open itself must not call this: it holds a connection already.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.pool import NullPool

from index.store.database import copy_error, translated_errors

_MAX_PROBLEMS = 20


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment into a new file; its log is not needed any more.

    Args:
        source: may be in use.
        target: an empty file.

    Raises:
        StoreCorrupt: the database is damaged.
        StoreError: it cannot be read, or the target not be written.
    """
    try:
        with closing(_reader(source)) as reader, closing(sqlite3.connect(target)) as writer:
            # In one step: after each further one a change would make it begin again.
            reader.backup(writer)
            # So that the copy can be read where nothing can be written.
            writer.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise copy_error(error) from error


def sqlite_problems(path: Path, *, thorough: bool) -> list[str]:
    """Return what SQLite finds wrong with a file, at most some 20 lines; empty when it is whole.

    Args:
        path: may be in use.
        thorough: compare indexes with tables, and look for references to what is not there.
    """
    found: list[str] = []
    try:
        with closing(_reader(path)) as reader:
            what = "integrity_check" if thorough else "quick_check"
            found += (row[0] for row in reader.execute(f"PRAGMA {what}({_MAX_PROBLEMS})"))
            if found == ["ok"]:
                found.clear()
            if thorough:
                for table, row_id, parent, _ in reader.execute("PRAGMA foreign_key_check"):
                    found.append(
                        f"row {row_id} of {table} belongs to a row of {parent} that is gone"
                    )
                    if len(found) >= _MAX_PROBLEMS:
                        break
    except sqlite3.Error as error:
        found.append(str(error))
    # Its messages have several lines where a b-tree is damaged.
    return [" ".join(each.split()) for each in found]


@contextmanager
def reading_sqlite(path: Path) -> Iterator[Connection]:
    """Give a connection that reads one state of a file, whatever a service does meanwhile.

    Raises:
        StoreCorrupt: the database is damaged.
        StoreError: it cannot be read.
    """
    url = URL.create("sqlite", database=_file(path), query={"mode": "ro", "uri": "true"})
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "connect", _no_own_transactions)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    try:
        with translated_errors(), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{_file(path)}?mode=ro", uri=True)


def _file(path: Path) -> str:
    return f"file:{quote(str(path.absolute()))}"


def _no_own_transactions(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
