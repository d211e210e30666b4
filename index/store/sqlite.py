"""A SQLite file: one connection, one transaction at a time, every commit on disk."""

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Error as SqliteError

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from embedding.errors import StoreError
from index.store.claims import Claims, OwnClaims
from index.store.database import Database, begun, check_open
from index.store.migrate import migrate

logger = logging.getLogger(__name__)

_BUSY_TIMEOUT_MS = 5_000
"""How long a transaction waits for a person's own SQLite shell before it gives up."""

_PURGE_TIMEOUT_MS = 100

_READS = "facegallery_reads"
"""Execution option: the transaction takes no lock that a writer would wait for."""

_PRAGMAS = (
    # Of a new file: three templates to a page. With the usual 4096 bytes each has a page of its
    # own, two fifths of it empty, and all of that is written twice.
    "PRAGMA page_size = 8192",
    f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    # NORMAL may lose acknowledged commits when the power fails.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # A removed template is overwritten, not only unlinked.
    "PRAGMA secure_delete = ON",
    # In KiB: with the usual 2 MB, the indexes of a large gallery are read and written again and
    # again.
    "PRAGMA cache_size = -65536",
    # In pages, 32 MB in all: what many commits changed goes into the database once.
    "PRAGMA wal_autocheckpoint = 4000",
)


def sqlite_engine(path: Path) -> Engine:
    """Return the engine of a file: one connection, whose transactions lock it from the start."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=StaticPool,
        connect_args={"check_same_thread": False},
        # Parameters are names and embeddings: they must not reach a message or a log.
        hide_parameters=True,
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


class SqliteDatabase(Database):
    """A database file that this process alone has open.

    There is exactly one connection, and a lock around it: SQLite before 3.51.3 can lose commits
    when two connections of one process reset the write-ahead log.
    """

    def __init__(self, path: Path) -> None:
        """Open the database and bring its schema up to date.

        Raises:
            StoreNewer: its schema is of a newer version of this program.
            StoreCorrupt: it is not a SQLite database, or a damaged one.
            StoreError: it cannot be read or written.
        """
        self._path = path
        self._lock = threading.Lock()
        self._closed = False
        self._claims = OwnClaims()
        self._engine = sqlite_engine(path)
        # The same connection; only its transactions begin otherwise.
        self._readers = self._engine.execution_options(**{_READS: True})
        try:
            with self.transaction() as connection:
                migrate(connection)
        except BaseException:
            self._engine.dispose()
            raise

    @property
    def shared(self) -> bool:
        """False: the data folder is locked."""
        return False

    @property
    def claims(self) -> Claims:
        """See `Database.claims`; nobody else has the folder."""
        return self._claims

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """See `Database.transaction`."""
        with self._lock:
            check_open(closed=self._closed)
            with begun(self._engine) as connection:
                yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See `Database.reading`; the one connection is the block's meanwhile, so be quick."""
        with self._lock:
            check_open(closed=self._closed)
            with begun(self._readers) as connection:
                yield connection

    def picture(self) -> AbstractContextManager[Connection]:
        """See `Database.picture`; nobody else can commit, so a transaction is one."""
        return self.transaction()

    def purge(self, *, full: bool = False) -> bool:  # noqa: ARG002 - rows are overwritten at once
        """Move the write-ahead log into the database and shorten it to nothing.

        Deleted rows are overwritten there already; the log may still hold their old pages.

        Raises:
            StoreError: somebody else reads the database, so the log cannot be emptied yet.
        """
        with self._lock:
            check_open(closed=self._closed)
            try:
                busy = self._empty_log()
            except SqliteError as error:
                raise StoreError(f"the write-ahead log could not be emptied: {error}") from error
        if busy:
            raise StoreError(
                "the write-ahead log could not be emptied, because another program reads the "
                "database; close it"
            )
        return True

    def size_bytes(self) -> int:
        """Return the size of the file and its log."""
        log = self._path.with_name(self._path.name + "-wal")
        return sum(each.stat().st_size for each in (self._path, log) if each.exists())

    def close(self) -> None:
        """Empty the write-ahead log into the database and close it; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._empty_log()
            except (SQLAlchemyError, SqliteError) as error:
                # Nothing is lost: the log is read at the next start.
                logger.warning("could not empty the write-ahead log: %s", type(error).__name__)
            self._engine.dispose()

    def _empty_log(self) -> bool:
        """Return whether somebody's reading was in the way."""
        raw = self._engine.raw_connection()
        cursor = raw.cursor()
        try:
            # Everybody else waits meanwhile, and a backup may read for a minute: try again later.
            cursor.execute(f"PRAGMA busy_timeout = {_PURGE_TIMEOUT_MS}")
            busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            raw.close()
        return bool(busy)


def _configure(connection: SqliteConnection, _record: object) -> None:
    # The driver would begin transactions by itself, and not before a CREATE TABLE.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
