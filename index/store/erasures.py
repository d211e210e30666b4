"""What a removal leaves besides the rows that are gone: an entry in the removal ledger."""

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, select

from embedding.errors import GalleryError, LedgerUnfit
from index.ledger.chain import LedgerHead
from index.ledger.entries import Removal
from index.ledger.ledger import RemovalLedger
from index.store.database import Database
from index.store.facts import read_fact, write_fact
from index.store.tables import facts, galleries

logger = logging.getLogger(__name__)

_HEAD = "ledger_head"


def remembered_head(connection: Connection) -> LedgerHead | None:
    """Return how far the ledger went when the database last wrote to it; None without one."""
    known = read_fact(connection, _HEAD)
    return None if known is None else _decode(known)


class Erasures:
    """Writes removals into the ledger of a database, if it has one; thread safe.

    Args:
        ledger: of the database; None without one.
        database: open.
        carry_out: removes what an entry names and is still there, in a transaction.
    """

    def __init__(
        self,
        ledger: RemovalLedger | None,
        *,
        database: Database,
        carry_out: Callable[[Connection, Removal], None],
    ) -> None:
        self._ledger = ledger
        self._database = database
        self._carry_out = carry_out
        self._settling = threading.Lock()
        self._num_failed = 0
        self._num_settled = 0

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

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """Run a block that changes a gallery in one transaction, as `Database.transaction` does.

        When a removal's commit fails, its entry is in the ledger and decides: the removal is
        carried out before the next change, so that none is acknowledged that it would undo.
        """
        self.settle()
        try:
            with self._database.transaction() as connection:
                yield connection
        except GalleryError:
            # Raised before anything was written.
            raise
        except BaseException:
            with self._settling:
                self._num_failed += 1
            raise

    def settle(self) -> None:
        """Carry out removals whose commit failed in this process.

        Raises:
            StoreError: it fails again; nothing else must be changed before.
        """
        if self._num_failed == self._num_settled:
            return
        with self._settling:
            self.carry_out_missing()
            self._num_settled = self._num_failed

    def carry_out_missing(self) -> int:
        """Carry out what the ledger holds and the database has not done; returns how many.

        Such entries are there after a restore from a backup, and where a process died, or the
        database failed, between the ledger and the commit.
        """
        if self._ledger is None:
            return 0
        held: frozenset[str] = frozenset()
        while True:
            with self._database.transaction() as connection:
                # Galleries first, then the head, as every removal does.
                _hold(connection, held)
                known = connection.execute(
                    select(facts.c.value).where(facts.c.name == _HEAD).with_for_update()
                ).scalar_one()
                missing = list(self._ledger.entries_after(_decode(known)))
                named = frozenset(each.gallery_id for each in missing)
                if named <= held:
                    for removal in missing:
                        self._carry_out(connection, removal)
                    if missing:
                        write_fact(connection, _HEAD, _encode(self._ledger.head()))
                    break
            held |= named
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
    database: Database,
    *,
    path: Path | None,
    database_id: str,
    key: Callable[[], bytes],
    carry_out: Callable[[Connection, Removal], None],
) -> Erasures:
    """Return the erasures of a database, its ledger verified; one that never had one may begin.

    Args:
        database: open.
        path: of the ledger; None where removals are not remembered.
        database_id: of the database.
        key: gives the ledger's key.
        carry_out: removes what an entry names and is still there.

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
        return Erasures(None, database=database, carry_out=carry_out)
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
    return Erasures(ledger, database=database, carry_out=carry_out)


def _hold(connection: Connection, gallery_ids: Iterable[str]) -> None:
    """Keep galleries from other changes until the commit, in the order of their rows."""
    connection.execute(
        select(galleries.c.id)
        .where(galleries.c.public_id.in_(list(gallery_ids)))
        .order_by(galleries.c.id)
        .with_for_update()
    ).all()


def _encode(head: LedgerHead) -> bytes:
    return json.dumps([head.count, head.digest]).encode()


def _decode(value: bytes) -> LedgerHead:
    count, digest = json.loads(value)
    return LedgerHead(count=count, digest=digest)
