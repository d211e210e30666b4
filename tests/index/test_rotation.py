"""Keys that rotate while galleries are open: nothing stays sealed with an old one."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedding.errors import SealKeyMissing
from index.calibration.normalisation import CohortNormalisation
from index.galleries import Galleries
from index.gallery import Gallery
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.sealing import SealContext, TemplateContext
from index.snapshot.key_use import SNAPSHOTS_NAME
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors
from tests.index.sealed_place import SealedPlace

_VECTORS = unit_vectors(12)
_COHORT = CohortNormalisation.of_vectors(unit_vectors(100, seed=90)).to_bytes()


@pytest.fixture
def place(any_database_url: str | None, tmp_path: Path) -> SealedPlace:
    """An empty one, on each kind of database."""
    return SealedPlace(tmp_path, any_database_url)


def _rotated(place: SealedPlace) -> str:
    """Make a new key the current one; returns the id of the one before."""
    old = KeyRing.read(place.key_file).current.id
    KeyRing.rotate(place.key_file)
    return old


def _refresh(galleries: Galleries) -> None:
    """Have galleries that are open read the new key."""
    assert galleries._store._sealer.refresh()  # type: ignore[attr-defined]


def _with_a_snapshot(galleries: Galleries) -> Gallery:
    """A gallery of twelve templates, whose snapshot is written, in a place that has some."""
    gallery = galleries.create("people", fingerprint=FINGERPRINT)
    gallery.enroll([new_template(each) for each in _VECTORS])
    galleries.maintain()
    return gallery


def test_keys_rotate_while_it_runs(place: SealedPlace) -> None:
    """After resealing, the old key can go; templates and spaces open with the new one alone."""
    with place.open() as galleries:
        for name, space in (("people", True), ("guests", False)):
            gallery = galleries.create(name, fingerprint=FINGERPRINT, space=space)
            gallery.enroll([new_template(each) for each in _VECTORS[:5]], name="Anna")
        assert galleries.reseal() == 0
        old = _rotated(place)
        galleries.get("people").enroll([new_template(_VECTORS[5])], name="Bert")
        assert galleries.reseal() == 0  # Its keys are those of before the rotation.
        _refresh(galleries)
        assert galleries.reseal() == 11
        galleries.get("people").enroll([new_template(_VECTORS[6])], name="Carla")
        assert galleries.reseal() == 0
    KeyRing.retire(place.key_file, old)
    with place.open() as galleries:
        for name, count in (("people", 7), ("guests", 5)):
            gallery = galleries.get(name)
            assert gallery.num_templates == count
            assert identify(gallery, _VECTORS[4]).decision == "match"


def test_a_key_that_goes_too_early_is_missed(place: SealedPlace) -> None:
    """Retired before everything was sealed anew: a clear error, and the old key mends it."""
    with place.open() as galleries:
        galleries.create("people", fingerprint=FINGERPRINT).enroll([new_template(_VECTORS[0])])
    before = place.key_file.read_bytes()
    old = _rotated(place)
    KeyRing.retire(place.key_file, old)
    with pytest.raises(SealKeyMissing, match=old):
        place.open()
    place.key_file.write_bytes(before)
    with place.open() as galleries:
        assert identify(galleries.get("people"), _VECTORS[0]).decision == "match"


def test_an_upkeep_seals_snapshots_anew(
    place: SealedPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """After a rotation and one upkeep nothing needs the old key, not even the snapshot."""
    place.snapshot_from = 1
    with place.open() as galleries:
        _with_a_snapshot(galleries)
        old = _rotated(place)
        galleries.maintain()
    KeyRing.retire(place.key_file, old)
    with place.open() as galleries:
        assert identify(galleries.get("people"), _VECTORS[3]).decision == "match"
    assert not caplog.records


def test_resealing_seals_snapshots_anew(
    place: SealedPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """Without an upkeep, too: the next start uses the snapshot, and finds everybody."""
    place.snapshot_from = 1
    with place.open() as galleries:
        _with_a_snapshot(galleries)
        old = _rotated(place)
        _refresh(galleries)
        assert galleries.reseal() == len(_VECTORS)
        assert place.sealed_with(galleries, old) == []
    KeyRing.retire(place.key_file, old)
    with place.open() as galleries:
        gallery = galleries.get("people")
        assert gallery._memory._snapshot_sequence == gallery.sequence
        assert all(identify(gallery, each).decision == "match" for each in _VECTORS)
    assert not caplog.records


def test_resealing_removes_what_a_deleted_gallery_left(place: SealedPlace) -> None:
    """A snapshot whose gallery is gone would keep its old key from being retired."""
    place.snapshot_from = 1
    kept = place.data.with_name("kept")
    with place.open() as galleries:
        gallery = _with_a_snapshot(galleries)
        left = place.data / SNAPSHOTS_NAME / gallery.id
        shutil.copytree(left, kept)
        galleries.delete("people")
        shutil.copytree(kept, left)
        old = _rotated(place)
        _refresh(galleries)
        galleries.reseal()
        assert place.sealed_with(galleries, old) == []


@pytest.mark.postgres
def test_what_another_process_wrote_with_the_old_key_is_sealed_anew(
    tmp_path: Path, database_url: str
) -> None:
    """It had not read the key file yet when the first one had sealed everything and marked it."""
    place = SealedPlace(tmp_path, database_url)
    with place.open() as one, place.open() as other:
        one.create("people", fingerprint=FINGERPRINT).enroll([new_template(_VECTORS[0])])
        # Else it may meet the first template sealed with the new key, and read the file.
        other.sync()
        theirs = other.get("people")
        old = _rotated(place)
        one.maintain()
        theirs.enroll([new_template(_VECTORS[1])])
        assert place.sealed_with(one, old) == ["1 templates"]
        other.maintain()
        assert place.sealed_with(one, old) == []
        assert all(identify(theirs, each).decision == "match" for each in _VECTORS[:2])


@pytest.mark.postgres
def test_resealing_looks_at_every_template(tmp_path: Path, database_url: str) -> None:
    """The process that wrote with the old key is gone: whoever is asked seals that anew."""
    place = SealedPlace(tmp_path, database_url)
    with place.open() as one:
        with place.open() as other:
            gallery = one.create("people", fingerprint=FINGERPRINT)
            other.sync()
            old = _rotated(place)
            one.maintain()
            other.get("people").enroll([new_template(_VECTORS[0])])
        assert one.reseal() == 1
        assert place.sealed_with(one, old) == []
        assert identify(gallery, _VECTORS[0]).decision == "match"


class _SlowSealer(KeyFileSealer):
    """Gives a template that it has sealed only when it may."""

    def __init__(self, path: Path, *, data_folder: Path) -> None:
        super().__init__(path, data_folder=data_folder)
        self.sealing = threading.Event()
        self.going_on = threading.Event()
        self.going_on.set()

    def seal(self, clear: bytes, *, context: SealContext) -> bytes:
        """Return the sealed bytes."""
        sealed = super().seal(clear, context=context)
        if isinstance(context, TemplateContext):
            self.sealing.set()
            assert self.going_on.wait(30.0)
        return sealed


def test_resealing_waits_for_an_enroll_that_began_with_the_old_key(place: SealedPlace) -> None:
    """Its templates are committed after all others were sealed anew, and are so, too."""
    sealer = _SlowSealer(place.key_file, data_folder=place.data)
    with (
        place.open(sealer=sealer) as galleries,
        ThreadPoolExecutor() as threads,
    ):
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        sealer.going_on.clear()
        enrolling = threads.submit(gallery.enroll, [new_template(_VECTORS[0])])
        assert sealer.sealing.wait(30.0)
        old = _rotated(place)
        assert sealer.refresh()
        resealing = threads.submit(galleries._store.reseal)
        with pytest.raises(TimeoutError):
            resealing.result(timeout=0.5)
        sealer.going_on.set()
        enrolling.result(timeout=30.0)
        assert resealing.result(timeout=30.0) == 1
        assert place.sealed_with(galleries, old) == []


def test_a_snapshot_without_its_key_is_made_anew(
    place: SealedPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the templates open and only the snapshot's key is gone, it is told and replaced."""
    place.snapshot_from = 1
    with place.open() as galleries:
        _with_a_snapshot(galleries)
        old = _rotated(place)
        _refresh(galleries)
        # As where a process dies between the two.
        assert galleries._store.reseal() == len(_VECTORS)
    KeyRing.retire(place.key_file, old)
    with place.open() as galleries:
        assert "a snapshot is not used" in caplog.text
        assert identify(galleries.get("people"), _VECTORS[3]).decision == "match"
    caplog.clear()
    place.open().close()
    assert not caplog.records


def test_the_cohort_of_a_calibration_is_sealed_anew(place: SealedPlace) -> None:
    """Its embeddings need the old key until everything was sealed with the new one."""
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.store.write_facts({"normalisation": _COHORT, "calibration": b"in the clear"})
        assert _COHORT[200:264] not in place.bytes()
        old = _rotated(place)
        _refresh(galleries)
        assert "1 cohorts of calibrations" in place.sealed_with(galleries, old)
        galleries.reseal()
        assert place.sealed_with(galleries, old) == []
        assert gallery.store.fact("normalisation") == _COHORT
    KeyRing.retire(place.key_file, old)
    with place.open() as galleries:
        assert galleries.get("people").store.fact("normalisation") == _COHORT


def test_a_cohort_that_lay_in_the_clear_is_sealed(place: SealedPlace) -> None:
    """With the templates, at the first sealing; without the key it does not open."""
    with place.open(sealed=False) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll([new_template(_VECTORS[0])])
        gallery.store.write_facts({"normalisation": _COHORT})
    sealer = KeyFileSealer(place.key_file, data_folder=place.data)
    with place.open(sealed=False) as galleries:
        galleries._store.reseal(new=sealer)
        key_id = KeyRing.read(place.key_file).current.id
        assert "1 cohorts of calibrations" in place.sealed_with(galleries, key_id)
    with place.open() as galleries:
        assert galleries.get("people").store.fact("normalisation") == _COHORT
