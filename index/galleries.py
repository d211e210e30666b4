"""The galleries of one data folder: opened, made, listed and deleted here."""

import logging
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from embedding.errors import (
    GalleryExists,
    GalleryNotFound,
    ModelMismatch,
)
from index.audit.cutting import AuditRetention
from index.checks import check_fingerprint, check_gallery_name
from index.events import EventRules
from index.filling import filling_name, is_filling_for
from index.following import Follower
from index.gallery import Gallery
from index.gallery_erasure import erasure_of
from index.housekeeping import Housekeeping
from index.known_galleries import KnownGalleries
from index.memory import SNAPSHOT_FROM, MemoryOptions
from index.receipts import Erasure, Receipt, signed_receipt
from index.repeats import Repeatable
from index.sealing import ClearSealer, Sealer
from index.store.audit_log import AuditLog
from index.store.claims import Claims
from index.store.deleted_galleries import DeletedGallery
from index.store.event_log import EventLog
from index.store.folder import DataFolder
from index.store.kept_answers import KeptAnswers
from index.store.keys import ApiKeys
from index.store.postgres import PostgresDatabase
from index.store.review_queue import ReviewQueue
from index.store.store import Store
from index.store.stored_gallery import StoredGallery
from index.store.tables import utc_now
from index.upkeep import UPKEEP_S, Upkeep

logger = logging.getLogger(__name__)


class Galleries(KnownGalleries):
    """A data folder that this process holds, with its galleries loaded; thread safe.

    Use it as a context manager, or call `close`. While it is open no other process can open the
    same folder, unless all of them share a PostgreSQL database.
    """

    def __init__(self, folder: DataFolder, store: Store, *, options: MemoryOptions) -> None:
        super().__init__(store, options=options)
        self._folder = folder
        self._upkeep: Upkeep | None = None
        self._housekeeping = Housekeeping(store, galleries=self._followed)

    @classmethod
    def open(
        cls,
        data_folder: Path,
        *,
        url: str | None = None,
        database_url: str | None = None,
        sealer: Sealer | None = None,
        ledger: Path | None = None,
        audit_anchor: Path | None = None,
        audit_retention: AuditRetention | None = None,
        options: MemoryOptions | None = None,
        upkeep_s: float | None = UPKEEP_S,
        event_rules: EventRules | None = None,
    ) -> Self:
        """Return the folder's galleries, loaded and verified; an empty folder is set up.

        Args:
            data_folder: created with mode 0700 when it does not exist.
            url: where this process serves HTTP, for others that find the folder in use; may be
                given later with `set_url`.
            database_url: of a PostgreSQL database that several processes share,
                ``postgresql://user:password@host/database``; None for SQLite in the folder.
            sealer: seals every template that is written; in the clear by default.
            ledger: file of the removal ledger, outside the data folder and the backups; None
                where removals are not remembered.
            audit_anchor: file that remembers how far the audit log went, outside the data folder;
                None for one in it.
            audit_retention: how long entries of the audit log stay; None for ever.
            options: how vectors are held in memory.
            upkeep_s: how often removed bytes are purged, and the rest of the upkeep is done;
                None where only calls of `maintain` do it.
            event_rules: how long events and reviews are kept; the usual ones by default.

        Raises:
            LedgerUnfit: the database has a ledger and none was given, or not its newest one.
            SettingsInvalid: a database URL of another kind, or its driver is missing.
            StoreInUse: another process holds the folder; carries its `url`.
            SealKeyMissing: the sealer has not the key that the templates are sealed with.
            StoreNewer: written by a newer version of this program.
            StoreCorrupt: a template does not fit its checksum, or the database is damaged.
            StoreError: the folder or database cannot be created, reached, read or written.
        """
        with ExitStack() as undo:
            folder = DataFolder.open(data_folder, url=url, shared=database_url is not None)
            undo.callback(folder.close)
            store = Store(
                folder,
                sealer=sealer or ClearSealer(),
                database_url=database_url,
                ledger=ledger,
                audit_anchor=audit_anchor,
                audit_retention=audit_retention,
                event_rules=event_rules,
            )
            undo.callback(store.close)
            galleries = cls(folder, store, options=options or MemoryOptions())
            galleries.sync()
            if isinstance(store.database, PostgresDatabase):
                galleries._follower = Follower(store.database, sync=galleries.sync)
            if upkeep_s is not None:
                galleries._upkeep = Upkeep(galleries.maintain, every_s=upkeep_s)
                if any(
                    # One that came from its snapshot is searched without codes until then.
                    gallery.num_templates >= SNAPSHOT_FROM or gallery.store.expired()
                    for gallery in galleries.list()
                ):
                    galleries._upkeep.soon()
            undo.pop_all()
        logger.info("opened the data folder with %s galleries", len(galleries._galleries))
        return galleries

    @property
    def path(self) -> Path:
        """The data folder."""
        return self._folder.path

    @property
    def keys(self) -> ApiKeys:
        """The API keys of this data folder."""
        return self._store.keys

    @property
    def audit(self) -> AuditLog:
        """What was done, by whom and when."""
        return self._store.audit

    @property
    def events(self) -> EventLog:
        """What was decided, for those who act on it."""
        return self._store.events

    @property
    def reviews(self) -> ReviewQueue:
        """Faces that a person looks at."""
        return self._store.reviews

    @property
    def claims(self) -> Claims:
        """What only one of all processes of the database does at a time."""
        return self._store.database.claims

    @property
    def kept_answers(self) -> KeptAnswers:
        """What requests with an idempotency key did."""
        return self._store.kept_answers

    def receipt(self, erasure: Erasure) -> Receipt:
        """Return the signed receipt of an erasure, as it stands now.

        Raises:
            StoreError: the key of the data folder cannot be read.
        """
        return signed_receipt(
            erasure,
            signer=self._store.signer,
            database_id=self._store.database_id,
            issued_at=utc_now(),
        )

    def secret(self, name: str) -> bytes:
        """Return 32 random bytes for one purpose, made on first use; the same for all processes.

        Args:
            name: lower-case letters, digits and hyphens; one name, one purpose.

        Raises:
            StoreError: other processes of a shared database work with another secret.
        """
        with self._lock:
            self._check_open()
            return self._store.secret(name)

    def set_url(self, url: str | None) -> None:
        """Tell other processes where this one serves HTTP, through the folder's lock file."""
        with self._lock:
            self._check_open()
            self._folder.set_url(url)

    def create(
        self,
        name: str,
        *,
        fingerprint: str,
        space: bool = False,
        repeatable: Repeatable[StoredGallery] | None = None,
    ) -> Gallery:
        """Return a new, empty gallery, committed.

        Args:
            name: 1 to 255 of the characters A-Z a-z 0-9 . _ -
            fingerprint: of the model whose embeddings it will hold.
            space: store its vectors in a secret space of their own (`index.space`), so that
                they cannot be compared with another gallery's; needs a sealer that encrypts.
            repeatable: how it is remembered, in the same commit, that it was made; None for not.

        Raises:
            GalleryExists: there is one with this name.
            NameInvalid: other characters, or too long.
            RequestInvalid: the fingerprint is not a hexadecimal sha256, or a space is wanted
                without sealing.
        """
        check_gallery_name(name)
        check_fingerprint(fingerprint)
        return self._create(name, fingerprint=fingerprint, space=space, repeatable=repeatable)

    def _create(
        self,
        name: str,
        *,
        fingerprint: str,
        space: bool,
        repeatable: Repeatable[StoredGallery] | None = None,
    ) -> Gallery:
        with self._lock:
            self._check_open()
            if name in self._galleries:
                raise GalleryExists("a gallery with this name exists already; take another name")
            stored = self._store.create_gallery(
                name, fingerprint=fingerprint, space=space, repeatable=repeatable
            )
            gallery = self._gallery(stored)
            self._galleries[name] = gallery
        self._tell_others()
        logger.info("created gallery %s", gallery.id)
        return gallery

    def filling(self, name: str, *, fingerprint: str, space: bool) -> Gallery:
        """Return the gallery that is being filled to take another one's place; an empty one first.

        `get` refuses it, and `switch` gives it the name. It goes with the other one.

        Args:
            name: of the other gallery, which exists.
            fingerprint: of the model.
            space: store its vectors in a space of their own.

        Raises:
            GalleryNotFound: there is no such other gallery.
            ModelMismatch: one of another model with the same first digits is being filled.
        """
        self.get(name)
        filling = filling_name(name, fingerprint)
        try:
            gallery = self._found(filling)
        except GalleryNotFound:
            return self._create(filling, fingerprint=fingerprint, space=space)
        if gallery.fingerprint != fingerprint:
            raise ModelMismatch(f"{filling} is of another model; delete it")
        return gallery

    def abandon(self, name: str) -> int:
        """Delete what is being filled to take a gallery's place; returns how many there were."""
        if self._store.database.shared:
            self.sync()
        filled = [each.name for each in self.list() if is_filling_for(each.name, name)]
        for each in filled:
            self._delete(each)
        return len(filled)

    def delete(self, name: str) -> int:
        """Delete the gallery with all that it holds; returns the number of templates removed.

        What is being filled to take its place goes first, and is not counted.

        Raises:
            GalleryNotFound: no gallery with this name.
            GalleryReplaced: it has got another name a moment ago.
        """
        return self._abandon_and_delete(name).num_templates

    def erase(self, name: str) -> Erasure:
        """Delete the gallery, as `delete` does; returns what a receipt tells of it."""
        deleted = self._abandon_and_delete(name)
        return erasure_of(deleted, store=self._store)

    def erasure(self, name: str) -> Erasure:
        """Return what a receipt tells now of the gallery of this name that was deleted last.

        Raises:
            GalleryNotFound: none was deleted.
        """
        with self._lock:
            self._check_open()
        return erasure_of(self._store.deleted_galleries.newest(name), store=self._store)

    def _abandon_and_delete(self, name: str) -> DeletedGallery:
        self._know_names()
        self.abandon(name)
        return self._store.deleted_galleries.of(self._delete(name))

    def _delete(self, name: str) -> str:
        with self._lock:
            self._check_open()
            gallery = self._galleries.get(name)
            if gallery is None:
                raise GalleryNotFound("no gallery with this name; list those there are")
            gallery.delete()
            del self._galleries[name]
            self._housekeeping.expect_purge()
        self._tell_others()
        logger.info("deleted gallery %s", gallery.id)
        return gallery.id

    def switch(self, name: str, new: Gallery, *, kept_name: str, sequence: int) -> None:
        """Give a gallery's name to another one, in one commit; whoever asks by name gets that.

        Args:
            name: of the old one.
            new: gets the name.
            kept_name: the old one goes on under it.
            sequence: where the old one's change log must stand (`Gallery.sequence`).

        Raises:
            GalleryExists: another gallery has the kept name.
            GalleryNotFound: one of the two is not there.
            GalleryReplaced: one of the two has got another name.
            NameInvalid: the kept name cannot be one.
            RequestInvalid: the old one was changed since.
        """
        check_gallery_name(kept_name)
        old = self.get(name)
        with self._lock:
            self._check_open()
            self._store.switch(old.stored, new.stored, kept_name=kept_name, sequence=sequence)
            for each, its_name in ((old, kept_name), (new, name)):
                self._galleries.pop(each.name, None)
                self._galleries[its_name] = each.under_name(its_name)
        self._tell_others()
        logger.info("gallery %s took the place of gallery %s", new.id, old.id)

    def reseal(self) -> int:
        """Seal everything with the sealer's current key; returns the number of templates changed.

        Templates, spaces and snapshots. Searches and changes go on meanwhile. Stopped half-way,
        it goes on at the next call.

        Raises:
            StoreCorrupt: a template does not fit its checksum.
            SealKeyMissing: a template is sealed with a key that is not at hand.
            StoreError: a snapshot cannot be written.
        """
        return self._housekeeping.reseal()

    def maintain(self, *, full: bool = False) -> bool:
        """Erase who has expired, purge what was removed, and keep memory, snapshots and sealing.

        The upkeep's thread calls it; a call of one's own only makes it sooner.

        Args:
            full: see `Database.purge`; purges whether or not something was removed.

        Returns:
            Whether all is purged that was removed before; False while another process writes a
            snapshot that may hold it.

        Raises:
            StoreError: something could not be done now; the next call tries again.
        """
        return self._housekeeping.maintain(full=full)

    @property
    def upkeep_failing_s(self) -> float:
        """For how many seconds the upkeep has failed at every try; 0 while it does its work."""
        return 0.0 if self._upkeep is None else self._upkeep.failing_s

    def close(self) -> None:
        """Give the folder back; later calls raise `StoreError`. A second call does nothing."""
        for each in (self._upkeep, self._follower):
            if each is not None:
                each.stop()
        with self._housekeeping.resting(), self._lock:
            if self._closed:
                return
            self._closed = True
            for gallery in self._galleries.values():
                gallery.close()
            self._store.close()
            self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _followed(self) -> tuple[Gallery, ...]:
        self.sync()
        return self.list()
