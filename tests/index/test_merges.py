"""Subjects that are merged into one."""

from dataclasses import replace
from pathlib import Path

import pytest

from embedding.errors import (
    RequestInvalid,
    SubjectNotFound,
)
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import NewSubject
from tests.index.conftest import OpenGalleries
from tests.index.moved import VECTORS, counts, enroll, ids_of, named_as
from tests.index.samples import FINGERPRINT, at_similarity, new_template, unit_vectors


def test_a_merge_moves_all_and_says_what_is_kept(open_galleries: OpenGalleries) -> None:
    """Templates and look-alikes go over; names that are missing too, the rest is told as lost."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert = enroll(gallery, 0, 1, name="Anna"), enroll(gallery, 2, name="Bert")
        cleo, dora = enroll(gallery, 3, name="Cleo"), enroll(gallery, 4, name="Dora")
        gallery.set_external_id(anna, external_id="a-1")
        gallery.declare_look_alikes(anna, cleo)
        gallery.declare_look_alikes(bert, cleo)
        gallery.declare_look_alikes(dora, anna)
        ids = ids_of(gallery, anna)
        would = gallery.merge_subjects(anna, into=bert, dry_run=True)
        assert gallery.subject(anna).num_templates == 2
        merged = gallery.merge_subjects(anna, into=bert)
        # The version is another one each time.
        as_merged = replace(would.subject, version=merged.subject.version)
        assert merged == replace(would, subject=as_merged)
        assert merged.template_ids == tuple(ids)
        assert (merged.lost_name, merged.lost_external_id) == ("Anna", None)
        assert (merged.subject.name, merged.subject.external_id) == ("Bert", "a-1")
        nearest = max(VECTORS[2] @ VECTORS[number] for number in (0, 1))
        assert merged.similarity == pytest.approx(nearest, abs=1e-5)
    with open_galleries() as galleries:
        gallery = galleries.get("people")
        assert [named_as(gallery, number) for number in range(5)] == [bert, bert, bert, cleo, dora]
        assert gallery.subject(bert) == merged.subject
        assert counts(gallery) == (3, 5)
        assert set(map(frozenset, gallery.look_alikes())) == {
            frozenset((bert, cleo)),
            frozenset((bert, dora)),
        }
        assert gallery.find_subject(name="Anna") is None
        # The name is free again.
        assert enroll(gallery, 5, name="Anna") != anna


def test_a_merged_id_says_where_it_went(gallery: Gallery) -> None:
    """Also after the next merge; once the last one is removed nothing is known any more."""
    anna, bert, cleo = (enroll(gallery, number) for number in range(3))
    gallery.merge_subjects(anna, into=bert)
    gallery.merge_subjects(bert, into=cleo)
    for gone in (anna, bert):
        for ask in (gallery.subject, gallery.templates, gallery.remove_subject):
            with pytest.raises(SubjectNotFound, match=cleo) as caught:
                ask(gone)
            assert caught.value.merged_into == cleo
    gallery.remove_subject(cleo)
    for gone in (anna, bert, cleo):
        with pytest.raises(SubjectNotFound) as caught:
            gallery.subject(gone)
        assert caught.value.merged_into is None
        assert gallery.erasure(gone).num_templates == (3 if gone == cleo else 0)


def test_a_gallery_of_the_same_name_knows_no_merges(
    galleries: Galleries, gallery: Gallery
) -> None:
    """What was merged is forgotten with its gallery, and told in no other one."""
    anna, bert = enroll(gallery, 0), enroll(gallery, 1)
    gallery.merge_subjects(anna, into=bert)
    other = galleries.create("others", fingerprint=FINGERPRINT)
    with pytest.raises(SubjectNotFound) as caught:
        other.subject(anna)
    assert caught.value.merged_into is None
    galleries.delete("people")
    with galleries._store.database.transaction() as connection:
        left = connection.exec_driver_sql("SELECT name FROM facts").scalars().all()
    assert not [name for name in left if name.startswith(("merged:", "took:"))]


def test_who_cannot_be_merged_is_refused(galleries: Galleries, gallery: Gallery) -> None:
    """One subject with itself, declared twins, and whoever is not there."""
    anna, bert = enroll(gallery, 0, name="Anna"), enroll(gallery, 1, name="Bert")
    cleo = enroll(galleries.create("others", fingerprint=FINGERPRINT), 2)
    gallery.declare_look_alikes(anna, bert)
    sequence = gallery.sequence
    for dry_run in (False, True):
        with pytest.raises(RequestInvalid, match="into itself"):
            gallery.merge_subjects(anna, into=anna, dry_run=dry_run)
        with pytest.raises(RequestInvalid, match="two people"):
            gallery.merge_subjects(anna, into=bert, dry_run=dry_run)
        for one, other in ((anna, cleo), (cleo, anna), ("absent", anna), (anna.upper(), bert)):
            with pytest.raises(SubjectNotFound):
                gallery.merge_subjects(one, into=other, dry_run=dry_run)
    assert gallery.sequence == sequence


def test_an_empty_subject_can_be_merged_either_way(gallery: Gallery) -> None:
    """Its name goes over, and counts stay right."""
    anna, bert = enroll(gallery, 0, name="Anna"), enroll(gallery, 1)
    gallery.remove_template(ids_of(gallery, anna)[0])
    merged = gallery.merge_subjects(anna, into=bert)
    assert (merged.subject.name, merged.similarity) == ("Anna", None)
    assert counts(gallery) == (1, 1)
    cleo = enroll(gallery, 2, name="Cleo")
    gallery.remove_template(ids_of(gallery, cleo)[0])
    gallery.merge_subjects(bert, into=cleo)
    assert counts(gallery) == (1, 1)
    assert named_as(gallery, 1) == cleo


def test_a_restored_backup_brings_back_nobody_under_an_id_of_before(tmp_path: Path) -> None:
    """Who was merged and then removed stays away, with template, name and former id."""
    ledger, data = tmp_path / "removals.ledger", tmp_path / "data"

    def opened() -> Galleries:
        return Galleries.open(data, ledger=ledger, upkeep_s=None)

    with opened() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert = enroll(gallery, 0, name="Anna"), enroll(gallery, 1, name="Bert")
        cleo = enroll(gallery, 2, name="Cleo")
    database = data / "facegallery.sqlite"
    backup = database.read_bytes()
    with opened() as galleries:
        gallery = galleries.get("people")
        gallery.merge_subjects(anna, into=bert)
        erasure = gallery.erase_subject(bert)
        assert erasure.ledger_entry == 4
        assert gallery.erasure(bert) == erasure
    database.write_bytes(backup)
    (data / "audit.anchor").unlink()
    with opened() as galleries:
        gallery = galleries.get("people")
        assert [each.id for each in gallery.subjects().subjects] == [cleo]
        assert [named_as(gallery, number) for number in range(3)] == [None, None, cleo]


def test_the_name_that_is_lost_leaves_the_files(data_folder: Path) -> None:
    """With the next upkeep, as that of somebody who is removed, though no vector went."""
    with Galleries.open(data_folder, upkeep_s=None) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert = enroll(gallery, 0, name="Anna Nowhere"), enroll(gallery, 1, name="Bert")
        galleries.maintain()
        gallery.merge_subjects(anna, into=bert)
        galleries.maintain()
        files = list(data_folder.glob("facegallery.sqlite*"))
        assert b"Anna Nowhere" not in b"".join(each.read_bytes() for each in files)
        assert gallery.purged_sequence == gallery.removed_sequence == gallery.sequence


def test_a_large_subject_is_merged_whole(gallery: Gallery) -> None:
    """More templates than go into one statement, and than are compared at once."""
    anchor = unit_vectors(1, seed=5000)[0]
    new = [new_template(at_similarity(anchor, 0.9, seed=seed)) for seed in range(1100)]
    gallery.enroll_many([NewSubject(templates=tuple(new), name="Many")])
    many = gallery.find_subject(name="Many")
    assert many is not None
    one = gallery.enroll([new_template(anchor)]).subject_id
    merged = gallery.merge_subjects(many.id, into=one)
    assert len(merged.template_ids) == len(set(merged.template_ids)) == 1100
    assert merged.subject.num_templates == 1101
    assert merged.similarity == pytest.approx(0.9, abs=1e-4)
