"""Templates that get another subject, one by one or with a whole subject."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psycopg
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
from index.key_ring import KeyRing
from index.memory import MemoryOptions
from index.place import Place
from index.records import NewSubject, Subject
from index.rules import GalleryRules
from index.store.gallery_reads import GalleryReads
from index.store.moved_rows import move_rows
from index.store.subject_rows import FoundSubject, row_of
from tests.index.conftest import OpenGalleries
from tests.index.samples import FINGERPRINT, at_similarity, identify, new_template, unit_vectors
from tests.index.sealed_place import SealedPlace
from tests.index.waiting import wait_until

_VECTORS = unit_vectors(12)


def _enroll(gallery: Gallery, *numbers: int, name: str | None = None) -> str:
    new = [new_template(_VECTORS[number]) for number in numbers]
    return gallery.enroll(new, name=name).subject_id


def _ids(gallery: Gallery, subject_id: str) -> list[str]:
    return [each.id for each in gallery.templates(subject_id)]


def _named(gallery: Gallery, number: int) -> str | None:
    """The id of whoever a vector is named as."""
    subject = identify(gallery, _VECTORS[number]).subject
    return None if subject is None else subject.id


def _counts(gallery: Gallery) -> tuple[int, int]:
    return gallery.num_subjects, gallery.num_templates


def test_a_moved_template_counts_for_its_new_subject_at_once(
    open_galleries: OpenGalleries,
) -> None:
    """In identifications, lists and counts, also after a restart; the others stay."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert = _enroll(gallery, 0, 1, name="Anna"), _enroll(gallery, 2, name="Bert")
        first, second = _ids(gallery, anna)
        sequence = gallery.sequence
        moved = gallery.move_templates(anna, [second, second], to_subject_id=bert)
        assert (moved.subject_id, moved.created, moved.num_left) == (bert, False, 1)
        assert moved.template_ids == (second,)
        assert list(moved.similarities) == pytest.approx([_VECTORS[1] @ _VECTORS[2]], abs=1e-5)
        assert gallery.sequence == sequence + 1
    for _ in range(2):
        with open_galleries() as galleries:
            gallery = galleries.get("people")
            assert [_named(gallery, number) for number in range(3)] == [anna, bert, bert]
            assert _ids(gallery, anna) == [first]
            assert second in _ids(gallery, bert)
            assert gallery.template(second).subject_id == bert
            assert _counts(gallery) == (2, 3)


def test_the_last_template_leaves_an_empty_subject(gallery: Gallery) -> None:
    """It stays with its name, counts no more, and can be filled again."""
    anna, bert = _enroll(gallery, 0, name="Anna"), _enroll(gallery, 1, name="Bert")
    moved = gallery.move_templates(anna, _ids(gallery, anna), to_subject_id=bert)
    assert moved.num_left == 0
    assert (gallery.subject(anna).name, gallery.subject(anna).num_templates) == ("Anna", 0)
    assert _counts(gallery) == (1, 2)
    gallery.move_templates(bert, _ids(gallery, bert)[:1], to_name="Anna")
    assert gallery.subject(anna).num_templates == 1
    assert _counts(gallery) == (2, 2)


def test_a_move_can_make_the_subject(gallery: Gallery) -> None:
    """Two people under one name are taken apart: one gets a subject of her own."""
    anna = _enroll(gallery, 0, 1, name="Anna")
    moved = gallery.move_templates(
        anna, _ids(gallery, anna)[1:], to_name="Bella", to_external_id="b-1"
    )
    assert moved.created
    assert moved.similarities == (None,)
    bella = gallery.find_subject(external_id="b-1")
    assert bella is not None
    assert (bella.id, bella.name, bella.num_templates) == (moved.subject_id, "Bella", 1)
    assert [_named(gallery, number) for number in (0, 1)] == [anna, bella.id]


def test_what_cannot_be_moved_is_refused_and_nothing_is_done(
    galleries: Galleries, gallery: Gallery
) -> None:
    """Foreign and unknown templates and subjects, nobody, itself, and contradictions."""
    anna, bert = _enroll(gallery, 0, 1, name="Anna"), _enroll(gallery, 2, name="Bert")
    gallery.set_external_id(bert, external_id="b-1")
    other = galleries.create("others", fingerprint=FINGERPRINT)
    cleo = _enroll(other, 3, name="Cleo")
    own, theirs = _ids(gallery, anna), _ids(other, cleo)
    sequence = gallery.sequence
    for ids in ([*own, theirs[0]], [*own, _ids(gallery, bert)[0]], ["absent"], [own[0].upper()]):
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
    assert [_named(gallery, number) for number in range(3)] == [anna, anna, bert]


def test_a_cap_holds_for_whoever_gets_templates(gallery: Gallery) -> None:
    """The poorest go, old or moved, and are never found again."""
    gallery.set_rules(GalleryRules(max_templates=2))
    qualities = {0: 0.9, 1: 0.1, 2: 0.5, 3: 0.7}
    anna, bert = (
        gallery.enroll([new_template(_VECTORS[n], quality=qualities[n]) for n in some]).subject_id
        for some in ((0, 1), (2, 3))
    )
    would = gallery.move_templates(anna, _ids(gallery, anna), to_subject_id=bert, dry_run=True)
    assert len(would.dropped_ids) == 2
    assert _counts(gallery) == (2, 4)
    moved = gallery.move_templates(anna, _ids(gallery, anna), to_subject_id=bert)
    assert moved == would
    assert _counts(gallery) == (1, 2)
    assert [_named(gallery, number) for number in range(4)] == [bert, None, None, bert]


def test_a_merge_moves_all_and_says_what_is_kept(open_galleries: OpenGalleries) -> None:
    """Templates and look-alikes go over; names that are missing too, the rest is told as lost."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert = _enroll(gallery, 0, 1, name="Anna"), _enroll(gallery, 2, name="Bert")
        cleo, dora = _enroll(gallery, 3, name="Cleo"), _enroll(gallery, 4, name="Dora")
        gallery.set_external_id(anna, external_id="a-1")
        gallery.declare_look_alikes(anna, cleo)
        gallery.declare_look_alikes(bert, cleo)
        gallery.declare_look_alikes(dora, anna)
        ids = _ids(gallery, anna)
        would = gallery.merge_subjects(anna, into=bert, dry_run=True)
        assert gallery.subject(anna).num_templates == 2
        merged = gallery.merge_subjects(anna, into=bert)
        assert merged == would
        assert merged.template_ids == tuple(ids)
        assert (merged.lost_name, merged.lost_external_id) == ("Anna", None)
        assert (merged.subject.name, merged.subject.external_id) == ("Bert", "a-1")
        nearest = max(_VECTORS[2] @ _VECTORS[number] for number in (0, 1))
        assert merged.similarity == pytest.approx(nearest, abs=1e-5)
    with open_galleries() as galleries:
        gallery = galleries.get("people")
        assert [_named(gallery, number) for number in range(5)] == [bert, bert, bert, cleo, dora]
        assert gallery.subject(bert) == merged.subject
        assert _counts(gallery) == (3, 5)
        assert set(map(frozenset, gallery.look_alikes())) == {
            frozenset((bert, cleo)),
            frozenset((bert, dora)),
        }
        assert gallery.find_subject(name="Anna") is None
        # The name is free again.
        assert _enroll(gallery, 5, name="Anna") != anna


def test_a_merged_id_says_where_it_went(gallery: Gallery) -> None:
    """Also after the next merge; once the last one is removed nothing is known any more."""
    anna, bert, cleo = (_enroll(gallery, number) for number in range(3))
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
    anna, bert = _enroll(gallery, 0), _enroll(gallery, 1)
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
    anna, bert = _enroll(gallery, 0, name="Anna"), _enroll(gallery, 1, name="Bert")
    cleo = _enroll(galleries.create("others", fingerprint=FINGERPRINT), 2)
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
    anna, bert = _enroll(gallery, 0, name="Anna"), _enroll(gallery, 1)
    gallery.remove_template(_ids(gallery, anna)[0])
    merged = gallery.merge_subjects(anna, into=bert)
    assert (merged.subject.name, merged.similarity) == ("Anna", None)
    assert _counts(gallery) == (1, 1)
    cleo = _enroll(gallery, 2, name="Cleo")
    gallery.remove_template(_ids(gallery, cleo)[0])
    gallery.merge_subjects(bert, into=cleo)
    assert _counts(gallery) == (1, 1)
    assert _named(gallery, 1) == cleo


@pytest.mark.parametrize("space", [False, True])
def test_sealed_templates_are_bound_to_their_new_subject(tmp_path: Path, space: bool) -> None:
    """They open after a restart, pass the check, and lie in the clear at no time."""
    place = SealedPlace(tmp_path, None)
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT, space=space)
        anna, bert = _enroll(gallery, 0, 1), _enroll(gallery, 2)
        gallery.move_templates(anna, _ids(gallery, anna)[:1], to_subject_id=bert)
        gallery.merge_subjects(anna, into=bert)
        for number, template_id in zip((0, 1, 2), _ids(gallery, bert), strict=True):
            found = gallery.embedding(template_id)
            np.testing.assert_allclose(found, _VECTORS[number], atol=1e-5)
    with place.open() as galleries:
        gallery = galleries.get("people")
        assert [_named(gallery, number) for number in range(3)] == [bert] * 3
        gallery.remove_subject(bert)
    patterns = [each.astype("<f4").tobytes()[64:96] for each in _VECTORS[:3]]
    assert not any(pattern in place.bytes() for pattern in patterns)


def test_what_was_moved_passes_the_check(data_folder: Path) -> None:
    """Checksums, counters and change log fit, and a snapshot of before stays good."""
    options = MemoryOptions(snapshot_from=1)
    with Galleries.open(data_folder, options=options) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert, cleo = (_enroll(gallery, n, n + 3) for n in range(3))
        galleries.maintain()
        gallery.move_templates(anna, _ids(gallery, anna)[:1], to_subject_id=bert)
        gallery.merge_subjects(bert, into=cleo)
    report = inspect(Place(data_folder=data_folder), repair=False)
    assert report.findings == []
    with Galleries.open(data_folder, options=options) as galleries:
        found = [_named(galleries.get("people"), number) for number in range(6)]
        assert found == [cleo, cleo, cleo, anna, cleo, cleo]


@pytest.mark.postgres
def test_other_processes_answer_with_the_new_subject(data_folder: Path, database_url: str) -> None:
    """From the return of the call on; their counts follow."""
    with (
        Galleries.open(data_folder, database_url=database_url) as ours,
        Galleries.open(data_folder, database_url=database_url) as theirs,
    ):
        gallery = ours.create("people", fingerprint=FINGERPRINT)
        anna, bert, cleo = _enroll(gallery, 0), _enroll(gallery, 1), _enroll(gallery, 2)
        other = theirs.get("people")
        wait_until(lambda: _counts(other) == (3, 3))
        gallery.move_templates(anna, _ids(gallery, anna), to_subject_id=bert)
        assert _named(other, 0) == bert
        gallery.merge_subjects(bert, into=cleo)
        assert [_named(other, number) for number in range(3)] == [cleo] * 3
        wait_until(lambda: _counts(other) == (1, 3))
        # A change there finds the new owner, too.
        other.merge_subjects(anna, into=cleo)
        with pytest.raises(SubjectNotFound):
            gallery.subject(anna)


def test_a_restored_backup_brings_back_nobody_under_an_id_of_before(tmp_path: Path) -> None:
    """Who was merged and then removed stays away, with template, name and former id."""
    ledger, data = tmp_path / "removals.ledger", tmp_path / "data"

    def opened() -> Galleries:
        return Galleries.open(data, ledger=ledger, upkeep_s=None)

    with opened() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert = _enroll(gallery, 0, name="Anna"), _enroll(gallery, 1, name="Bert")
        cleo = _enroll(gallery, 2, name="Cleo")
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
        assert [_named(gallery, number) for number in range(3)] == [None, None, cleo]


def test_one_template_is_erased_with_a_receipt(galleries: Galleries, gallery: Gallery) -> None:
    """Its subject stays; the receipt names both, and becomes final with the purge."""
    anna = _enroll(gallery, 0, 1, name="Anna")
    first, second = _ids(gallery, anna)
    erasure = gallery.erase_template(first)
    assert (erasure.subject_id, erasure.template_id) == (anna, first)
    assert (erasure.num_templates, erasure.final) == (1, False)
    assert gallery.template_erasure(first) == erasure
    assert _named(gallery, 0) is None
    galleries.maintain()
    assert gallery.template_erasure(first).final
    gallery.remove_subject(anna)
    assert gallery.template_erasure(second).subject_id == anna
    for absent in ("absent", anna):
        with pytest.raises(TemplateNotFound):
            gallery.template_erasure(absent)
        with pytest.raises(TemplateNotFound):
            gallery.erase_template(absent)


def test_templates_come_in_pages(gallery: Gallery) -> None:
    """The pages together are all of them, the oldest first; a cursor holds for one subject."""
    anna = gallery.enroll([new_template(each) for each in _VECTORS[:5]]).subject_id
    bert = _enroll(gallery, 6, 7)
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = gallery.template_page(anna, limit=2, cursor=cursor)
        found += [each.id for each in page.templates]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert found == _ids(gallery, anna)
    of_subjects = gallery.subjects(limit=1).next_cursor
    for wrong in (cursor, of_subjects, "forged"):
        with pytest.raises(RequestInvalid):
            gallery.template_page(bert, cursor=wrong)
    for limit in (0, 1001):
        with pytest.raises(RequestInvalid):
            gallery.template_page(anna, limit=limit)
    with pytest.raises(SubjectNotFound):
        gallery.template_page("absent")


@pytest.mark.parametrize("odd", ["a\0b", "\ud800", "%", "_" * 36, "x" * 5000, "merged:1:"])
def test_odd_ids_are_nobody_s(gallery: Gallery, odd: str) -> None:
    """Whatever the database makes of them: not found, or refused as no text."""
    anna = _enroll(gallery, 0)
    own = _ids(gallery, anna)
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
    assert _named(gallery, 0) == anna


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


@pytest.mark.postgres
def test_a_merge_in_the_middle_of_an_identification(
    data_folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is merged between two statements of it is named as whoever stays, not as nobody."""
    with (
        Galleries.open(data_folder, database_url=database_url) as ours,
        Galleries.open(data_folder, database_url=database_url) as theirs,
    ):
        gallery = ours.create("people", fingerprint=FINGERPRINT)
        anna, bert = _enroll(gallery, 0), _enroll(gallery, 1)
        other = theirs.get("people")
        wait_until(lambda: _counts(other) == (2, 2))
        ask = GalleryReads.subjects_by_id
        merged: list[str] = []

        def merge_first(reads: GalleryReads, ids: Iterable[str]) -> dict[str, Subject]:
            if not merged:
                merged.append(anna)
                gallery.merge_subjects(anna, into=bert)
            return ask(reads, ids)

        monkeypatch.setattr(GalleryReads, "subjects_by_id", merge_first)
        assert _named(other, 0) == bert
        assert merged


@pytest.mark.postgres
def test_a_template_that_moves_while_it_is_sealed_anew(tmp_path: Path, database_url: str) -> None:
    """Whoever seals everything with the next key waits for the move, and reads the row again."""
    place = SealedPlace(tmp_path, database_url)
    with place.open() as galleries, place.open() as others:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert = _enroll(gallery, 0, 1), _enroll(gallery, 2)
        KeyRing.rotate(place.key_file)
        others._store.refresh_keys()
        database, store = galleries._store.database, gallery._store
        with ThreadPoolExecutor(1) as pool:
            with database.transaction() as connection:
                old, new = (
                    FoundSubject(
                        row_id=row_of(connection, store._row, each),
                        id=each,
                        name=None,
                        external_id=None,
                        num_templates=1,
                        created=False,
                    )
                    for each in (anna, bert)
                )
                move_rows(
                    connection,
                    store.gallery,
                    old=(old.row_id, anna),
                    new=new,
                    sealer=galleries._store.sealer,
                )
                resealed = pool.submit(others.reseal)
                with psycopg.connect(database_url, autocommit=True) as watcher:
                    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    wait_until(lambda: watcher.execute(waiting).fetchone() is not None)
            assert resealed.result() == 3
        assert [_named(gallery, number) for number in range(3)] == [bert] * 3
    with place.open() as galleries:
        assert galleries.reseal() == 0
        assert [_named(galleries.get("people"), number) for number in range(3)] == [bert] * 3
