"""One gallery's vectors in memory, kept at what SQL holds.

Not thread safe where it changes: the gallery makes its changes one after another. Searches go
to `matrix`, which is.

Shapes: N vectors, D embedding dimension.
"""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid, SealKeyMissing, SnapshotUnfit, StoreCorrupt
from index.matrix.opening import Kind, Storage, new_matrix
from index.matrix.vectors import Vectors
from index.records import EMBEDDING_DIMENSION
from index.snapshot.folder import Snapshot, SnapshotFolder
from index.store.change_log import Committed, GalleryState
from index.store.gallery_reads import GalleryReads

logger = logging.getLogger(__name__)

SNAPSHOT_FROM = 20_000
"""Fewer templates are read from SQL, with every checksum, in half a second."""

COMPACT_FROM = 0.2
"""Share of rows without a vector that searches pass over before they are given back."""


_TELLING = 16
"""Figures of a vector that are all zero in none that a model made."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """How the vectors of galleries are held.

    Attributes:
        engine: ``exact``, ``compressed``, or ``auto`` by size.
        storage: ``float32`` or ``float16``.
        snapshot_from: templates from which on a snapshot is kept for fast restarts.
    """

    engine: Kind = "auto"
    storage: Storage = "float32"
    snapshot_from: int = SNAPSHOT_FROM


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All vectors at a number of the change log; those removed later may be zero."""

    sequence: int
    segments: Iterator[tuple[NDArray[np.int64], Vectors]]


class GalleryMemory:
    """The vectors, and how much of the change log they have followed."""

    def __init__(
        self, store: GalleryReads, *, snapshots: SnapshotFolder, options: MemoryOptions
    ) -> None:
        self.matrix = new_matrix(EMBEDDING_DIMENSION, kind=options.engine, storage=options.storage)
        self.state = GalleryState(sequence=0, num_templates=0, num_subjects=0)
        self._store = store
        self._snapshots = snapshots
        self._snapshot_from = options.snapshot_from
        self._snapshot_sequence = 0
        # The newest removal, of vectors or of people without any: its bytes are to be purged, and
        # the snapshot on disk may still hold them.
        self.removed_sequence = 0

    def load(self) -> None:
        """Fill the empty memory from the snapshot and what came after it, or all from SQL.

        Raises:
            StoreCorrupt: a template does not fit its checksum; the message names its id. Or some
                are not there.
        """
        snapshot = self._fitting_snapshot()
        state = self._store.state()
        if snapshot is None:
            num_loaded = 0
            for ids, embeddings_ND in self._store.load(up_to=state.sequence):
                with _usable("restore the data folder from a backup"):
                    self.matrix.adopt(ids, embeddings_ND)
                num_loaded += len(ids)
            self._check_complete(state, num_loaded)
            self.state = state
            return
        for ids, vectors_ND in snapshot.blocks:
            # A vector whose removal came while the snapshot was written may be zero in it.
            whole_N = vectors_ND[:, :_TELLING].any(axis=1)
            if not whole_N.all():
                ids, vectors_ND = ids[whole_N], vectors_ND[whole_N]
            with _usable("delete the folder snapshots in the data folder"):
                self.matrix.adopt(ids, vectors_ND)
        self._snapshot_sequence = snapshot.sequence
        self.state = dataclasses.replace(state, sequence=snapshot.sequence)
        self.follow(state)

    def made(
        self,
        done: Committed,
        *,
        added: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None,
        removed: Sequence[int] = (),
        erases: bool = False,
    ) -> None:
        """Bring the memory to where a change of this process has brought the log.

        Args:
            done: the change.
            added: ids (N,) and vectors (N, D) that came.
            removed: ids of those that went.
            erases: whether a person went, with vectors or without.
        """
        if done.before.sequence != self.state.sequence:
            # Others were quicker: their changes and ours are read from the log, in order.
            self.follow(done.after)
            return
        if added is not None:
            self._add(*added)
        self._remove(removed, sequence=done.after.sequence, erases=erases)
        self.state = done.after

    def follow(self, target: GalleryState) -> None:
        """Read the log up to a state and make its changes.

        Raises:
            GalleryNotFound: another process deleted the gallery meanwhile.
            StoreCorrupt: the log ends too early, or a new template does not fit its checksum.
        """
        while self.state.sequence < target.sequence:
            todo = self._store.changes(after=self.state.sequence)
            if todo.sequence == self.state.sequence:
                raise StoreCorrupt(
                    f"the change log ends at {todo.sequence}, but the gallery's counter says "
                    f"{target.sequence}; restore from a backup"
                )
            self._remove(todo.removed, sequence=todo.sequence, erases=todo.erases)
            for ids, embeddings_ND in self._store.load_some(todo.added):
                self._add(ids, embeddings_ND)
            # Before anything else can fail: what was added must not be added again.
            self.state = dataclasses.replace(target, sequence=todo.sequence)
        if self.state.sequence > target.sequence:
            # Read beyond the target, whose counts would stay wrong until the next change.
            state = self._store.state()
            self.state = dataclasses.replace(state, sequence=self.state.sequence)

    def snapshot_is_before(self, sequence: int) -> bool:
        """Return whether there is a snapshot that lacks the change of this number."""
        return sequence > self._snapshot_sequence > 0

    @property
    def snapshot_is_due(self) -> bool:
        """Whether it holds somebody removed, is a tenth behind, or sealed with an old key."""
        if self.snapshot_is_before(self.removed_sequence):
            return True
        if self._snapshot_sequence > 0 and not self._snapshots.is_current():
            return True
        behind = self.state.sequence - self._snapshot_sequence
        return self.state.num_templates >= self._snapshot_from and (
            self._snapshot_sequence == 0 or 10 * behind > self.state.num_templates
        )

    @property
    def snapshot_is_behind(self) -> bool:
        """Whether a snapshot is kept and anything came after it."""
        large = self.state.num_templates >= self._snapshot_from or self._snapshot_sequence > 0
        return large and self.state.sequence > self._snapshot_sequence

    @property
    def snapshot_is_current(self) -> bool:
        """Whether it is sealed with today's key; one that cannot be read is not."""
        return self._snapshots.is_current()

    def picture(self) -> Picture:
        """Return the memory as it is now, to be written while changes go on."""
        return Picture(sequence=self.state.sequence, segments=self.matrix.segments())

    def write_snapshot(self, picture: Picture) -> None:
        """Make a picture of the memory the snapshot; what came later is read from the log again.

        Raises:
            StoreError: the disk is full or cannot be written; the last snapshot stays.
        """
        anchor = self._store.anchor(picture.sequence)
        if anchor is None:
            return
        if self._snapshots.write(picture.sequence, picture.segments, anchor=anchor):
            self._snapshot_sequence = picture.sequence

    def delete_snapshot(self) -> None:
        """Take the snapshot from the disk."""
        self._snapshots.delete()
        self._snapshot_sequence = 0

    def compact(self) -> None:
        """Give back what removals left, if it is much, and code what is not; searches go on."""
        self.matrix.settle()
        if self.matrix.dead_share > COMPACT_FROM:
            self.matrix.compact()

    def _fitting_snapshot(self) -> Snapshot | None:
        """The snapshot, if it is of this history; one that is not is told and removed."""
        try:
            snapshot = self._snapshots.read()
            if snapshot is None:
                return None
            # Read after the snapshot, which another process may have written a moment ago.
            if snapshot.sequence > self._store.state().sequence:
                raise SnapshotUnfit("it is of a later state than the database")
            if snapshot.anchor != self._store.anchor(snapshot.sequence):
                raise SnapshotUnfit("the database went another way since it was written")
        except (SnapshotUnfit, SealKeyMissing) as error:
            # Where the templates' own key is missing, too, reading them says so.
            logger.warning("a snapshot is not used and is made anew from the database: %s", error)
            self._snapshots.delete()
            return None
        return snapshot

    def _check_complete(self, state: GalleryState, num_loaded: int) -> None:
        """A row whose number or gallery was damaged is not even read; the count misses it."""
        if num_loaded == state.num_templates:
            return
        # Other processes may have removed some since the count was read.
        if self._store.state().sequence == state.sequence:
            raise StoreCorrupt(
                f"the gallery counts {state.num_templates} templates, but {num_loaded} are there; "
                f"restore the data folder from a backup"
            )

    def _add(self, ids: NDArray[np.int64], embeddings_ND: NDArray[np.float32]) -> None:
        with _usable("restore the data folder from a backup"):
            self.matrix.add(ids, embeddings_ND)

    def _remove(self, row_ids: Sequence[int], *, sequence: int, erases: bool) -> None:
        if row_ids:
            self.matrix.remove(row_ids)
        if row_ids or erases:
            self.removed_sequence = sequence


@contextmanager
def _usable(advice: str) -> Iterator[None]:
    try:
        yield
    except EmbeddingInvalid as error:
        raise StoreCorrupt(f"a stored embedding cannot be used: {error}; {advice}") from error
