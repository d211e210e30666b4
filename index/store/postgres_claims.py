"""Claims that the processes of a PostgreSQL database share."""

import threading
from contextlib import suppress

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from index.store.claims import Claims
from index.store.database import translated_errors

_NAMESPACE = 0x66616365
"""Of advisory locks of this program, beside those of others in the same database."""


class SharedClaims(Claims):
    """Advisory locks of PostgreSQL, all on one connection, which a killed process loses.

    A connection that breaks loses its claims, too. So they only spare work that would be done
    twice and told that it is being done: what must not happen twice is kept out by a constraint.

    Args:
        engine: of the database; the connection is opened at the first claim.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._connection: Connection | None = None
        self._asking = threading.Lock()

    def _take(self, number: int) -> bool:
        with self._asking, translated_errors():
            try:
                return self._ask("pg_try_advisory_lock", number)
            except SQLAlchemyError:
                # It may have broken since the last time; a new one that fails, too, is told.
                self._drop()
                return self._ask("pg_try_advisory_lock", number)

    def _give_back(self, number: int) -> None:
        with self._asking:
            try:
                self._ask("pg_advisory_unlock", number)
            except SQLAlchemyError:
                # With the connection the lock is gone.
                self._drop()

    def close(self) -> None:
        """Let go of all; a second call does nothing."""
        with self._asking:
            self._drop()

    def _ask(self, function: str, number: int) -> bool:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(
                isolation_level="AUTOCOMMIT"
            )
        return bool(
            self._connection.scalar(
                text(f"SELECT {function}(:namespace, :number)"),
                {"namespace": _NAMESPACE, "number": number},
            )
        )

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Back in the pool it would go on to hold them.
            with suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()
