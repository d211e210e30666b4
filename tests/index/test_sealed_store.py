"""A store whose templates are sealed: nothing in the clear, nothing without the key."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedding.errors import RequestInvalid, SealKeyMissing, SettingsInvalid
from index.galleries import Galleries
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.store.store import Store
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors
from tests.index.sealed_place import SealedPlace

_VECTORS = unit_vectors(12)


@pytest.fixture
def place(any_database_url: str | None, tmp_path: Path) -> SealedPlace:
    """An empty one, on each kind of database."""
    return SealedPlace(tmp_path, any_database_url)


def _patterns(vectors_ND: NDArray[np.float32]) -> list[bytes]:
    """Some bytes of each vector as float32 and float16, as a search of a disk would look for."""
    return [each.astype(form).tobytes()[64:96] for each in vectors_ND for form in ("<f4", "<f2")]


@pytest.mark.parametrize("space", [False, True])
def test_it_works_and_nothing_lies_in_the_clear(place: SealedPlace, space: bool) -> None:
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


def test_spaces_keep_similarities_and_differ(place: SealedPlace) -> None:
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


def test_nothing_opens_without_the_key_or_with_another(place: SealedPlace, tmp_path: Path) -> None:
    """Even an empty store knows its key; the message says what to give."""
    place.open().close()
    with pytest.raises(SealKeyMissing, match="FACEGALLERY_SEALING_KEY_FILE"):
        place.open(sealed=False)
    other = tmp_path / "keys" / "other.keys"
    KeyRing.generate(other)
    place.key_file = other
    with pytest.raises(SealKeyMissing, match="not at hand"):
        place.open()


def test_a_key_does_not_seal_what_is_clear_by_itself(place: SealedPlace) -> None:
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
