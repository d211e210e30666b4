"""Housekeeping: what fails, or comes in between, leaves no removal unpurged or called purged."""

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedding.errors import SealKeyMissing, StoreError
from index.galleries import Galleries
from index.gallery import Gallery
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.memory import MemoryOptions
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_VECTORS = unit_vectors(4)


class _InterruptedSealer(KeyFileSealer):
    """Does something else before it looks for new keys."""

    first: Callable[[], object] = staticmethod(lambda: None)

    def refresh(self) -> bool:
        """Do it, then look."""
        self.first()
        return super().refresh()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """One with one key."""
    path = tmp_path / "sealing.keys"
    KeyRing.generate(path)
    return path


def _filled(galleries: Galleries) -> tuple[Gallery, list[str]]:
    gallery = galleries.create("people", fingerprint=FINGERPRINT)
    return gallery, [gallery.enroll([new_template(each)]).subject_id for each in _VECTORS]


def test_erasure_does_not_wait_for_a_key_file(data_folder: Path, key_file: Path) -> None:
    """It was moved away: that is told, and what was removed is purged nevertheless."""
    sealer = KeyFileSealer(key_file, data_folder=data_folder)
    with Galleries.open(data_folder, sealer=sealer, upkeep_s=None) as galleries:
        gallery, people = _filled(galleries)
        galleries.maintain()
        gallery.remove_subject(people[0])
        key_file.unlink()
        with pytest.raises(SealKeyMissing):
            galleries.maintain()
        assert gallery.purged_sequence == gallery.removed_sequence > 0


def test_a_removal_during_the_work_is_not_called_purged(data_folder: Path, key_file: Path) -> None:
    """The snapshot that was written just before may hold it; the next time it is."""
    sealer = _InterruptedSealer(key_file, data_folder=data_folder)
    with Galleries.open(data_folder, sealer=sealer, upkeep_s=None) as galleries:
        gallery, people = _filled(galleries)
        gallery.remove_subject(people[0])
        first = gallery.removed_sequence
        sealer.first = lambda: gallery.remove_subject(people[1])
        galleries.maintain()
        assert gallery.removed_sequence > gallery.purged_sequence == first
        sealer.first = lambda: None
        galleries.maintain()
        assert gallery.purged_sequence == gallery.removed_sequence


def test_a_purge_that_failed_for_any_reason_stays_due(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No gallery tells of a deleted one any more, so nothing else would bring the purge back."""
    with Galleries.open(data_folder, upkeep_s=None) as galleries:
        _filled(galleries)
        galleries.maintain()
        galleries.delete("people")
        database = galleries._store.database
        purge = database.purge
        calls = []

        def failing_once(*, full: bool) -> None:
            calls.append(full)
            if len(calls) == 1:
                raise OSError(errno.EIO, "no")
            purge(full=full)

        monkeypatch.setattr(database, "purge", failing_once)
        with pytest.raises(OSError, match="no"):
            galleries.maintain()
        galleries.maintain()
        galleries.maintain()
        assert len(calls) == 2


def test_closing_waits_for_the_work(data_folder: Path, key_file: Path) -> None:
    """A snapshot that is being written must not lose the vectors that it is written from."""
    sealer = _InterruptedSealer(key_file, data_folder=data_folder)
    begun, going_on = threading.Event(), threading.Event()

    def waiting() -> None:
        begun.set()
        assert going_on.wait(30.0)

    with ThreadPoolExecutor() as threads:
        galleries = Galleries.open(data_folder, sealer=sealer, upkeep_s=None)
        sealer.first = waiting
        working = threads.submit(galleries.maintain)
        assert begun.wait(30.0)
        closing = threads.submit(galleries.close)
        with pytest.raises(TimeoutError):
            closing.result(timeout=0.3)
        going_on.set()
        working.result(timeout=30.0)
        closing.result(timeout=30.0)
    with pytest.raises(StoreError, match="closed"):
        galleries.maintain()


def test_a_closed_gallery_writes_no_snapshot(data_folder: Path, key_file: Path) -> None:
    """Its vectors are forgotten: what it wrote would look whole, and nobody would be found."""
    sealer = KeyFileSealer(key_file, data_folder=data_folder)
    options = MemoryOptions(snapshot_from=1)
    with Galleries.open(data_folder, sealer=sealer, options=options, upkeep_s=None) as galleries:
        gallery, _ = _filled(galleries)
        gallery.close()
        KeyRing.rotate(key_file)
        assert sealer.refresh()
        gallery.reseal_snapshot()
    with Galleries.open(data_folder, sealer=sealer, options=options, upkeep_s=None) as galleries:
        gallery = galleries.get("people")
        assert all(identify(gallery, each).decision == "match" for each in _VECTORS)
