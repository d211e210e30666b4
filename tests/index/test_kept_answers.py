"""What a key did, in the store: kept with the enroll, gone with the person, on both databases."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from embedding.errors import (
    GalleryNotFound,
    IdempotencyKeyInUse,
    IdempotencyKeySpent,
    RequestInvalid,
)
from index.gallery import Gallery
from index.records import Enrolled
from index.repeats import Repeatable, UsedKey
from index.store.tables import utc_now
from tests.index.conftest import OpenGalleries
from tests.index.erased_place import ErasedPlace
from tests.index.samples import FINGERPRINT, new_template, unit_vectors

TELLING = "what was found out about this person"


@pytest.fixture
def place(any_database_url: str | None, tmp_path: Path) -> ErasedPlace:
    """An empty one, on each kind of database."""
    return ErasedPlace(tmp_path, any_database_url)


def _used(number: int, *, caller: str = "key-1") -> UsedKey:
    return UsedKey(
        caller=caller,
        code=bytes([number]) * 32,
        request_code=bytes([100 + number]) * 32,
        expires_at=utc_now() + timedelta(hours=1),
        max_keys=10,
    )


def _enroll(
    gallery: Gallery,
    number: int,
    *,
    answer: Callable[[Enrolled], str] = lambda _: TELLING,
    name: str = "Ann",
) -> Enrolled:
    return gallery.enroll(
        [new_template(unit_vectors(1, seed=number)[0])],
        name=name,
        repeatable=Repeatable(key=_used(number), answer=answer),
    )


def test_it_outlives_the_process(open_galleries: OpenGalleries) -> None:
    """Whoever opens the database later finds what was done, and by no other code."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        done = _enroll(gallery, 1, answer=lambda each: each.subject_id)
    with open_galleries() as galleries:
        kept = galleries.kept_answers.find(_used(1).code)
        assert kept is not None
        assert (kept.answer, kept.request_code) == (done.subject_id, _used(1).request_code)
        assert galleries.kept_answers.find(_used(2).code) is None


def test_what_fails_leaves_neither(open_galleries: OpenGalleries) -> None:
    """An answer that cannot be made undoes the enroll; an enroll that fails keeps no answer."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)

        def fail(_: Enrolled) -> str:
            raise RequestInvalid("it cannot be made")

        with pytest.raises(RequestInvalid):
            _enroll(gallery, 1, answer=fail)
        assert (gallery.num_templates, gallery.find_subject(name="Ann")) == (0, None)
        galleries.delete("people")
        with pytest.raises(GalleryNotFound):
            _enroll(gallery, 1)
        assert galleries.kept_answers.find(_used(1).code) is None


def test_the_second_of_two_is_undone(open_galleries: OpenGalleries) -> None:
    """Both get as far as the database; one of them is there, with its answer, and once."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        outcomes: list[str] = []

        def enroll() -> None:
            try:
                outcomes.append(_enroll(gallery, 1).subject_id)
            except IdempotencyKeyInUse as error:
                outcomes.append(error.code)

        threads = [threading.Thread(target=enroll) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(outcomes)[1:] == ["idempotency_key_in_use"] * 3
        assert gallery.num_templates == 1
        _enroll(gallery, 2)
        assert gallery.num_templates == 2


def test_its_bytes_leave_live_storage_with_the_person(place: ErasedPlace) -> None:
    """Database and write-ahead log hold nothing of it after the upkeep; the key stays used."""
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        done = _enroll(gallery, 1)
        _enroll(gallery, 2, answer=lambda _: "of somebody else", name="Ben")
        assert any(TELLING.encode() in content for content in place.live_bytes())
        gallery.remove_subject(done.subject_id)
        galleries.maintain()
        for gone in (TELLING.encode(), _used(1).request_code):
            assert not any(gone in content for content in place.live_bytes())
        assert any(b"of somebody else" in content for content in place.live_bytes())
        with pytest.raises(IdempotencyKeySpent):
            galleries.kept_answers.find(_used(1).code)
        galleries.delete("people")
        galleries.maintain()
        assert not any(b"of somebody else" in content for content in place.live_bytes())
