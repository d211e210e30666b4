"""A PostgreSQL server that any number of processes share."""

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from embedding.errors import SettingsInvalid, StoreError
from index.store.claims import Claims
from index.store.database import Database, begun, check_open, translated_errors
from index.store.migrate import migrate
from index.store.postgres_claims import SharedClaims

logger = logging.getLogger(__name__)

CHANNEL = "facegallery_changes"
"""Of NOTIFY: that something changed; what it was stands in the change log."""

_POOL = 8
"""Connections that stay open; a service's worker threads are about as many."""

_CONNECT_TIMEOUT_S = 10
_LOCK_TIMEOUT_MS = 15_000
"""How long a change waits for another process's change of the same gallery."""

_REWRITTEN_BYTES = 64 << 20
"""Up to this size a table is written anew in about a second."""

_OLDER_WITHIN_S = 5.0
"""How long a purge waits for transactions that may still see what was removed."""

_POLL_S = 0.02

_PURGED = ("templates", "subjects", "events", "reviews", "crops", "kept_answers", "facts")
"""The tables whose rows are biometric data or names, or tell of a person; a fact of a gallery may
hold embeddings of strangers."""

# All that keeps a vacuum from a row: sessions, those of standbys too, which are of no database,
# prepared transactions, and the slots of standbys that are away.
_NUM_OLDER = text("""
    SELECT count(*) FROM (
        SELECT greatest(age(backend_xmin), age(backend_xid)) AS age FROM pg_stat_activity
        WHERE coalesce(datname = current_database(), true) AND pid <> pg_backend_pid()
        UNION ALL
        SELECT age(transaction) FROM pg_prepared_xacts WHERE database = current_database()
        UNION ALL
        SELECT age(xmin) FROM pg_replication_slots
    ) AS holding
    WHERE age > age(CAST(:now AS xid))
""")

_MIGRATION_LOCK = 0x66616365
"""Any number, but the same one in every version: one process migrates, the others wait."""


class PostgresDatabase(Database):
    """A database on a server, with the newest schema."""

    def __init__(self, url: str) -> None:
        """Connect and bring the schema up to date.

        Args:
            url: ``postgresql://user:password@host/database``.

        Raises:
            SettingsInvalid: not such a URL, or the driver is not installed.
            StoreNewer: its schema is of a newer version of this program.
            StoreError: it cannot be reached.
        """
        self._closed = False
        self._engine = create_engine(
            _driver_url(url),
            pool_size=_POOL,
            max_overflow=_POOL,
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
            hide_parameters=True,
        )
        event.listen(self._engine, "connect", _configure)
        self._claims = SharedClaims(self._engine)
        try:
            with self.transaction() as connection:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                migrate(connection)
        except BaseException:
            self._engine.dispose()
            raise

    @property
    def shared(self) -> bool:
        """True."""
        return True

    @property
    def claims(self) -> Claims:
        """See `Database.claims`."""
        return self._claims

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """See `Database.transaction`."""
        check_open(closed=self._closed)
        with begun(self._engine) as connection:
            yield connection

    def reading(self) -> AbstractContextManager[Connection]:
        """See `Database.reading`."""
        return self.transaction()

    @contextmanager
    def picture(self) -> Iterator[Connection]:
        """See `Database.picture`."""
        with self.transaction() as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            yield connection

    def purge(self, *, full: bool = False) -> bool:
        """Vacuum what holds people's data; write-ahead logs and archives keep what they keep.

        A plain vacuum lets old bytes lie in the free space of pages until new rows take it. A
        table that is small is written anew instead, which stops its readers for a moment.

        Raises:
            StoreError: a transaction that began before the last removal is still open.
        """
        check_open(closed=self._closed)
        with translated_errors(), self._outside_transactions() as connection:
            _wait_for_older(connection)
            whole = True
            for table in _PURGED:
                size = connection.scalar(text(f"SELECT pg_total_relation_size('{table}')"))
                anew = "FULL" if full or size <= _REWRITTEN_BYTES else ""
                connection.exec_driver_sql(f"VACUUM {anew} {table}")
                whole = whole and bool(anew)
        return whole

    def notify(self) -> None:
        """Tell the other processes that something changed; a hint, nothing depends on it."""
        with translated_errors(), self._outside_transactions() as connection:
            connection.exec_driver_sql(f"NOTIFY {CHANNEL}")

    def wait_for_hint(self, connection: Connection, timeout_s: float) -> None:
        """Return when another process sent a hint, or after the time.

        Args:
            connection: from `listening`.
            timeout_s: at most so long.

        Raises:
            StoreError: the server ended the connection.
        """
        driver: Any = connection.connection.driver_connection
        try:
            for _ in driver.notifies(timeout=timeout_s, stop_after=1):
                return
        except connection.dialect.loaded_dbapi.Error as error:
            # The driver's own: it does not pass through SQLAlchemy, which would translate it.
            raise StoreError(f"the database ended the connection: {error}") from error

    @contextmanager
    def listening(self) -> Iterator[Connection]:
        """A connection of its own that receives the hints."""
        with translated_errors(), self._outside_transactions() as connection:
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            try:
                yield connection
            except BaseException:
                # Given back it would receive hints that nobody takes, for as long as it lives.
                connection.invalidate()
                raise
            connection.exec_driver_sql("UNLISTEN *")

    def size_bytes(self) -> int:
        """Return the size of the whole database."""
        with self.transaction() as connection:
            size: int = connection.scalar(text("SELECT pg_database_size(current_database())")) or 0
        return size

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._closed = True
        self._claims.close()
        self._engine.dispose()

    @contextmanager
    def _outside_transactions(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")


def _wait_for_older(connection: Connection) -> None:
    """Return when no transaction of the database is older than now.

    A vacuum keeps, without a word, what any of them may still see.

    Raises:
        StoreError: one stays open.
    """
    now = connection.scalar(text("SELECT CAST(CAST(pg_current_xact_id() AS xid) AS text)"))
    deadline = time.monotonic() + _OLDER_WITHIN_S
    while num_older := connection.scalar(_NUM_OLDER, {"now": now}):
        if time.monotonic() > deadline:
            raise StoreError(
                f"what was removed cannot be purged yet: {num_older} older transactions are open, "
                f"of sessions, standbys or prepared; end them (a dump ends by itself)"
            )
        time.sleep(_POLL_S)


def _driver_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The message must not repeat the URL: it holds a password.
        raise SettingsInvalid(_EXPECTED) from None
    if parsed.get_backend_name() != "postgresql":
        raise SettingsInvalid(_EXPECTED)
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise SettingsInvalid(
            "PostgreSQL needs its driver; install facegallery[postgres]"
        ) from None
    return parsed.set(drivername="postgresql+psycopg")


_EXPECTED = "the database must be a URL such as postgresql://user:password@host/database"


def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - psycopg's own
    connection.autocommit = True
    # A commit that is acknowledged is on the server's disk, whatever its configuration says.
    connection.execute("SET synchronous_commit = on")
    connection.execute(f"SET lock_timeout = {_LOCK_TIMEOUT_MS}")
    connection.execute("SET timezone = 'UTC'")
    connection.autocommit = False
