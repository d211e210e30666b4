"""Several processes on one PostgreSQL database: each follows what the others change."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedding.errors import GalleryExists, GalleryNotFound, StoreError
from index.galleries import Galleries
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors
from tests.index.waiting import wait_until

pytestmark = pytest.mark.postgres

_VECTORS = unit_vectors(40)


@pytest.fixture
def both(data_folder: Path, database_url: str) -> Iterator[tuple[Galleries, Galleries]]:
    """Two services of one database and data folder."""
    with (
        Galleries.open(data_folder, database_url=database_url) as one,
        Galleries.open(data_folder, database_url=database_url) as other,
    ):
        yield one, other


def test_an_enroll_is_seen_by_the_other(both: tuple[Galleries, Galleries]) -> None:
    """Gallery, subject and templates come over without anybody asking."""
    one, other = both
    gallery = one.create("people", fingerprint=FINGERPRINT)
    gallery.enroll([new_template(_VECTORS[0])], name="Anna")
    wait_until(lambda: bool(other.list()) and other.list()[0].num_templates == 1)
    found = identify(other.get("people"), _VECTORS[0])
    assert found.candidates[0].subject.name == "Anna"
    assert other.get("people").num_subjects == 1


def test_a_removal_is_never_answered_by_the_other(both: tuple[Galleries, Galleries]) -> None:
    """From the return of the removal on, whatever the other's memory still holds."""
    one, other = both
    gallery = one.create("people", fingerprint=FINGERPRINT)
    for number in range(10):
        enrolled = gallery.enroll([new_template(_VECTORS[number])], name=f"S{number}")
        wait_until(lambda: bool(identify(other.get("people"), _VECTORS[number]).candidates))  # noqa: B023
        gallery.remove_subject(enrolled.subject_id)
        assert identify(other.get("people"), _VECTORS[number]).candidates == ()
    wait_until(lambda: other.get("people").num_templates == 0)


def test_changes_of_both_end_in_the_same_memory(both: tuple[Galleries, Galleries]) -> None:
    """Enrolls and removals that interleave leave both with what SQL holds."""
    one, other = both
    one.create("people", fingerprint=FINGERPRINT)

    def change(galleries: Galleries, numbers: range) -> None:
        gallery = galleries.get("people")
        for number in numbers:
            enrolled = gallery.enroll([new_template(_VECTORS[number])], name=f"S{number}")
            if number % 3 == 0:
                gallery.remove_subject(enrolled.subject_id)

    threads = [
        threading.Thread(target=change, args=(one, range(20))),
        threading.Thread(target=change, args=(other, range(20, 40))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f"S{number}" for number in range(40) if number % 3}
    for galleries in both:
        gallery = galleries.get("people")
        wait_until(lambda: gallery.num_templates == len(expected))  # noqa: B023
        names = {
            candidate.subject.name
            for number in range(40)
            for candidate in identify(gallery, _VECTORS[number], num_candidates=1).candidates
        }
        assert names == expected
        assert gallery.num_subjects == len(expected)


def test_a_deleted_gallery_is_gone_for_the_other(both: tuple[Galleries, Galleries]) -> None:
    """Whoever held it gets a clear error."""
    one, other = both
    one.create("people", fingerprint=FINGERPRINT).enroll([new_template(_VECTORS[0])])
    held = other.get("people")
    one.delete("people")
    with pytest.raises(GalleryNotFound):
        held.enroll([new_template(_VECTORS[1])])
    wait_until(lambda: other.list() == ())
    with pytest.raises(GalleryNotFound):
        identify(held, _VECTORS[0])


def test_one_name_makes_one_gallery(both: tuple[Galleries, Galleries]) -> None:
    """The second creation is refused, though the other has not heard of the first."""
    one, other = both
    one.create("people", fingerprint=FINGERPRINT)
    with pytest.raises(GalleryExists):
        other.create("people", fingerprint=FINGERPRINT)


@pytest.mark.usefixtures("both")
def test_a_service_with_other_secrets_is_refused(database_url: str, tmp_path: Path) -> None:
    """Keys and cursors of one would be wrong at the other; the message says what to copy."""
    with pytest.raises(StoreError, match=r"\*\.secret"):
        Galleries.open(tmp_path / "elsewhere", database_url=database_url)


def test_staleness_is_reported(both: tuple[Galleries, Galleries]) -> None:
    """It is small while the database answers."""
    wait_until(lambda: all(each.staleness_s < 2.0 for each in both))
