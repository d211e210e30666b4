"""One gallery as this process holds it: its rows in SQL, and its vectors in memory in step.

A change is written to SQL first and acknowledged after its commit; the vectors in memory follow
at once.

Shapes: N vectors, D embedding dimension.
"""

import copy
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedding.errors import GalleryNotFound, GalleryReplaced, StoreError
from index.exchange.rows import ExchangeHeader
from index.memory import GalleryMemory, MemoryOptions
from index.records import EMBEDDING_DIMENSION
from index.snapshot.folder import SnapshotFolder
from index.snapshot.key_use import SNAPSHOTS_NAME
from index.snapshot.manifest import SnapshotOwner
from index.store.change_log import Committed
from index.store.gallery_store import GalleryStore
from index.store.importing_store import Batches
from index.store.store import Store
from index.store.stored_gallery import StoredGallery
from index.store.template_import import Imported

logger = logging.getLogger(__name__)


class LoadedGallery:
    """A gallery that is loaded, followed, kept in order and forgotten again; thread safe."""

    def __init__(
        self,
        stored: StoredGallery,
        *,
        store: Store,
        options: MemoryOptions,
        changed: Callable[[], None],
        replaced: Callable[[], None],
    ) -> None:
        """Take a gallery of the store; nothing is loaded yet.

        Args:
            stored: its row.
            store: open; its data folder holds the gallery's snapshot.
            options: how the vectors are held.
            changed: called after each committed change, for whoever tells other processes.
            replaced: called where a change was refused, since the gallery has another name now.
        """
        self._store = store.gallery_store(stored)
        self._changed = changed
        self._replaced = replaced
        self._space = self._store.space()
        self._memory = GalleryMemory(
            self._store, snapshots=_snapshots(stored, store, options), options=options
        )
        self.purged_sequence = 0
        """Removals up to here are out of live storage; set by `Galleries.maintain`."""
        # Shared with the object of another name, as everything else is.
        self._gone = threading.Event()
        # Held over SQL and memory together: both see the changes in the same order.
        self._changes = threading.Lock()

    @property
    def id(self) -> str:
        """Opaque id."""
        return self._store.gallery.id

    @property
    def name(self) -> str:
        """Unique name."""
        return self._store.gallery.name

    @property
    def fingerprint(self) -> str:
        """Of the model whose embeddings it holds."""
        return self._store.gallery.fingerprint

    @property
    def space_id(self) -> str | None:
        """Of the secret space that its vectors are stored in; None without one."""
        return self._store.gallery.space_id

    @property
    def store(self) -> GalleryStore:
        """The gallery in SQL, for other parts of this package; a change there is not followed."""
        return self._store

    @property
    def created_at(self) -> datetime:
        """UTC."""
        return self._store.gallery.created_at

    @property
    def num_subjects(self) -> int:
        """Gallery size N: subjects with at least one template."""
        return self._memory.state.num_subjects

    @property
    def num_templates(self) -> int:
        """Templates of all subjects."""
        return len(self._memory.matrix)

    @property
    def stored(self) -> StoredGallery:
        """Its row in SQL."""
        return self._store.gallery

    def under_name(self, name: str) -> Self:
        """Return the gallery as it is called now, with the same memory.

        A change through the object of before is refused: it may be meant for whatever gallery
        has the name by now.
        """
        if name == self.name:
            return self
        renamed = copy.copy(self)
        renamed._store = self._store.under_name(name)
        return renamed

    def load(self) -> None:
        """Fill the empty memory from SQL, with every checksum verified.

        Raises:
            StoreCorrupt: a template does not fit its checksum; the message names its id.
        """
        with self._changes:
            self._memory.load()

    def catch_up(self) -> int:
        """Follow the changes that other processes committed; returns how many there were.

        Raises:
            GalleryNotFound: the gallery was deleted.
            StoreCorrupt: a new template does not fit its checksum.
        """
        with self._changing():
            before = self._memory.state.sequence
            self._memory.follow(self._store.state())
            return self._memory.state.sequence - before

    def refresh(self) -> None:
        """Follow all that other processes had committed when this was called.

        So an answer that begins afterwards knows every enroll that was acknowledged before,
        whoever acknowledged it. Alone there is nothing to do.

        Raises:
            GalleryNotFound: the gallery was deleted.
            StoreError: the database cannot be read.
        """
        # Looked at first without the lock, which a change of this process may hold for long.
        if self._store.shared and self._store.state().sequence > self.sequence:
            self.catch_up()

    def import_rows(
        self,
        batches: Batches,
        *,
        header: ExchangeHeader | None = None,
    ) -> Imported:
        """Write rows of an exchange file, all or none, and follow them; see `ImportingStore`.

        Changes of this process wait for the database alone, so that it can be asked meanwhile.
        """
        self._check_exists()
        try:
            done = self._store.import_rows(batches, header=header)
        except GalleryReplaced:
            self._replaced()
            raise
        self.catch_up()
        self._changed()
        return done

    @property
    def removed_sequence(self) -> int:
        """Number of the newest removal in the change log that this process knows of."""
        return self._memory.removed_sequence

    def mark_purged(self, sequence: int) -> None:
        """Remember that the database is rid of what was removed up to a change's number."""
        # One that was deleted meanwhile has no receipts to make final.
        with suppress(GalleryNotFound):
            if sequence > self._store.purged_sequence:
                self._store.mark_purged(sequence)

    def snapshot_is_before(self, sequence: int) -> bool:
        """Return whether the snapshot on disk lacks the change of this number."""
        return self._memory.snapshot_is_before(sequence)

    @property
    def sequence(self) -> int:
        """Number of the last change that this process follows."""
        return self._memory.state.sequence

    def delete(self) -> int:
        """Delete the gallery with all that it holds; returns the number of templates removed.

        Call `Galleries.delete`, which also forgets its name.

        Raises:
            GalleryNotFound: it was deleted before.
        """
        with self._changing():
            num_templates = self._store.delete()
            self._memory.delete_snapshot()
            self._forget()
        return num_templates

    def maintain(self) -> None:
        """Give back what removals left, and bring the snapshot up to date where it is due.

        Searches and changes go on meanwhile.

        Raises:
            StoreError: the disk is full or cannot be written; the last snapshot stays.
        """
        self._memory.compact()
        if self._memory.snapshot_is_due:
            self._write_snapshot()

    def reseal_snapshot(self) -> None:
        """Write the snapshot anew if it is sealed with a key that is no longer current.

        Raises:
            StoreError: the disk is full or cannot be written; the last snapshot stays.
        """
        if not self._memory.snapshot_is_current:
            self._write_snapshot()

    def close(self) -> None:
        """Forget the vectors; every later call raises `GalleryNotFound`.

        A snapshot is brought up to date first, so that the next start is fast.
        """
        if self._memory.snapshot_is_behind:
            try:
                self._write_snapshot()
            except StoreError as error:
                # Nothing is lost: the next start reads more from SQL.
                logger.warning("no snapshot of gallery %s: %s", self.id, error)
        with self._changes:
            self._forget()

    def forget(self) -> None:
        """Forget a gallery that another process deleted, with its snapshot."""
        with self._changes:
            self._memory.delete_snapshot()
            self._forget()

    def _write_snapshot(self) -> None:
        with self._changes:
            if self._gone.is_set():
                # Its vectors were forgotten, and would be missing in what looks whole.
                return
            picture = self._memory.picture()
        self._memory.write_snapshot(picture)

    def _forget(self) -> None:
        self._gone.set()
        self._memory.matrix.clear()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Keep other changes out while one is made in SQL, then in memory by `_made`."""
        try:
            with self._changes:
                self._check_exists()
                yield
        except GalleryReplaced:
            self._replaced()
            raise

    def _made(
        self,
        done: Committed,
        *,
        added: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None,
        removed: Sequence[int] = (),
        erases: bool = False,
    ) -> None:
        self._memory.made(done, added=added, removed=removed, erases=erases)
        self._changed()

    def _check_exists(self) -> None:
        if self._gone.is_set():
            raise GalleryNotFound("the gallery was deleted or closed")


def _snapshots(stored: StoredGallery, store: Store, options: MemoryOptions) -> SnapshotFolder:
    owner = SnapshotOwner(
        gallery_id=stored.id,
        database_id=store.database_id,
        fingerprint=stored.fingerprint,
        space_id=stored.space_id,
        dimension=EMBEDDING_DIMENSION,
        dtype=options.storage,
    )
    path = store.path / SNAPSHOTS_NAME / stored.id
    return SnapshotFolder(path, owner=owner, sealer=store.sealer)
