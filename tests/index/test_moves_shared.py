"""Moves and merges while other processes of one PostgreSQL database answer and seal."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from embedding.errors import (
    SubjectNotFound,
)
from index.galleries import Galleries
from index.key_ring import KeyRing
from index.records import Subject
from index.store.gallery_reads import GalleryReads
from index.store.moved_rows import move_rows
from index.store.subject_rows import FoundSubject, row_of
from tests.index.moved import counts, enroll, ids_of, named_as
from tests.index.samples import FINGERPRINT
from tests.index.sealed_place import SealedPlace
from tests.index.waiting import wait_until


@pytest.mark.postgres
def test_other_processes_answer_with_the_new_subject(data_folder: Path, database_url: str) -> None:
    """From the return of the call on; their counts follow."""
    with (
        Galleries.open(data_folder, database_url=database_url) as ours,
        Galleries.open(data_folder, database_url=database_url) as theirs,
    ):
        gallery = ours.create("people", fingerprint=FINGERPRINT)
        anna, bert, cleo = enroll(gallery, 0), enroll(gallery, 1), enroll(gallery, 2)
        other = theirs.get("people")
        wait_until(lambda: counts(other) == (3, 3))
        gallery.move_templates(anna, ids_of(gallery, anna), to_subject_id=bert)
        assert named_as(other, 0) == bert
        gallery.merge_subjects(bert, into=cleo)
        assert [named_as(other, number) for number in range(3)] == [cleo] * 3
        wait_until(lambda: counts(other) == (1, 3))
        # A change there finds the new owner, too.
        other.merge_subjects(anna, into=cleo)
        with pytest.raises(SubjectNotFound):
            gallery.subject(anna)


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
        anna, bert = enroll(gallery, 0), enroll(gallery, 1)
        other = theirs.get("people")
        wait_until(lambda: counts(other) == (2, 2))
        ask = GalleryReads.subjects_by_id
        merged: list[str] = []

        def merge_first(reads: GalleryReads, ids: Iterable[str]) -> dict[str, Subject]:
            if not merged:
                merged.append(anna)
                gallery.merge_subjects(anna, into=bert)
            return ask(reads, ids)

        monkeypatch.setattr(GalleryReads, "subjects_by_id", merge_first)
        assert named_as(other, 0) == bert
        assert merged


@pytest.mark.postgres
def test_a_template_that_moves_while_it_is_sealed_anew(tmp_path: Path, database_url: str) -> None:
    """Whoever seals everything with the next key waits for the move, and reads the row again."""
    place = SealedPlace(tmp_path, database_url)
    with place.open() as galleries, place.open() as others:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        anna, bert = enroll(gallery, 0, 1), enroll(gallery, 2)
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
        assert [named_as(gallery, number) for number in range(3)] == [bert] * 3
    with place.open() as galleries:
        assert galleries.reseal() == 0
        assert [named_as(galleries.get("people"), number) for number in range(3)] == [bert] * 3


@pytest.mark.postgres
def test_two_who_are_merged_into_each_other_at_once(data_folder: Path, database_url: str) -> None:
    """One of the two calls is told that its subject is gone, and no template is lost."""
    with (
        Galleries.open(data_folder, database_url=database_url) as ours,
        Galleries.open(data_folder, database_url=database_url) as theirs,
        ThreadPoolExecutor(2) as pool,
    ):
        gallery = ours.create("people", fingerprint=FINGERPRINT)
        other = theirs.get("people")
        for _ in range(5):
            anna, bert = enroll(gallery, 0), enroll(gallery, 1)
            calls = [
                pool.submit(gallery.merge_subjects, anna, into=bert),
                pool.submit(other.merge_subjects, bert, into=anna),
            ]
            errors = [each.exception() for each in calls]
            assert [type(each) for each in errors if each is not None] == [SubjectNotFound]
            (left,) = gallery.subjects().subjects
            assert left.num_templates == 2
            assert [named_as(gallery, number) for number in (0, 1)] == [left.id] * 2
            gallery.remove_subject(left.id)
