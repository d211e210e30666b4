"""Compares a source with what is known of it, and sends what is to be done on its way."""

import itertools
import threading
from collections.abc import Iterator, Sequence

from index.batch.flow import Channel
from index.batch.hashing import Hashing
from index.batch.sources.source import Skip, Source, SourcePhoto, skip
from index.batch.tally import Tally
from index.batch.work import Job, LotEnd, Outcome
from index.store.batch_rows import KnownPhoto, PhotoRecord, SubjectDigest
from index.store.batch_state import BatchState

_LOOK_UP = 1000
"""Photos that are compared at once."""


class Underway:
    """Keys of photos that were sent on their way and are not kept in the state yet."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._lock = threading.Lock()

    def add(self, key: str) -> None:
        """Know a photo that is on its way."""
        with self._lock:
            self._keys.add(key)

    def remove(self, keys: Sequence[str]) -> None:
        """Forget photos once the state knows them."""
        with self._lock:
            self._keys.difference_update(keys)

    def among(self, keys: Sequence[str]) -> set[str]:
        """Return which of the keys are on their way."""
        with self._lock:
            return self._keys.intersection(keys)


class Planner:
    """One run over one source; runs in a thread of its own."""

    def __init__(
        self,
        source: Source,
        *,
        state: BatchState,
        hashing: Hashing,
        tally: Tally,
        lot_size: int,
        retry_failed: bool = False,
    ) -> None:
        """Begin a run.

        Args:
            source: of the photos.
            state: what is known.
            hashing: of this data folder.
            tally: counts what needs no work.
            lot_size: photos in one commit.
            retry_failed: work on photos that failed before, and on no others.
        """
        self._source = source
        self._state = state
        self._hashing = hashing
        self._tally = tally
        self._lot_size = lot_size
        self._retry_failed = retry_failed
        self.source_id, self.run = state.begin_run(source.address)
        self.underway = Underway()

    def send(
        self,
        jobs: Channel[Job],
        ends: Channel[Outcome | LotEnd],
        tickets: Channel[None],
    ) -> None:
        """Send every photo that is to be worked on, and where each lot ends.

        Args:
            jobs: for whoever reads.
            ends: for whoever writes.
            tickets: one is put in for each photo, so that only so many are on their way.
        """
        lot, position = 0, 0
        for photo, digest, known in self._pending():
            tickets.put(None)
            jobs.put(Job(lot=lot, position=position, photo=photo, digest=digest, known=known))
            position += 1
            if position == self._lot_size:
                ends.put(LotEnd(lot=lot, num_photos=position))
                lot, position = lot + 1, 0
        if position:
            ends.put(LotEnd(lot=lot, num_photos=position))

    def _pending(self) -> Iterator[tuple[SourcePhoto, SubjectDigest, KnownPhoto | None]]:
        """The photos that are to be worked on; everything else is counted and kept."""
        entries = iter(self._source.photos())
        while some := list(itertools.islice(entries, _LOOK_UP)):
            self._tally.add(num_met=len(some))
            underway = self.underway.among([each.key for each in some])
            known = self._state.known(self.source_id, [each.key for each in some])
            skips: list[Skip] = []
            met: list[str] = []
            pending = []
            for entry in some:
                earlier = known.get(entry.key)
                if entry.key in underway or (earlier is not None and earlier.run == self.run):
                    skips.append(_repeated(entry.key))
                elif isinstance(entry, Skip):
                    skips.append(entry)
                else:
                    digest = self._hashing.subject(entry.subject)
                    if self._is_due(entry, digest, earlier):
                        pending.append((entry, digest, earlier))
                    else:
                        met.append(entry.key)
                # The same key may come again in this very lot.
                underway.add(entry.key)
            self._keep(skips, met)
            for each in pending:
                self.underway.add(each[0].key)
            yield from pending

    def _is_due(
        self, photo: SourcePhoto, digest: SubjectDigest, earlier: KnownPhoto | None
    ) -> bool:
        """Whether a photo is to be worked on; one that is not is counted."""
        if self._retry_failed:
            return earlier is not None and earlier.state == "failed"
        if earlier is None or earlier.state in ("pending", "writing"):
            return True
        same = (earlier.size_bytes, earlier.mtime_ns, earlier.subject) == (
            photo.size_bytes,
            photo.mtime_ns,
            digest,
        )
        # Of one that is in the gallery: what is said of others is written for nobody.
        same &= earlier.state not in (
            "done",
            "duplicate",
        ) or earlier.metadata_digest == self._hashing.metadata(photo.metadata)
        if not same:
            return True
        match earlier.state:
            case "failed":
                self._tally.add(num_failed_before=1)
            case "removed":
                self._tally.add(num_retracted=1)
            case _:
                self._tally.add(num_known=1)
        return False

    def _keep(self, skips: Sequence[Skip], met: Sequence[str]) -> None:
        self._state.met(self.source_id, met, run=self.run)
        self._tally.add_failures([each.error for each in skips])
        self._tally.add(num_passed=len(skips) + len(met))
        if skips:
            # By key: one statement cannot write a row twice.
            records = {each.key: _record(each) for each in skips}
            self._state.record(self.source_id, records.values(), run=self.run)


def _repeated(key: str) -> Skip:
    # Under a name of its own: the first time keeps its record.
    return skip(f"{key} (again)", "repeated")


def _record(skip: Skip) -> PhotoRecord:
    return PhotoRecord(
        key=skip.key,
        state="failed",
        size_bytes=-1,
        mtime_ns=-1,
        subject=SubjectDigest(name=None, external_id=None),
        error=skip.error,
        message=skip.message,
    )
