"""What a removal leaves besides the rows that are gone: an entry in the removal ledger."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection, select

from embedding.errors import LedgerUnfit
from index.ledger.chain import LedgerHead
from index.ledger.entries import Removal
from index.ledger.ledger import RemovalLedger
from index.store.database import Database
from index.store.facts import read_fact, write_fact
from index.store.tables import facts

logger = logging.getLogger(__name__)

_HEAD = "ledger_head"


def remembered_head(connection: Connection) -> LedgerHead | None:
    """Return how far the ledger went when the database last wrote to it; None without one."""
    known = read_fact(connection, _HEAD)
    return None if known is None else _decode(known)


class Erasures:
    """Writes removals into the ledger of a database, if it has one; thread safe."""

    def __init__(self, ledger: RemovalLedger | None) -> None:
        self._ledger = ledger

    @property
    def has_ledger(self) -> bool:
        """Whether there is one."""
        return self._ledger is not None

    def remember(self, connection: Connection, removals: Sequence[Removal]) -> None:
        """Write removals into the ledger before their transaction commits.

        Raises:
            LedgerUnfit: the ledger was removed or changed since it was opened.
            StoreError: it cannot be written.
        """
        if self._ledger is None:
            return
        # Held, so that heads commit in the order of the entries; see `index.ledger.ledger`.
        connection.execute(
            select(facts.c.value).where(facts.c.name == _HEAD).with_for_update()
        ).one()
        write_fact(connection, _HEAD, _encode(self._ledger.append(removals)))

    def carry_out_missing(
        self, database: Database, carry_out: Callable[[Connection, Removal], None]
    ) -> int:
        """Carry out what the ledger holds and the database has not done; returns how many.

        Such entries are there after a restore from a backup, and where a process died between
        the ledger and the commit.

        Args:
            database: of the ledger.
            carry_out: removes what is still there, in the transaction that it is given.
        """
        if self._ledger is None:
            return 0
        with database.transaction() as connection:
            known = connection.execute(
                select(facts.c.value).where(facts.c.name == _HEAD).with_for_update()
            ).scalar_one()
            missing = list(self._ledger.entries_after(_decode(known)))
            for removal in missing:
                carry_out(connection, removal)
            write_fact(connection, _HEAD, _encode(self._ledger.head()))
        if missing:
            logger.warning("carried out %s removals of the ledger again", len(missing))
        return len(missing)

    def all(self) -> Iterator[Removal]:
        """Give every removal that the ledger holds, the oldest first; none without a ledger.

        Raises:
            LedgerUnfit: the ledger was removed or changed since it was opened.
        """
        return iter(()) if self._ledger is None else self._ledger.entries()

    def close(self) -> None:
        """Let go of the ledger; a second call does nothing."""
        if self._ledger is not None:
            self._ledger.close()


def open_erasures(
    database: Database, *, path: Path | None, database_id: str, key: Callable[[], bytes]
) -> Erasures:
    """Return the erasures of a database, its ledger verified; one that never had one may begin.

    Args:
        database: open.
        path: of the ledger; None where removals are not remembered.
        database_id: of the database.
        key: gives the ledger's key.

    Raises:
        LedgerUnfit: the database has a ledger and none was given, or not its own or newest one.
        SettingsInvalid: the path's folder is missing.
        StoreError: it cannot be read or written.
    """
    with database.transaction() as connection:
        head = read_fact(connection, _HEAD)
    if path is None:
        if head is not None:
            raise LedgerUnfit(
                "this database has a removal ledger, without which removed people could come "
                "back; give its path with FACEGALLERY_REMOVAL_LEDGER"
            )
        return Erasures(None)
    ledger = RemovalLedger.open(
        path, database_id=database_id, key=key(), create=head is None and not path.exists()
    )
    try:
        if head is None:
            with database.transaction() as connection:
                write_fact(connection, _HEAD, _encode(ledger.head()))
        else:
            ledger.check_continues(_decode(head))
    except BaseException:
        ledger.close()
        raise
    return Erasures(ledger)


def _encode(head: LedgerHead) -> bytes:
    return json.dumps([head.count, head.digest]).encode()


def _decode(value: bytes) -> LedgerHead:
    count, digest = json.loads(value)
    return LedgerHead(count=count, digest=digest)
