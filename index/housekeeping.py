"""What keeps a data folder in order: expiry, purging, compacting, snapshots, sealing anew."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from embedding.errors import GalleryNotFound, GalleryReplaced
from index.gallery import Gallery
from index.snapshot.key_use import SNAPSHOTS_NAME
from index.snapshot.orphans import remove_orphans
from index.store import batch_files
from index.store.store import Store


class Housekeeping:
    """The work of the upkeep on all galleries of a store; thread safe, one call at a time.

    Args:
        store: of the galleries.
        galleries: returns all of them, followed up to what SQL holds at that moment.
    """

    def __init__(self, store: Store, *, galleries: Callable[[], Sequence[Gallery]]) -> None:
        self._store = store
        self._galleries = galleries
        self._working = threading.Lock()
        self._purge_due = threading.Event()
        # What a process that died had removed may not be purged yet.
        self._purge_due.set()
        # Deleted galleries after which the database was purged; with large tables on PostgreSQL
        # that does not make their receipts final, and is not done again and again for them.
        self._purged_after: frozenset[str] = frozenset()

    def expect_purge(self) -> None:
        """Have the next call purge, for something removed that no gallery tells of."""
        self._purge_due.set()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Wait for the work that is under way, and keep more of it out during a block."""
        with self._working:
            yield

    def maintain(self, *, full: bool = False) -> bool:
        """Erase who has expired, purge what was removed, and keep memory, snapshots and sealing.

        Args:
            full: see `Database.purge`; purges whether or not something was removed.

        Returns:
            Whether all is purged that was removed before; False while another process writes a
            snapshot that may hold it.

        Raises:
            StoreError: something could not be done now; the next call tries again.
        """
        with self._working:
            self._store.settle()
            self._store.audit.settle()
            if self._store.events.expire():
                self._purge_due.set()
            self._store.kept_answers.forget_expired()
            self._store.audit.cuts.cut_if_due()
            # What was settled, now or before another change, is not in every memory yet.
            galleries = self._galleries()
            try:
                self._expire(galleries)
            finally:
                # What was removed before does not wait for those who cannot be erased now.
                all_purged = self._keep_in_order(galleries, full=full)
            return all_purged

    def _expire(self, galleries: Sequence[Gallery]) -> None:
        """Erase who has expired, in all galleries."""
        for gallery in galleries:
            # One that was deleted, or got another name, a moment ago: the next call sees to it.
            with suppress(GalleryNotFound, GalleryReplaced):
                gallery.expire()

    def _keep_in_order(self, galleries: Sequence[Gallery], *, full: bool) -> bool:
        deleted = self._store.deleted_galleries.unpurged()
        # Snapshots are rewritten next: a later removal may still be in them.
        removed = {gallery: gallery.removed_sequence for gallery in galleries}
        reached = {gallery: gallery.sequence for gallery in galleries}
        for gallery in galleries:
            gallery.maintain()
        try:
            self._store.refresh_keys()
            self._seal_anew(galleries, self._store.reseal_if_due)
        finally:
            # Erasure does not wait for a key file that is not there.
            all_purged = self._purge(removed, reached, deleted, full=full)
        return all_purged

    def reseal(self) -> int:
        """Seal everything with the sealer's current key; returns the number of templates changed.

        What an old key sealed is in the database's free pages and log until the next `maintain`.

        Raises:
            StoreCorrupt: a template does not fit its checksum.
            SealKeyMissing: a template is sealed with a key that is not at hand.
            StoreError: a snapshot cannot be written.
        """
        with self._working:
            return self._seal_anew(self._galleries(), self._store.reseal)

    def _seal_anew(
        self, galleries: Sequence[Gallery], seal_templates_anew: Callable[[], int]
    ) -> int:
        num_changed = seal_templates_anew()
        if num_changed:
            # What an old key sealed lies in the log still.
            self._purge_due.set()
        # Whoever deletes a gallery may die before its snapshot is gone.
        remove_orphans(self._store.path / SNAPSHOTS_NAME, existing=self._store.standings)
        batch_files.remove_orphans(self._store.path, existing=self._store.standings)
        # Else the next start misses the old key, once it has been retired.
        for gallery in galleries:
            gallery.reseal_snapshot()
        return num_changed

    def _purge(
        self,
        removed: Mapping[Gallery, int],
        reached: Mapping[Gallery, int],
        deleted: Sequence[str],
        *,
        full: bool,
    ) -> bool:
        if (
            full
            or self._purge_due.is_set()
            # Of another process, which may have died since.
            or not self._purged_after.issuperset(deleted)
            or any(sequence > each.purged_sequence for each, sequence in removed.items())
        ):
            self._purge_due.clear()
            try:
                if self._store.database.purge(full=full):
                    for gallery, sequence in reached.items():
                        gallery.mark_purged(sequence)
                    self._store.deleted_galleries.mark_purged(deleted)
                self._purged_after = frozenset(deleted)
            except BaseException:
                self._purge_due.set()
                raise
        # Another process may have been writing the snapshot, of before; the next call writes it.
        late = {each for each, sequence in removed.items() if each.snapshot_is_before(sequence)}
        for gallery, sequence in removed.items():
            if gallery not in late:
                gallery.purged_sequence = sequence
        return not late
