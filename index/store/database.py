"""What a database is to the rest of the store: transactions, purging, and errors of our own.

`SqliteDatabase` is a file in the data folder, `PostgresDatabase` a server that several processes
share. Everything else in the store is the same for both.
"""

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from embedding.errors import RequestInvalid, StoreCorrupt, StoreError, StoreUnreachable
from index.store.claims import Claims

_DAMAGE = ("malformed", "not a database", "corrupt")
_CORRUPT = "the database is damaged (%s); restore the data folder from a backup"
_NUL = "cannot contain NUL"
"""What PostgreSQL's driver says of U+0000, sending nothing; SQLite looks for it in vain."""
_NO_TEXT = "an id or name holds characters that are no text"
_AWAY = re.compile(r"08...|57P0.|53300")
"""SQLSTATE of PostgreSQL: no connection, the server starts or ends, or has no connection left."""
_CLOSED = "the data folder was closed; open it again"


class Database(ABC):
    """An open database with the newest schema; thread safe."""

    @property
    @abstractmethod
    def shared(self) -> bool:
        """Whether other processes may change it while this one has it open."""

    @property
    @abstractmethod
    def claims(self) -> Claims:
        """What only one of all processes does at a time."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Connection]:
        """Run a block in one transaction: committed and on disk at its end, or undone.

        Raises:
            RequestInvalid: text with lone surrogates, which no database can hold or look for, or
                with U+0000, which PostgreSQL cannot.
            StoreCorrupt: the database is damaged.
            StoreError: it cannot be read or written, or was closed.
        """

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """Run a block that only reads, in one transaction; it keeps no change waiting on disk.

        Each statement sees at least all that was committed when the block began.

        Raises:
            StoreCorrupt: the database is damaged.
            StoreError: it cannot be read, or was closed.
        """

    @abstractmethod
    def picture(self) -> AbstractContextManager[Connection]:
        """Run a block that reads one state of the database, whatever others commit meanwhile.

        Raises:
            StoreCorrupt: the database is damaged.
            StoreError: it cannot be read, or was closed.
        """

    @abstractmethod
    def purge(self, *, full: bool = False) -> bool:
        """Take what was deleted out of the live files too.

        Args:
            full: write tables anew whatever their size, where the database needs that to
                overwrite every page; readers wait meanwhile.

        Returns:
            Whether the bytes are gone; False where some lie in free space until it is used again.

        Raises:
            StoreError: it cannot be done now; nothing is lost.
        """

    @abstractmethod
    def size_bytes(self) -> int:
        """Return how much the database takes on disk."""

    @abstractmethod
    def close(self) -> None:
        """Close it; a second call does nothing."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise the project's errors for those of the database, without statement and values."""
    try:
        yield
    except SQLAlchemyError as error:
        if _NUL in _cause(error):
            raise RequestInvalid(_NO_TEXT) from None
        raise store_error(error) from error
    except UnicodeEncodeError:
        # Its cause holds the text, which may be a name.
        raise RequestInvalid(_NO_TEXT) from None


@contextmanager
def begun(engine: Engine) -> Iterator[Connection]:
    """A transaction of the engine, with the project's errors."""
    with translated_errors(), engine.begin() as connection:
        yield connection


def check_open(*, closed: bool) -> None:
    """Pass while the database is open.

    Raises:
        StoreError: it was closed.
    """
    if closed:
        raise StoreError(_CLOSED)


def store_error(error: SQLAlchemyError) -> StoreError:
    """Return the project's error for one of the database, without its statement."""
    cause = _cause(error)
    if isinstance(error, OperationalError):
        if "decode to UTF-8" in cause:
            return StoreCorrupt(_CORRUPT % "text that is not UTF-8")
        kind = StoreUnreachable if _is_away(error) else StoreError
        return kind(
            f"the database answered: {cause}; check that it runs, its free space and permissions"
        )
    if isinstance(error, DatabaseError) and any(each in cause for each in _DAMAGE):
        return StoreCorrupt(_CORRUPT % cause)
    return StoreError(f"the database refused a change: {cause}")


def _is_away(error: OperationalError) -> bool:
    """Whether a server could not be reached; SQLite's errors have no SQLSTATE at all."""
    state = getattr(error.orig, "sqlstate", "")
    # The driver's own, when there is no connection or it broke, has none.
    return state is None or _AWAY.fullmatch(state) is not None


def copy_error(error: sqlite3.Error) -> StoreError:
    """Return the project's error for one that SQLite's driver raised while it copied a file."""
    cause = str(error)
    if any(each in cause for each in _DAMAGE):
        return StoreCorrupt(_CORRUPT % cause)
    return StoreError(
        f"the database cannot be copied: {cause}; check the free space and the rights of this "
        f"user, where the copy is written and in the data folder"
    )


def _cause(error: SQLAlchemyError) -> str:
    original = getattr(error, "orig", None)
    # PostgreSQL's details name the values, which may be a person's name; its primary line not.
    diagnosis = getattr(original, "diag", None)
    if diagnosis is not None and diagnosis.message_primary:
        return str(diagnosis.message_primary)
    return str(original or type(error).__name__).splitlines()[0]
