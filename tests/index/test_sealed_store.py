"""A store whose templates are sealed: nothing in the clear, nothing without the key."""

import shutil
from pathlib import Path

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray

from embedding.errors import RequestInvalid, SealKeyMissing, SettingsInvalid
from index.encryption import sealed_start
from index.galleries import Galleries
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.memory import MemoryOptions
from index.snapshot.key_use import SNAPSHOTS_NAME, sealed_snapshots
from index.store.key_use import sealed_with
from index.store.store import Store
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_VECTORS = unit_vectors(12)


class _Place:
    """Where galleries are opened, with a key file beside the data folder."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.data = folder / "data"
        self.key_file = folder / "keys" / "sealing.keys"
        self.url = url
        self.snapshot_from = 20_000
        self.key_file.parent.mkdir()
        KeyRing.generate(self.key_file)

    def open(self, *, sealed: bool = True, upkeep_s: float | None = 3600.0) -> Galleries:
        """Open them."""
        sealer = KeyFileSealer(self.key_file, data_folder=self.data) if sealed else None
        return Galleries.open(
            self.data,
            database_url=self.url,
            sealer=sealer,
            options=MemoryOptions(snapshot_from=self.snapshot_from),
            upkeep_s=upkeep_s,
        )

    def bytes(self) -> bytes:
        """All that lies on disk: the folder's files and, from PostgreSQL, every template."""
        content = b"".join(each.read_bytes() for each in self.data.rglob("*") if each.is_file())
        if self.url is not None:
            with psycopg.connect(self.url) as connection:
                rows = connection.execute("SELECT sealed_embedding FROM templates").fetchall()
            content += b"".join(bytes(row[0]) for row in rows)
        return content


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> _Place:
    """An empty one, on each kind of database."""
    url = request.getfixturevalue("database_url") if request.param == "postgres" else None
    return _Place(tmp_path, url)


def _patterns(vectors_ND: NDArray[np.float32]) -> list[bytes]:
    """Some bytes of each vector as float32 and float16, as a search of a disk would look for."""
    return [each.astype(form).tobytes()[64:96] for each in vectors_ND for form in ("<f4", "<f2")]


def _sealed_with(place: _Place, galleries: Galleries, key_id: str) -> list[str]:
    """What a key is still needed for: in the database, then names of snapshots."""
    with galleries._store.database.transaction() as connection:
        found = sealed_with(connection, key_id)
    snapshots = sealed_snapshots(place.data / SNAPSHOTS_NAME)
    start = sealed_start(key_id)
    return found + [
        each.path.name for each in snapshots if any(s.startswith(start) for s in each.starts)
    ]


@pytest.mark.parametrize("space", [False, True])
def test_it_works_and_nothing_lies_in_the_clear(place: _Place, space: bool) -> None:
    """Enroll, identify, restart and remove; no pattern of a vector is on disk at any time."""
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT, space=space)
        assert (gallery.space_id is not None) == space
        for number, vector in enumerate(_VECTORS):
            gallery.enroll([new_template(vector)], name=f"S{number}")
        assert not any(pattern in place.bytes() for pattern in _patterns(_VECTORS))
    with place.open() as galleries:
        gallery = galleries.get("people")
        for number, vector in enumerate(_VECTORS):
            best = identify(gallery, vector).candidates[0]
            assert best.subject.name == f"S{number}"
            assert best.similarity == pytest.approx(1.0, abs=1e-5)
        gallery.remove_subject(identify(gallery, _VECTORS[0]).candidates[0].subject.id)
        assert identify(gallery, _VECTORS[0]).decision == "unknown"
    assert not any(pattern in place.bytes() for pattern in _patterns(_VECTORS))


def test_spaces_keep_similarities_and_differ(place: _Place) -> None:
    """Two galleries of the same vectors answer alike and hold different bytes in memory."""
    with place.open() as galleries:
        names = ("one", "two", "plain")
        made = [
            galleries.create(name, fingerprint=FINGERPRINT, space=name != "plain")
            for name in names
        ]
        for gallery in made:
            gallery.enroll([new_template(each) for each in _VECTORS[:3]], name="Anna")
            gallery.enroll([new_template(each) for each in _VECTORS[3:6]], name="Bert")
        answers = [identify(each, _VECTORS[4]).candidates for each in made]
        for other in answers[1:]:
            for mine, theirs in zip(answers[0], other, strict=True):
                assert mine.subject.name == theirs.subject.name
                assert mine.similarity == pytest.approx(theirs.similarity, abs=1e-6)
        assert made[0].space_id != made[1].space_id
        stored = [next(iter(each._store.load(up_to=10**9)))[1] for each in made]
        assert np.abs(np.sum(stored[0] * stored[1], axis=1)).max() < 0.5
        np.testing.assert_array_equal(stored[2], _VECTORS[:6])


def test_nothing_opens_without_the_key_or_with_another(place: _Place, tmp_path: Path) -> None:
    """Even an empty store knows its key; the message says what to give."""
    place.open().close()
    with pytest.raises(SealKeyMissing, match="FACEGALLERY_SEALING_KEY_FILE"):
        place.open(sealed=False)
    other = tmp_path / "keys" / "other.keys"
    KeyRing.generate(other)
    place.key_file = other
    with pytest.raises(SealKeyMissing, match="not at hand"):
        place.open()


def test_a_key_does_not_seal_what_is_clear_by_itself(place: _Place) -> None:
    """A store with clear templates refuses a key, until it is sealed; then it opens with it."""
    with place.open(sealed=False) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll([new_template(each) for each in _VECTORS], name="Anna")
    with pytest.raises(SealKeyMissing, match="facegallery-index seal"):
        place.open()
    with place.open(sealed=False) as galleries:
        store: Store = galleries._store
        sealer = KeyFileSealer(place.key_file, data_folder=place.data)
        assert store.reseal(new=sealer) == len(_VECTORS)
        assert store.reseal(new=sealer) == 0
    with place.open() as galleries:
        assert identify(galleries.get("people"), _VECTORS[3]).decision == "match"
    with pytest.raises(SealKeyMissing):
        place.open(sealed=False)


def test_keys_rotate_while_it_runs(place: _Place) -> None:
    """After resealing, the old key can go; templates and spaces open with the new one alone."""
    with place.open() as galleries:
        for name, space in (("people", True), ("guests", False)):
            gallery = galleries.create(name, fingerprint=FINGERPRINT, space=space)
            gallery.enroll([new_template(each) for each in _VECTORS[:5]], name="Anna")
        assert galleries.reseal() == 0
        old = KeyRing.read(place.key_file).current.id
        KeyRing.rotate(place.key_file)
        galleries.get("people").enroll([new_template(_VECTORS[5])], name="Bert")
        assert galleries.reseal() == 0  # Its keys are those of before the rotation.
        assert galleries._store._sealer.refresh()  # type: ignore[attr-defined]
        assert galleries.reseal() == 11
        galleries.get("people").enroll([new_template(_VECTORS[6])], name="Carla")
        assert galleries.reseal() == 0
    KeyRing.retire(place.key_file, old)
    with place.open() as galleries:
        for name, count in (("people", 7), ("guests", 5)):
            gallery = galleries.get(name)
            assert gallery.num_templates == count
            assert identify(gallery, _VECTORS[4]).decision == "match"


def test_a_key_that_goes_too_early_is_missed(place: _Place) -> None:
    """Retired before everything was sealed anew: a clear error, and the old key mends it."""
    with place.open() as galleries:
        galleries.create("people", fingerprint=FINGERPRINT).enroll([new_template(_VECTORS[0])])
    before = place.key_file.read_bytes()
    old = KeyRing.read(place.key_file).current.id
    KeyRing.rotate(place.key_file)
    KeyRing.retire(place.key_file, old)
    with pytest.raises(SealKeyMissing, match=old):
        place.open()
    place.key_file.write_bytes(before)
    with place.open() as galleries:
        assert identify(galleries.get("people"), _VECTORS[0]).decision == "match"


def test_an_upkeep_seals_snapshots_anew(place: _Place, caplog: pytest.LogCaptureFixture) -> None:
    """After a rotation and one upkeep nothing needs the old key, not even the snapshot."""
    place.snapshot_from = 1
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll([new_template(each) for each in _VECTORS])
        galleries.maintain()
        old = KeyRing.read(place.key_file).current.id
        KeyRing.rotate(place.key_file)
        galleries.maintain()
    KeyRing.retire(place.key_file, old)
    with place.open() as galleries:
        assert identify(galleries.get("people"), _VECTORS[3]).decision == "match"
    assert not caplog.records


def test_resealing_seals_snapshots_anew(place: _Place, caplog: pytest.LogCaptureFixture) -> None:
    """Without an upkeep, too: the next start uses the snapshot, and finds everybody."""
    place.snapshot_from = 1
    with place.open(upkeep_s=None) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll([new_template(each) for each in _VECTORS])
        galleries.maintain()
        old = KeyRing.read(place.key_file).current.id
        KeyRing.rotate(place.key_file)
        assert galleries._store._sealer.refresh()  # type: ignore[attr-defined]
        assert galleries.reseal() == len(_VECTORS)
        assert _sealed_with(place, galleries, old) == []
    KeyRing.retire(place.key_file, old)
    with place.open(upkeep_s=None) as galleries:
        gallery = galleries.get("people")
        assert gallery._memory._snapshot_sequence == gallery.sequence
        assert all(identify(gallery, each).decision == "match" for each in _VECTORS)
    assert not caplog.records


def test_resealing_removes_what_a_deleted_gallery_left(place: _Place) -> None:
    """A snapshot whose gallery is gone would keep its old key from being retired."""
    place.snapshot_from = 1
    kept = place.data.with_name("kept")
    with place.open(upkeep_s=None) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll([new_template(each) for each in _VECTORS])
        galleries.maintain()
        left = place.data / SNAPSHOTS_NAME / gallery.id
        shutil.copytree(left, kept)
        galleries.delete("people")
        shutil.copytree(kept, left)
        old = KeyRing.read(place.key_file).current.id
        KeyRing.rotate(place.key_file)
        assert galleries._store._sealer.refresh()  # type: ignore[attr-defined]
        galleries.reseal()
        assert _sealed_with(place, galleries, old) == []


def test_a_snapshot_without_its_key_is_made_anew(
    place: _Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the templates open and only the snapshot's key is gone, it is told and replaced."""
    place.snapshot_from = 1
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll([new_template(each) for each in _VECTORS])
        galleries.maintain()
        old = KeyRing.read(place.key_file).current.id
        KeyRing.rotate(place.key_file)
        assert galleries._store._sealer.refresh()  # type: ignore[attr-defined]
        # As where a process dies between the two.
        assert galleries._store.reseal() == len(_VECTORS)
    KeyRing.retire(place.key_file, old)
    with place.open() as galleries:
        assert "a snapshot is not used" in caplog.text
        assert identify(galleries.get("people"), _VECTORS[3]).decision == "match"
    caplog.clear()
    place.open().close()
    assert not caplog.records


def test_a_space_without_sealing_is_refused(tmp_path: Path) -> None:
    """Its secret would lie beside the vectors."""
    with (
        Galleries.open(tmp_path / "data") as galleries,
        pytest.raises(RequestInvalid, match="key file"),
    ):
        galleries.create("people", fingerprint=FINGERPRINT, space=True)


def test_a_key_file_in_the_data_folder_is_refused(tmp_path: Path) -> None:
    """Every backup of the folder would take it along."""
    (tmp_path / "data").mkdir(mode=0o700)
    path = tmp_path / "data" / "sealing.keys"
    KeyRing.generate(path)
    with pytest.raises(SettingsInvalid):
        KeyFileSealer(path, data_folder=tmp_path / "data")
