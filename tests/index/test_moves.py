"""Templates that get another subject."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embedding.errors import (
    NameInvalid,
    RequestInvalid,
    SubjectNotFound,
    TemplateNotFound,
)
from index.galleries import Galleries
from index.gallery import Gallery
from index.inspection import inspect
from index.memory import MemoryOptions
from index.place import Place
from index.rules import GalleryRules
from tests.index.conftest import OpenGalleries
from tests.index.moved import VECTORS, counts, enroll, ids_of, named_as
from tests.index.samples import FINGERPRINT, new_template
from tests.index.sealed_place import SealedPlace


def test_a_moved_template_counts_for_its_new_subject_at_once(
    open_galleries: OpenGalleries,
) -> None:
    """In identifications, lists and counts, also after a restart; the others stay."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert = enroll(gallery, 0, 1, name="Anna"), enroll(gallery, 2, name="Bert")
        first, second = ids_of(gallery, anna)
        sequence = gallery.sequence
        moved = gallery.move_templates(anna, [second, second], to_subject_id=bert)
        assert (moved.subject_id, moved.created, moved.num_left) == (bert, False, 1)
        assert moved.template_ids == (second,)
        assert list(moved.similarities) == pytest.approx([VECTORS[1] @ VECTORS[2]], abs=1e-5)
        assert gallery.sequence == sequence + 1
    for _ in range(2):
        with open_galleries() as galleries:
            gallery = galleries.get("people")
            assert [named_as(gallery, number) for number in range(3)] == [anna, bert, bert]
            assert ids_of(gallery, anna) == [first]
            assert second in ids_of(gallery, bert)
            assert gallery.template(second).subject_id == bert
            assert counts(gallery) == (2, 3)


def test_the_last_template_leaves_an_empty_subject(gallery: Gallery) -> None:
    """It stays with its name, counts no more, and can be filled again."""
    anna, bert = enroll(gallery, 0, name="Anna"), enroll(gallery, 1, name="Bert")
    moved = gallery.move_templates(anna, ids_of(gallery, anna), to_subject_id=bert)
    assert moved.num_left == 0
    assert (gallery.subject(anna).name, gallery.subject(anna).num_templates) == ("Anna", 0)
    assert counts(gallery) == (1, 2)
    gallery.move_templates(bert, ids_of(gallery, bert)[:1], to_name="Anna")
    assert gallery.subject(anna).num_templates == 1
    assert counts(gallery) == (2, 2)


def test_a_move_can_make_the_subject(gallery: Gallery) -> None:
    """Two people under one name are taken apart: one gets a subject of her own."""
    anna = enroll(gallery, 0, 1, name="Anna")
    moved = gallery.move_templates(
        anna, ids_of(gallery, anna)[1:], to_name="Bella", to_external_id="b-1"
    )
    assert moved.created
    assert moved.similarities == (None,)
    bella = gallery.find_subject(external_id="b-1")
    assert bella is not None
    assert (bella.id, bella.name, bella.num_templates) == (moved.subject_id, "Bella", 1)
    assert [named_as(gallery, number) for number in (0, 1)] == [anna, bella.id]


def test_what_cannot_be_moved_is_refused_and_nothing_is_done(
    galleries: Galleries, gallery: Gallery
) -> None:
    """Foreign and unknown templates and subjects, nobody, itself, and contradictions."""
    anna, bert = enroll(gallery, 0, 1, name="Anna"), enroll(gallery, 2, name="Bert")
    gallery.set_external_id(bert, external_id="b-1")
    other = galleries.create("others", fingerprint=FINGERPRINT)
    cleo = enroll(other, 3, name="Cleo")
    own, theirs = ids_of(gallery, anna), ids_of(other, cleo)
    sequence = gallery.sequence
    for ids in ([*own, theirs[0]], [*own, ids_of(gallery, bert)[0]], ["absent"], [own[0].upper()]):
        with pytest.raises(TemplateNotFound):
            gallery.move_templates(anna, ids, to_subject_id=bert)
    for subject, to in ((anna, cleo), (cleo, bert), ("absent", bert), (anna, bert.upper())):
        with pytest.raises(SubjectNotFound):
            gallery.move_templates(subject, own, to_subject_id=to)
    contradictions: list[Callable[[], object]] = [
        lambda: gallery.move_templates(anna, own),
        lambda: gallery.move_templates(anna, [], to_subject_id=bert),
        lambda: gallery.move_templates(anna, [str(n) for n in range(1001)], to_name="New"),
        lambda: gallery.move_templates(anna, own, to_subject_id=anna),
        lambda: gallery.move_templates(anna, own, to_name="Anna"),
        lambda: gallery.move_templates(anna, own, to_subject_id=bert, to_name="Bert"),
        lambda: gallery.move_templates(anna, own, to_name="Anna", to_external_id="b-1"),
    ]
    for refused in contradictions:
        with pytest.raises(RequestInvalid):
            refused()
    with pytest.raises(NameInvalid):
        gallery.move_templates(anna, own, to_name="a/b")
    assert gallery.sequence == sequence
    assert [named_as(gallery, number) for number in range(3)] == [anna, anna, bert]


def test_a_cap_holds_for_whoever_gets_templates(gallery: Gallery) -> None:
    """The poorest go, old or moved, and are never found again."""
    gallery.set_rules(GalleryRules(max_templates=2))
    qualities = {0: 0.9, 1: 0.1, 2: 0.5, 3: 0.7}
    anna, bert = (
        gallery.enroll([new_template(VECTORS[n], quality=qualities[n]) for n in some]).subject_id
        for some in ((0, 1), (2, 3))
    )
    would = gallery.move_templates(anna, ids_of(gallery, anna), to_subject_id=bert, dry_run=True)
    assert len(would.dropped_ids) == 2
    assert counts(gallery) == (2, 4)
    moved = gallery.move_templates(anna, ids_of(gallery, anna), to_subject_id=bert)
    assert moved == would
    assert counts(gallery) == (1, 2)
    assert [named_as(gallery, number) for number in range(4)] == [bert, None, None, bert]


@pytest.mark.parametrize("space", [False, True])
def test_sealed_templates_are_bound_to_their_new_subject(tmp_path: Path, space: bool) -> None:
    """They open after a restart, pass the check, and lie in the clear at no time."""
    place = SealedPlace(tmp_path, None)
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT, space=space)
        anna, bert = enroll(gallery, 0, 1), enroll(gallery, 2)
        gallery.move_templates(anna, ids_of(gallery, anna)[:1], to_subject_id=bert)
        gallery.merge_subjects(anna, into=bert)
        for number, template_id in zip((0, 1, 2), ids_of(gallery, bert), strict=True):
            found = gallery.embedding(template_id)
            np.testing.assert_allclose(found, VECTORS[number], atol=1e-5)
    with place.open() as galleries:
        gallery = galleries.get("people")
        assert [named_as(gallery, number) for number in range(3)] == [bert] * 3
        gallery.remove_subject(bert)
    patterns = [each.astype("<f4").tobytes()[64:96] for each in VECTORS[:3]]
    assert not any(pattern in place.bytes() for pattern in patterns)


def test_what_was_moved_passes_the_check(data_folder: Path) -> None:
    """Checksums, counters and change log fit, and a snapshot of before stays good."""
    options = MemoryOptions(snapshot_from=1)
    with Galleries.open(data_folder, options=options) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert, cleo = (enroll(gallery, n, n + 3) for n in range(3))
        galleries.maintain()
        gallery.move_templates(anna, ids_of(gallery, anna)[:1], to_subject_id=bert)
        gallery.merge_subjects(bert, into=cleo)
    report = inspect(Place(data_folder=data_folder), repair=False)
    assert report.findings == []
    with Galleries.open(data_folder, options=options) as galleries:
        found = [named_as(galleries.get("people"), number) for number in range(6)]
        assert found == [cleo, cleo, cleo, anna, cleo, cleo]


@pytest.mark.parametrize("odd", ["a\0b", "\ud800", "%", "_" * 36, "x" * 5000, "merged:1:"])
def test_odd_ids_are_nobody_s(gallery: Gallery, odd: str) -> None:
    """Whatever the database makes of them: not found, or refused as no text."""
    anna = enroll(gallery, 0)
    own = ids_of(gallery, anna)
    no_subject = (SubjectNotFound, RequestInvalid)
    for ask in (gallery.subject, gallery.template_page, gallery.erase_subject):
        with pytest.raises(no_subject):
            ask(odd)
    for one, other in ((odd, anna), (anna, odd)):
        with pytest.raises(no_subject):
            gallery.merge_subjects(one, into=other)
        with pytest.raises((*no_subject, TemplateNotFound)):
            gallery.move_templates(one, own, to_subject_id=other)
    with pytest.raises((TemplateNotFound, RequestInvalid)):
        gallery.move_templates(anna, [odd], to_name="New")
    for look in (gallery.template, gallery.erase_template, gallery.template_erasure):
        with pytest.raises((TemplateNotFound, RequestInvalid)):
            look(odd)
    assert named_as(gallery, 0) == anna
