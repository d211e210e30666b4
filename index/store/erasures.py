"""What a removal leaves besides the rows that are gone: an entry in the removal ledger."""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, select

from embedding.errors import LedgerUnfit
from index.audit.entries import AuditEvent
from index.ledger.chain import LedgerHead
from index.ledger.entries import Removal
from index.ledger.ledger import RemovalLedger
from index.store.audit_log import AuditLog
from index.store.database import Database
from index.store.facts import read_fact, write_fact
from index.store.tables import facts, galleries

logger = logging.getLogger(__name__)

_HEAD = "ledger_head"

_Result = TypeVar("_Result")


class _OthersFirstError(Exception):
    """The ledger has entries of removals that failed; they are carried out first."""


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
        audit: is told how many entries were carried out, in the transaction that did it.
    """

    def __init__(
        self,
        ledger: RemovalLedger | None,
        *,
        database: Database,
        carry_out: Callable[[Connection, Removal], None],
        audit: AuditLog,
    ) -> None:
        self._ledger = ledger
        self._database = database
        self._carry_out = carry_out
        self._audit = audit
        # How many entries of the ledger are known to be carried out, and that committed.
        self._num_done = 0

    @property
    def has_ledger(self) -> bool:
        """Whether there is one."""
        return self._ledger is not None

    def removing(
        self,
        gallery_id: str,
        remove: Callable[[Connection], tuple[_Result, Sequence[Removal]]],
        *,
        finish: Callable[[Connection, _Result, LedgerHead | None], _Result],
    ) -> _Result:
        """Remove from a gallery, all of it in the ledger before the commit; returns the result.

        Args:
            gallery_id: of the gallery.
            remove: removes in a transaction, and returns a result and the entries of the ledger,
                none where nothing went; called again where removals of others have to be carried
                out first.
            finish: the last thing before the commit, given the result and the ledger's head
                after the entries, None without one or without entries; returns the result.

        Raises:
            LedgerUnfit: the ledger was removed or changed since it was opened.
            StoreError: ledger or database cannot be written.
        """
        while True:
            try:
                with self.changing(gallery_id) as connection:
                    result, removals = remove(connection)
                    head = self._remember(connection, removals) if removals else None
                    result = finish(connection, result, head)
            except _OthersFirstError:
                self.carry_out_missing()
                continue
            if head is not None:
                self._know_done(head.count)
            return result

    @contextmanager
    def changing(self, *gallery_ids: str) -> Iterator[Connection]:
        """Run a block that changes galleries in one transaction, as `Database.transaction` does.

        When a removal's commit fails, or its process dies before, its entry is in the ledger and
        decides: the removal is carried out before a gallery's next change, whichever process
        makes it, so that no change is acknowledged that the removal would undo.
        """
        while True:
            with self._database.transaction() as connection:
                if self._ledger is not None and self._database.shared:
                    # Held, so that nobody is between an entry of this gallery and its commit.
                    _hold(connection, gallery_ids)
                if not self._lacks(connection, gallery_ids):
                    yield connection
                    return
            self.carry_out_missing()

    def settle(self) -> None:
        """Carry out removals whose commit failed, or whose process died before.

        Raises:
            StoreError: it fails again.
        """
        if self._ledger is not None and self._ledger.goes_beyond(self._num_done):
            self.carry_out_missing()

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
                    head = self._ledger.head() if missing else _decode(known)
                    if missing:
                        write_fact(connection, _HEAD, _encode(head))
                        carried_out = {"num_entries": len(missing)}
                        self._audit.write(
                            connection, AuditEvent(action="ledger.carry_out", facts=carried_out)
                        )
                    break
            held |= named
        self._know_done(head.count)
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

    def _remember(self, connection: Connection, removals: Sequence[Removal]) -> LedgerHead | None:
        """Write removals into the ledger before their transaction commits; returns its head."""
        if self._ledger is None:
            return None
        # Held, so that heads commit in the order of the entries; see `index.ledger.ledger`.
        known = _decode(
            connection.execute(
                select(facts.c.value).where(facts.c.name == _HEAD).with_for_update()
            ).scalar_one()
        )
        if self._ledger.goes_beyond(known.count) and any(self._ledger.entries_after(known)):
            # Nobody is at work on those: whoever is holds the head. A new head would hide them.
            raise _OthersFirstError
        head = self._ledger.append(removals)
        write_fact(connection, _HEAD, _encode(head))
        return head

    def _lacks(self, connection: Connection, gallery_ids: Collection[str]) -> bool:
        """Whether the ledger has a removal from one of the galleries that is not carried out."""
        if self._ledger is None or not self._ledger.goes_beyond(self._num_done):
            return False
        head = remembered_head(connection)
        if head is None:
            raise LedgerUnfit("the database has forgotten its removal ledger; open it again")
        if any(each.gallery_id in gallery_ids for each in self._ledger.entries_after(head)):
            return True
        self._know_done(head.count)
        return False

    def _know_done(self, count: int) -> None:
        # Two threads at once may leave the lower count, which costs one more look.
        self._num_done = max(self._num_done, count)


def open_erasures(
    database: Database,
    *,
    path: Path | None,
    database_id: str,
    key: Callable[[], bytes],
    carry_out: Callable[[Connection, Removal], None],
    audit: AuditLog,
) -> Erasures:
    """Return the erasures of a database, its ledger verified; one that never had one may begin.

    Args:
        database: open.
        path: of the ledger; None where removals are not remembered.
        database_id: of the database.
        key: gives the ledger's key.
        carry_out: removes what an entry names and is still there.
        audit: of the database.

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
        return Erasures(None, database=database, carry_out=carry_out, audit=audit)
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
    return Erasures(ledger, database=database, carry_out=carry_out, audit=audit)


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
