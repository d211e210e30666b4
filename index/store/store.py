"""The store of one data folder: its galleries, API keys and facts."""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Connection

from embedding.errors import SettingsInvalid, StoreError
from index.audit.anchor import ANCHOR_NAME
from index.audit.cutting import AuditRetention
from index.audit.entries import AuditEvent, Codes
from index.events import EventRules
from index.key_file import KeyFileSealer
from index.ledger.entries import Removal
from index.places import check_outside
from index.repeats import Repeatable
from index.sealing import Sealer
from index.signing import Signer
from index.store.audit_log import AuditLog
from index.store.clock import ForwardClock
from index.store.crop_rows import reseal_crops
from index.store.cursors import Cursors
from index.store.database import Database
from index.store.deleted_galleries import DeletedGalleries
from index.store.erasures import Erasures, open_erasures
from index.store.event_log import EventLog
from index.store.facts import database_id, first_fact
from index.store.folder import DataFolder
from index.store.gallery_rows import (
    Standing,
    insert_gallery,
    read_galleries,
    read_gallery,
    read_standings,
    switch_names,
)
from index.store.ids import new_ids
from index.store.kept_answers import KeptAnswers
from index.store.keys import ApiKeys
from index.store.moving_store import MovingStore
from index.store.postgres import PostgresDatabase
from index.store.renaming import rename_gallery
from index.store.resealing import FirstSealing, reseal_gallery
from index.store.review_queue import ReviewQueue
from index.store.seal_mark import check_sealer, mark_is_current, new_mark, write_mark
from index.store.spaces import new_space
from index.store.sqlite import SqliteDatabase
from index.store.stored_gallery import StoredGallery


class Store:
    """An open database with a held data folder; every method is thread safe."""

    def __init__(
        self,
        folder: DataFolder,
        *,
        sealer: Sealer,
        database_url: str | None = None,
        ledger: Path | None = None,
        audit_anchor: Path | None = None,
        audit_retention: AuditRetention | None = None,
        event_rules: EventRules | None = None,
    ) -> None:
        """Open the database, with its schema brought up to date.

        Args:
            folder: held; for secrets, and for the database where no URL is given.
            sealer: seals every template that is written.
            database_url: of a PostgreSQL database; None for SQLite in the folder.
            ledger: file of the removal ledger; None where removals are not remembered. What it
                holds and the database has not done is carried out.
            audit_anchor: file that remembers how far the audit log went; None for one in the
                data folder.
            audit_retention: how long entries of the audit log stay; None for ever.
            event_rules: how long events and reviews are kept; the usual ones by default.

        Raises:
            SettingsInvalid: a URL of another kind, ledger, anchor or archive in the data folder,
                or a folder of theirs that is missing.
            LedgerUnfit: the database has a ledger and none was given, or not its newest one.
            SealKeyMissing: the sealer has not the key that the templates are sealed with.
            StoreNewer: written by a newer version of this program.
            StoreCorrupt: the database is damaged.
            StoreError: it cannot be reached, read or written.
        """
        self._folder = folder
        self._sealer = sealer
        self._clock = ForwardClock()
        self.database = open_database(folder, database_url)
        with ExitStack() as undo:
            undo.callback(self.database.close)
            with self.database.transaction() as connection:
                self.database_id = database_id(connection)
                check_sealer(connection, sealer, database_id=self.database_id)
            self._resealed = new_mark(sealer, database_id=self.database_id)
            self.cursors = Cursors(self.secret("cursor"))
            """Of lists that are read page by page."""
            self.audit = self._opened_audit(audit_anchor, audit_retention)
            """What was done, by whom and when."""
            undo.callback(self.audit.close)
            self._erasures = self._opened_erasures(ledger)
            undo.pop_all()
        try:
            self.num_carried_out = self._erasures.carry_out_missing()
            """Removals of the ledger that the database had not done when it was opened."""
        except BaseException:
            self.close()
            raise
        self.keys = ApiKeys(self.database, audit=self.audit, cursors=self.cursors)
        self.events = EventLog(
            self.database,
            cursors=self.cursors,
            sealer=self._sealer,
            rules=event_rules or EventRules(),
            clock=self._clock,
        )
        """What was decided, for those who act on it."""
        self.reviews = ReviewQueue(
            self.database,
            events=self.events,
            audit=self.audit,
            cursors=self.cursors,
            sealer=self._sealer,
            clock=self._clock,
        )
        """Faces that a person looks at."""
        self.deleted_galleries = DeletedGalleries(self.database)
        self.kept_answers = KeptAnswers(self.database, clock=self._clock)

    @property
    def path(self) -> Path:
        """The data folder."""
        return self._folder.path

    @property
    def signer(self) -> Signer:
        """What signs erasure receipts, with a key of the data folder."""
        return Signer(self.secret("receipt"))

    @property
    def sealer(self) -> Sealer:
        """What seals the templates."""
        return self._sealer

    def secret(self, name: str) -> bytes:
        """Return 32 random bytes for one purpose, the same for all processes of the store.

        Args:
            name: the purpose: lower-case letters, digits and hyphens.

        Raises:
            StoreError: another process of a shared database works with another secret.
        """
        secret = self._folder.secret(name)
        if not self.database.shared:
            return secret
        mark = hmac.digest(secret, self.database_id.encode(), hashlib.sha256)
        with self.database.transaction() as connection:
            known = first_fact(connection, f"secret-mark:{name}", mark)
        if not hmac.compare_digest(known, mark):
            raise StoreError(
                f"{name}.secret in the data folder is not the one that other processes use with "
                f"this database; give all of them the same data folder, or copy its *.secret "
                f"files here"
            )
        return secret

    def galleries(self) -> tuple[StoredGallery, ...]:
        """Return all galleries, oldest first."""
        return read_galleries(self.database)

    def standings(self) -> dict[str, Standing]:
        """Return what each gallery is called and where its change log stands, by its id."""
        return read_standings(self.database)

    def create_gallery(
        self,
        name: str,
        *,
        fingerprint: str,
        space: bool = False,
        repeatable: Repeatable[StoredGallery] | None = None,
    ) -> StoredGallery:
        """Return a new gallery, committed.

        Args:
            name: checked.
            fingerprint: of the model.
            space: store its vectors in a gallery space of their own.
            repeatable: how it is remembered that it was made; None for not.

        Raises:
            GalleryExists: there is one with this name.
            IdempotencyKeyInUse: a request with the same key was quicker.
            RequestInvalid: a space without sealing.
        """
        public_id = new_ids(1)[0]
        # Before the transaction: to make one takes a while, and on SQLite all others would wait.
        own_space = new_space(self._sealer, gallery_id=public_id) if space else None
        with self.database.transaction() as connection:
            stored = insert_gallery(
                connection,
                public_id,
                name=name,
                fingerprint=fingerprint,
                space=own_space,
                repeatable=repeatable,
            )
            self.audit.write(connection, AuditEvent(action="gallery.create", gallery_id=stored.id))
        return stored

    def switch(
        self, old: StoredGallery, new: StoredGallery, *, kept_name: str, sequence: int
    ) -> None:
        """Give a gallery another one's name, in one commit.

        Removals that are in the ledger and failed are carried out before, in both: they change
        the old one.

        Args:
            old: whose name it is.
            new: gets it.
            kept_name: that the old one gets, checked.
            sequence: where the old one's change log stands.

        Raises:
            GalleryExists: another gallery has the kept name.
            GalleryNotFound: one of the two was deleted.
            GalleryReplaced: one of the two has another name by now.
            RequestInvalid: the old one was changed after the sequence.
            StoreError: ledger or database cannot be read or written.
        """
        with self._erasures.changing(old.id, new.id) as connection:
            switch_names(connection, old, new, kept_name=kept_name, sequence=sequence)
            for gallery in (old, new):
                event = AuditEvent(action="gallery.switch", gallery_id=gallery.id)
                self.audit.write(connection, event)

    def rename(self, gallery: StoredGallery, name: str) -> None:
        """Give a gallery another name, in one commit with the keys that are tied to it.

        Raises:
            As `rename_gallery`; or StoreError: ledger or database cannot be read or written.
        """
        with self._erasures.changing(gallery.id) as connection:
            facts = {"num_keys": rename_gallery(connection, gallery, name)}
            event = AuditEvent(action="gallery.rename", gallery_id=gallery.id, facts=facts)
            self.audit.write(connection, event)

    def settle(self) -> None:
        """Carry out removals whose commit failed.

        Raises:
            StoreError: it fails again.
        """
        self._erasures.settle()

    def refresh_keys(self) -> None:
        """Look whether the keys were rotated.

        Raises:
            SealKeyMissing: the key file is gone or empty; the keys of before stay in use.
            SettingsInvalid: it cannot be used; likewise.
        """
        if isinstance(self._sealer, KeyFileSealer):
            self._sealer.refresh()

    def reseal(self, *, new: Sealer | None = None) -> int:
        """Seal everything with the current key; returns how many templates and crops were changed.

        Looks at every row; `reseal_if_due` does not.

        Args:
            new: seals instead of the sealer that the store was opened with, which then only
                unseals; for sealing what lay in the clear.
        """
        sealer = new or self._sealer
        old = self._sealer if new is None else FirstSealing(new)
        if not sealer.encrypts:
            return 0
        # Of the key at the beginning: after a rotation meanwhile it says that there is work to do.
        mark = new_mark(sealer, database_id=self.database_id)
        num_changed = sum(
            reseal_gallery(self.database, gallery, old=old, new=sealer)
            for gallery in self.galleries()
        )
        num_changed += reseal_crops(self.database, old=old, new=sealer)
        # Last: until here a stop leaves a mark that says there is work to do.
        with self.database.transaction() as connection:
            write_mark(connection, mark)
        self._resealed = mark
        return num_changed

    def reseal_if_due(self) -> int:
        """Seal everything with the current key where it is another than the last time.

        Each process of a shared database does so once: it may have written with the key of
        before when another one had sealed everything anew and had marked it.
        """
        if not self._sealer.encrypts:
            return 0
        with self.database.transaction() as connection:
            marked = mark_is_current(connection, self._sealer)
        return 0 if marked and self._sealer.is_current(self._resealed) else self.reseal()

    def gallery_store(self, gallery: StoredGallery) -> MovingStore:
        """Return the subjects and templates of one gallery."""
        return MovingStore(
            gallery,
            database=self.database,
            sealer=self._sealer,
            cursors=self.cursors,
            clock=self._clock,
            erasures=self._erasures,
            audit=self.audit,
        )

    def removals(self) -> Iterator[Removal]:
        """Give every removal that the ledger holds, the oldest first; none without a ledger.

        Raises:
            LedgerUnfit: the ledger was removed or changed since it was opened.
        """
        return self._erasures.all()

    @property
    def has_ledger(self) -> bool:
        """Whether removals are remembered."""
        return self._erasures.has_ledger

    def remove_again(self, removal: Removal) -> None:
        """Carry out an entry of the ledger; what is gone already stays so."""
        with self.database.transaction() as connection:
            self._remove_again(connection, removal)

    def close(self) -> None:
        """Close audit log, database and ledger; a second call does nothing."""
        self.audit.settle_and_close()
        self.database.close()
        self._erasures.close()

    def _opened_audit(self, anchor: Path | None, retention: AuditRetention | None) -> AuditLog:
        if anchor is not None:
            check_outside(anchor, data_folder=self.path, what="the audit log's anchor")
        archive = None if retention is None else retention.archive
        if archive is not None:
            check_outside(archive, data_folder=self.path, what="the audit log's archive")
            if not archive.is_dir():
                # It is not made: an unmounted disk would go unnoticed.
                raise SettingsInvalid(
                    f"the folder {archive} of the audit log's archive is missing; mount or make it"
                )
        return AuditLog(
            self.database,
            codes=Codes(key=self.secret("audit"), database_id=self.database_id),
            anchor=self.path / ANCHOR_NAME if anchor is None else anchor,
            cursors=self.cursors,
            retention=retention,
        )

    def _opened_erasures(self, path: Path | None) -> Erasures:
        if path is not None:
            check_outside(path, data_folder=self.path, what="the removal ledger")
        return open_erasures(
            self.database,
            path=path,
            database_id=self.database_id,
            key=lambda: self.secret("ledger"),
            carry_out=self._remove_again,
            audit=self.audit,
        )

    def _remove_again(self, connection: Connection, removal: Removal) -> None:
        gallery = read_gallery(connection, removal.gallery_id)
        if gallery is not None:
            self.gallery_store(gallery).remove_again(connection, removal)


def open_database(folder: DataFolder, url: str | None) -> Database:
    """Return the open database of a data folder, or the one at a URL.

    Raises:
        As `SqliteDatabase` and `PostgresDatabase`.
    """
    return SqliteDatabase(folder.database) if url is None else PostgresDatabase(url)


def read_database_id(database: Database) -> str:
    """Return the id that a database keeps for life."""
    with database.transaction() as connection:
        return database_id(connection)
