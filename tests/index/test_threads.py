"""Many threads on one gallery."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from index.galleries import Galleries
from index.gallery import Gallery
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
