"""Many threads on one gallery."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedding.errors import StoreError
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import NewSubject
from index.store.change_log import GalleryState
from index.store.gallery_reads import GalleryReads
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_NUM_THREADS = 6
_VECTORS = unit_vectors(_NUM_THREADS * 10)


def _in_threads(work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        for future in [pool.submit(work, number) for number in range(_NUM_THREADS)]:
            future.result()


def test_enroll_identify_and_remove_at_once(data_folder: Path) -> None:
    """Every thread sees its own changes at once, whatever the others do; SQL and memory agree."""
    with Galleries.open(data_folder) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)

        def work(number: int) -> None:
            for each in _VECTORS[number * 10 : number * 10 + 10]:
                enrolled = gallery.enroll([new_template(each)])
                answer = identify(gallery, each)
                assert answer.subject is not None
                assert answer.subject.id == enrolled.subject_id
                if number % 2:
                    gallery.remove_subject(enrolled.subject_id)
                    assert identify(gallery, each).decision == "unknown"

        _in_threads(work)
        assert (gallery.num_subjects, gallery.num_templates) == (30, 30)
    with Galleries.open(data_folder) as galleries:
        gallery = galleries.get("people")
        assert (gallery.num_subjects, gallery.num_templates) == (30, 30)


def test_a_database_that_fails_while_its_log_is_followed(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was added by then is not added again: the next time goes on, and counts are right."""
    with Galleries.open(data_folder, upkeep_s=None) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        new = [NewSubject(templates=(new_template(each),)) for each in _VECTORS[:3]]
        # Straight into SQL, as another process would.
        gallery.store.enroll(new[:1], _VECTORS[:1])
        state = GalleryReads.state
        num_asked = 0

        def failing(reads: GalleryReads) -> GalleryState:
            nonlocal num_asked
            num_asked += 1
            if num_asked == 2:
                raise StoreError("the database went away")
            known = state(reads)
            if num_asked == 1:
                # More than was to be followed, so that the counts are asked for again.
                gallery.store.enroll(new[1:2], _VECTORS[1:2])
            return known

        monkeypatch.setattr(GalleryReads, "state", failing)
        with pytest.raises(StoreError, match="went away"):
            gallery.catch_up()
        gallery.store.enroll(new[2:], _VECTORS[2:3])
        gallery.catch_up()
        assert (gallery.num_subjects, gallery.num_templates) == (3, 3)
        assert all(identify(gallery, each).decision == "match" for each in _VECTORS[:3])


def test_one_name_in_many_threads_is_one_subject(gallery: Gallery) -> None:
    """Find-or-create does not make a name twice."""

    def work(number: int) -> None:
        for each in _VECTORS[number * 10 : number * 10 + 5]:
            gallery.enroll([new_template(each)], name="Anna")

    _in_threads(work)
    assert (gallery.num_subjects, gallery.num_templates) == (1, 30)
    assert len(gallery.subjects().subjects) == 1


def test_a_removed_subject_is_not_named_while_others_search(gallery: Gallery) -> None:
    """From the return of a removal on no search names the subject."""

    def work(number: int) -> None:
        vector = _VECTORS[number]
        for _ in range(15):
            enrolled = gallery.enroll([new_template(vector), new_template(vector)])
            gallery.remove_subject(enrolled.subject_id)
            candidates = identify(gallery, vector).candidates
            assert all(each.subject_id != enrolled.subject_id for each in candidates)

    _in_threads(work)
    assert (gallery.num_subjects, gallery.num_templates) == (0, 0)


def test_galleries_are_made_and_deleted_in_threads(galleries: Galleries) -> None:
    """Each thread's gallery comes and goes without touching the others."""

    def work(number: int) -> None:
        for _ in range(5):
            gallery = galleries.create(f"gallery-{number}", fingerprint=FINGERPRINT)
            gallery.enroll([new_template(_VECTORS[number])])
            assert galleries.delete(f"gallery-{number}") == 1

    _in_threads(work)
    assert galleries.list() == ()
