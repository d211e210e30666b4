"""The SQLite database: one connection, one transaction at a time, every commit on disk."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Error as SqliteError

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from embedding.errors import RequestInvalid, StoreCorrupt, StoreError
from index.store.migrate import migrate

logger = logging.getLogger(__name__)

_BUSY_TIMEOUT_MS = 5_000
"""How long a transaction waits for a person's own SQLite shell before it gives up."""

_PRAGMAS = (
    f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    # NORMAL may lose acknowledged commits when the power fails.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # A removed template is overwritten, not only unlinked.
    "PRAGMA secure_delete = ON",
)

_DAMAGE = ("malformed", "not a database", "corrupt")
_CORRUPT = "the database is damaged (%s); restore the data folder from a backup"


class Database:
    """An open database with the newest schema; thread safe.

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
        self._lock = threading.Lock()
        self._closed = False
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
            # Parameters are names and embeddings: they must not reach a message or a log.
            hide_parameters=True,
        )
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        try:
            with self.transaction() as connection:
                migrate(connection)
        except BaseException:
            self._engine.dispose()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run a block in one transaction: committed and on disk at its end, or undone.

        Raises:
            RequestInvalid: text with lone surrogates, which no database can hold or look for.
            StoreCorrupt: the database is damaged.
            StoreError: it cannot be read or written, or was closed.
        """
        with self._lock:
            if self._closed:
                raise StoreError("the data folder was closed; open it again")
            try:
                with self._engine.begin() as connection:
                    yield connection
            except SQLAlchemyError as error:
                raise _store_error(error) from error
            except UnicodeEncodeError:
                # Its cause holds the text, which may be a name.
                raise RequestInvalid("an id or name holds characters that are no text") from None

    def close(self) -> None:
        """Empty the write-ahead log into the database and close it; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                raw = self._engine.raw_connection()
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
                raw.close()
            except (SQLAlchemyError, SqliteError) as error:
                # Nothing is lost: the log is read at the next start.
                logger.warning("could not empty the write-ahead log: %s", type(error).__name__)
            self._engine.dispose()


def _configure(connection: SqliteConnection, _record: object) -> None:
    # The driver would begin transactions by itself, and not before a CREATE TABLE.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _store_error(error: SQLAlchemyError) -> StoreError:
    """Return the project's error for one of the database, without its statement."""
    cause = str(getattr(error, "orig", None) or type(error).__name__)
    if isinstance(error, OperationalError):
        if "decode to UTF-8" in cause:
            return StoreCorrupt(_CORRUPT % "text that is not UTF-8")
        return StoreError(
            f"the database answered: {cause}; check the data folder's free space and permissions"
        )
    if isinstance(error, DatabaseError) and any(each in cause for each in _DAMAGE):
        return StoreCorrupt(_CORRUPT % cause)
    return StoreError(f"the database refused a change: {cause}")
