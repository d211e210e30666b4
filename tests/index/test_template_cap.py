"""A gallery that keeps at most so many templates of a subject."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.galleries import Galleries
from index.gallery import Gallery
from index.inspection import inspect
from index.place import Place
from index.records import NewSubject
from index.rules import GalleryRules
from tests.index.conftest import OpenGalleries
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_VECTORS = unit_vectors(60)


def _kept(gallery: Gallery, subject_id: str) -> list[str]:
    return [each.image_id for each in gallery.templates(subject_id)]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cap=st.integers(1, 4),
    # Lots of photos: whose, and how good.
    lots=st.lists(
        st.lists(
            st.tuples(st.integers(0, 2), st.sampled_from([0.25, 0.5, 0.75])),
            min_size=1,
            max_size=8,
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_the_best_and_of_equals_the_newest_stay(
    galleries: Galleries, cap: int, lots: list[list[tuple[int, float]]]
) -> None:
    """After any enrolls, one by one or many at once, a slow reading of the rule keeps the same."""
    gallery = galleries.create("drawn", fingerprint=FINGERPRINT)
    gallery.set_rules(GalleryRules(max_templates=cap))
    kept: dict[int, list[tuple[float, int]]] = {0: [], 1: [], 2: []}
    num, told = 0, []
    try:
        for lot in lots:
            new = []
            for person, quality in lot:
                image = new_template(_VECTORS[num], quality=quality, image_id=f"image-{num}")
                new.append(NewSubject(name=f"person {person}", templates=(image,)))
                kept[person].append((quality, num))
                num += 1
            told += [one for each in gallery.enroll_many(new) for one in each.dropped_ids]
            for person, photos in kept.items():
                kept[person] = sorted(photos, reverse=True)[:cap]
        for person, photos in kept.items():
            subject = gallery.find_subject(name=f"person {person}")
            expected = sorted(number for _, number in photos)
            assert (subject is None) == (not expected)
            if subject is not None:
                assert _kept(gallery, subject.id) == [f"image-{each}" for each in expected]
                assert subject.num_templates == len(expected)
        num_left = sum(map(len, kept.values()))
        assert gallery.num_templates == num_left
        assert gallery.num_subjects == sum(bool(each) for each in kept.values())
        assert len(set(told)) == len(told) == num - num_left
    finally:
        galleries.delete("drawn")


def test_what_went_is_never_found_again(open_galleries: OpenGalleries) -> None:
    """Neither at once, nor after a restart; everybody else is found as before."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        bert = gallery.enroll([new_template(each) for each in _VECTORS[10:14]]).subject_id
        gallery.set_rules(GalleryRules(max_templates=1))
        anna = gallery.enroll([new_template(_VECTORS[0], quality=0.25)]).subject_id
        added = gallery.enroll([new_template(_VECTORS[1], quality=0.5)], subject_id=anna)
        assert len(added.dropped_ids) == 1
        assert added.dropped_ids != added.template_ids
    for again in (False, True):
        with open_galleries() as galleries:
            gallery = galleries.get("people")
            assert identify(gallery, _VECTORS[0]).decision == "unknown"
            found = identify(gallery, _VECTORS[1]).subject
            assert found is not None
            assert found.id == anna
            assert len(gallery.templates(bert)) == 4
            if not again:
                # A poorer one does not even stay until the answer.
                poor = gallery.enroll([new_template(_VECTORS[2], quality=0.1)], subject_id=anna)
                assert poor.dropped_ids == poor.template_ids
            assert identify(gallery, _VECTORS[2]).decision == "unknown"


def test_other_processes_follow(data_folder: Path, database_url: str) -> None:
    """A second service forgets what a first one's enroll has pushed out."""
    with (
        Galleries.open(data_folder, database_url=database_url) as ours,
        Galleries.open(data_folder, database_url=database_url) as theirs,
    ):
        gallery = ours.create("people", fingerprint=FINGERPRINT)
        gallery.set_rules(GalleryRules(max_templates=2))
        other = theirs.get("people")
        assert other.rules().max_templates == 2
        gallery.enroll([new_template(each) for each in _VECTORS[:2]], name="Anna")
        other.enroll([new_template(each) for each in _VECTORS[2:4]], name="Anna")
        ours.sync()
        assert gallery.num_templates == other.num_templates == 2
        assert identify(gallery, _VECTORS[0]).decision == "unknown"
        assert identify(gallery, _VECTORS[3]).decision == "match"


def test_a_place_with_a_cap_is_whole_and_its_ledger_remembers(tmp_path: Path) -> None:
    """What went is in the removal ledger, counters and log fit, and a restore keeps it away."""
    place = Place(
        data_folder=tmp_path / "data",
        database_url=None,
        sealer=None,
        ledger=tmp_path / "removals.ledger",
    )
    with Galleries.open(place.data_folder, ledger=place.ledger) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.set_rules(GalleryRules(max_templates=2))
        done = gallery.enroll([new_template(each) for each in _VECTORS[:5]])
        assert len(done.dropped_ids) == 3
        removed = {each.template_id for each in galleries._store.removals()}
        assert removed == set(done.dropped_ids)
    report = inspect(place, repair=False)
    assert report.whole
    assert report.num_templates == 2


def test_a_cap_changes_nothing_until_an_enroll(gallery: Gallery) -> None:
    """Then it is that subject's alone, and without a cap everything stays."""
    anna, bert = (
        gallery.enroll([new_template(each) for each in _VECTORS[start : start + 4]]).subject_id
        for start in (0, 4)
    )
    gallery.set_rules(GalleryRules(max_templates=2))
    assert gallery.num_templates == 8
    gallery.enroll([new_template(_VECTORS[8], quality=0.9, image_id="new")], subject_id=anna)
    assert len(gallery.templates(bert)) == 4
    assert _kept(gallery, anna) == ["image-1", "new"]
    gallery.set_rules(GalleryRules())
    gallery.enroll([new_template(_VECTORS[9])], subject_id=anna)
    assert len(gallery.templates(anna)) == 3


@pytest.mark.parametrize("cap", [1, 3])
def test_a_new_subject_with_too_many_photos_keeps_the_best(gallery: Gallery, cap: int) -> None:
    """All ids are given, and which of them went is told."""
    gallery.set_rules(GalleryRules(max_templates=cap))
    done = gallery.enroll(
        [new_template(each, quality=0.1 * n) for n, each in enumerate(_VECTORS[:6])]
    )
    left = [each.id for each in gallery.templates(done.subject_id)]
    assert left == list(done.template_ids[-cap:])
    assert set(done.dropped_ids) == set(done.template_ids[:-cap])
    assert gallery.num_subjects == 1
