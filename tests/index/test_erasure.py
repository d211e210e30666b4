"""What was removed: gone from memory at once, from the disk soon, and from restored backups."""

import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import psycopg
import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from embedding.errors import LedgerUnfit, SettingsInvalid, StoreError
from index.galleries import Galleries
from index.gallery import Gallery
from index.transfer import export_gallery, import_gallery
from tests.index.erased_place import ErasedPlace
from tests.index.postgres import tool
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_VECTORS = unit_vectors(40)


@pytest.fixture
def place(any_database_url: str | None, tmp_path: Path) -> ErasedPlace:
    """An empty one, on each kind of database."""
    return ErasedPlace(tmp_path, any_database_url)


def _fill(galleries: Galleries) -> Gallery:
    gallery = galleries.create("people", fingerprint=FINGERPRINT)
    for number in range(20):
        gallery.enroll(
            [new_template(each) for each in _VECTORS[2 * number : 2 * number + 2]],
            name=f"S{number}",
        )
    return gallery


def _remove(gallery: Gallery, number: int) -> None:
    subject = gallery.find_subject(name=f"S{number}")
    assert subject is not None
    gallery.remove_subject(subject.id)


def _found(gallery: Gallery) -> set[int]:
    return {
        number
        for number in range(20)
        if identify(gallery, _VECTORS[2 * number]).decision == "match"
    }


def _pattern(number: int) -> bytes:
    return np.ascontiguousarray(_VECTORS[number], dtype="<f4").tobytes()[100:200]


def test_bytes_leave_live_storage_with_the_upkeep(place: ErasedPlace) -> None:
    """Database, write-ahead log and snapshot hold nothing of a removed template afterwards."""
    with place.open() as galleries:
        gallery = _fill(galleries)
        galleries.maintain()
        assert any(_pattern(6) in content for content in place.live_bytes())
        gallery.enroll([new_template(_VECTORS[6])], name="Removed By Name")
        subject = gallery.find_subject(name="Removed By Name")
        assert subject is not None
        gallery.remove_subject(subject.id)
        _remove(gallery, 3)
        assert gallery.removed_sequence > gallery.purged_sequence
        galleries.maintain()
        assert gallery.purged_sequence == gallery.removed_sequence
        assert not any(b"Removed By Name" in content for content in place.live_bytes())
        assert not any(_pattern(6) in content for content in place.live_bytes())
        assert any(_pattern(8) in content for content in place.live_bytes())
        galleries.delete("people")
        galleries.maintain()
        assert not any(_pattern(8) in content for content in place.live_bytes())


@pytest.mark.postgres
def test_a_purge_does_not_count_while_an_older_transaction_sees_the_removed(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL keeps the rows then: the purge says so, and is done when the other has ended."""
    monkeypatch.setattr("index.store.postgres._OLDER_WITHIN_S", 0.2)
    place = ErasedPlace(tmp_path, database_url)
    with place.open() as galleries, psycopg.connect(database_url) as other:
        gallery = _fill(galleries)
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        other.execute("SELECT 1")
        _remove(gallery, 3)
        with pytest.raises(StoreError, match="older transactions"):
            galleries.maintain()
        assert gallery.removed_sequence > gallery.purged_sequence
        other.rollback()
        galleries.maintain()
        assert gallery.purged_sequence == gallery.removed_sequence
        assert not any(_pattern(6) in content for content in place.live_bytes())


def test_what_died_before_it_was_purged_is_purged_after_the_next_start(tmp_path: Path) -> None:
    """A crash leaves the log; the first upkeep empties it."""
    place = ErasedPlace(tmp_path, None)
    with place.open() as galleries:
        gallery = _fill(galleries)
        _remove(gallery, 3)
        copy = tmp_path / "crashed"
        shutil.copytree(place.data, copy)
    place.data = copy
    assert any(_pattern(6) in content for content in place.live_bytes())
    with place.open() as galleries:
        galleries.maintain()
        assert not any(_pattern(6) in content for content in place.live_bytes())


def _back_up(place: ErasedPlace, to: Path) -> None:
    """Copy the closed data folder, or dump the database."""
    shutil.copytree(place.data, to)
    if place.url is not None:
        subprocess.run(
            [tool("pg_dump"), "--format=custom", f"--file={to / 'dump'}", place.url], check=True
        )


def _restore(place: ErasedPlace, backup: Path, tmp_path: Path, url: str | None) -> ErasedPlace:
    restored = ErasedPlace(tmp_path, url)
    shutil.rmtree(place.data)
    shutil.copytree(backup, place.data, ignore=shutil.ignore_patterns("dump"))
    if url is not None:
        subprocess.run([tool("pg_restore"), f"--dbname={url}", str(backup / "dump")], check=True)
    return restored


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_backup_of_before_does_not_bring_anybody_back(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Restored with the ledger, the removals are carried out again; without it, it refuses."""
    url = later_url = None
    if kind == "postgres":
        from tests.index.postgres import new_database

        url = request.getfixturevalue("database_url")
        later_url = new_database(request.getfixturevalue("server_url"))
    place = ErasedPlace(tmp_path, url)
    with place.open() as galleries:
        gallery = _fill(galleries)
        galleries.create("guests", fingerprint=FINGERPRINT).enroll([new_template(_VECTORS[0])])
        _remove(gallery, 1)
    _back_up(place, tmp_path / "backup")
    with place.open() as galleries:
        gallery = galleries.get("people")
        _remove(gallery, 3)
        _remove(gallery, 4)
        subject = gallery.find_subject(name="S5")
        assert subject is not None
        first = gallery.templates(subject.id)[0]
        gallery.remove_template(first.id)
        galleries.delete("guests")
    restored = _restore(place, tmp_path / "backup", tmp_path, later_url)
    ledger, restored.ledger = restored.ledger, None
    with pytest.raises(LedgerUnfit, match="FACEGALLERY_REMOVAL_LEDGER"):
        restored.open()
    restored.ledger = ledger
    with restored.open() as galleries:
        gallery = galleries.get("people")
        assert _found(gallery) == set(range(20)) - {1, 3, 4, 5}
        assert identify(gallery, _VECTORS[11]).decision == "match"
        assert [each.name for each in galleries.list()] == ["people"]
        assert (gallery.num_subjects, gallery.num_templates) == (17, 33)
    with restored.open() as galleries:
        assert _found(galleries.get("people")) == set(range(20)) - {1, 3, 4, 5}


def _die_before_the_commit(galleries: Galleries, gallery: Gallery, subject_id: str) -> None:
    with galleries._store.database.transaction() as connection:
        removed = gallery._store._remove_subject(connection, subject_id)
        entries = gallery._store._entries(removed)
        galleries._store._erasures._remember(connection, entries)
        raise RuntimeError("the process dies here")


def test_a_removal_that_died_before_its_commit_is_carried_out(place: ErasedPlace) -> None:
    """It is in the ledger, so it was asked for: the next start removes."""
    with place.open() as galleries:
        gallery = _fill(galleries)
        subject = gallery.find_subject(name="S7")
        assert subject is not None
        with pytest.raises(RuntimeError):
            _die_before_the_commit(galleries, gallery, subject.id)
        assert _found(gallery) == set(range(20))
    with place.open() as galleries:
        assert _found(galleries.get("people")) == set(range(20)) - {7}


def test_an_older_copy_of_the_ledger_is_refused(place: ErasedPlace) -> None:
    """The database remembers how far the ledger went."""
    assert place.ledger is not None
    with place.open() as galleries:
        _remove(_fill(galleries), 1)
    older = place.ledger.read_bytes()
    with place.open() as galleries:
        _remove(galleries.get("people"), 2)
    newest = place.ledger.read_bytes()
    place.ledger.write_bytes(older)
    with pytest.raises(LedgerUnfit, match="newest"):
        place.open()
    place.ledger.write_bytes(newest)
    with place.open() as galleries:
        assert _found(galleries.get("people")) == set(range(20)) - {1, 2}


def test_a_ledger_that_cannot_be_written_keeps_the_person(place: ErasedPlace) -> None:
    """The removal is an error, nothing is gone, and it works once the ledger is back."""
    assert place.ledger is not None
    with place.open() as galleries:
        gallery = _fill(galleries)
        away = place.ledger.with_name("away")
        place.ledger.rename(away)
        with pytest.raises(StoreError):
            _remove(gallery, 2)
        assert _found(gallery) == set(range(20))
        away.rename(place.ledger)
        _remove(gallery, 2)
        assert _found(gallery) == set(range(20)) - {2}


def test_a_ledger_in_the_data_folder_is_refused(place: ErasedPlace) -> None:
    """Restoring the folder would restore an older ledger with it."""
    place.ledger = place.data / "removals.ledger"
    with pytest.raises(SettingsInvalid):
        place.open()


def _fail_to_remove(galleries: Galleries, gallery: Gallery, number: int) -> None:
    """Try to remove a subject; the commit fails as on a full disk."""
    subject = gallery.find_subject(name=f"S{number}")
    assert subject is not None
    engine = galleries._store.database._engine  # type: ignore[attr-defined]
    here = threading.get_ident()

    def fail(_: Connection) -> None:
        if threading.get_ident() == here:
            raise OperationalError("COMMIT", None, Exception("database or disk is full"))

    event.listen(engine, "commit", fail)
    with pytest.raises(StoreError, match="disk is full"):
        gallery.remove_subject(subject.id)
    event.remove(engine, "commit", fail)


def test_a_removal_whose_commit_failed_undoes_no_later_enroll(place: ErasedPlace) -> None:
    """It is in the ledger, so it is carried out before the next change, not at the next start."""
    with place.open() as galleries:
        gallery = _fill(galleries)
        others = galleries.create("others", fingerprint=FINGERPRINT)
        _fail_to_remove(galleries, gallery, 3)
        assert gallery.find_subject(name="S3") is not None
        gallery.enroll([new_template(_VECTORS[6])], name="S3")
        _fail_to_remove(galleries, gallery, 4)
        others.enroll([new_template(_VECTORS[0])], name="S0")
        galleries.maintain()
        assert _found(gallery) == set(range(20)) - {4}
        assert (gallery.num_subjects, gallery.num_templates) == (19, 37)
    with place.open() as galleries:
        gallery = galleries.get("people")
        assert _found(gallery) == set(range(20)) - {4}
        assert (gallery.num_subjects, gallery.num_templates) == (19, 37)


@pytest.mark.postgres
@pytest.mark.parametrize("how", ["failed", "died"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_removal_that_failed_is_not_stepped_over_by_another_process(
    tmp_path: Path, database_url: str, how: str, elsewhere: bool
) -> None:
    """Its entry is carried out before another's removal moves the database's head past it."""
    place = ErasedPlace(tmp_path, database_url)
    with place.open() as one, place.open() as other:
        gallery = _fill(one)
        guests = one.create("guests", fingerprint=FINGERPRINT)
        guests.enroll([new_template(_VECTORS[0])], name="S0")
        other.sync()
        if how == "failed":
            _fail_to_remove(one, gallery, 3)
        else:
            subject = gallery.find_subject(name="S3")
            assert subject is not None
            with pytest.raises(RuntimeError):
                _die_before_the_commit(one, gallery, subject.id)
        assert other.get("people").find_subject(name="S3") is not None
        if elsewhere:
            _remove(other.get("guests"), 0)
        else:
            _remove(other.get("people"), 0)
        assert other.get("people").find_subject(name="S3") is None
        gone = {3} if elsewhere else {0, 3}
        for each in (one, other):
            each.sync()
            assert _found(each.get("people")) == set(range(20)) - gone
    with place.open() as galleries:
        assert _found(galleries.get("people")) == set(range(20)) - gone


@pytest.mark.postgres
def test_a_removal_that_failed_undoes_no_enroll_of_another_process(
    tmp_path: Path, database_url: str
) -> None:
    """The other process carries it out first, and makes a new person of the same name."""
    place = ErasedPlace(tmp_path, database_url)
    with place.open() as one, place.open() as other:
        gallery = _fill(one)
        other.sync()
        _fail_to_remove(one, gallery, 3)
        known = gallery.find_subject(name="S3")
        assert known is not None
        there = other.get("people")
        added = there.enroll([new_template(_VECTORS[6])], name="S3")
        assert added.created
        assert added.subject_id != known.id
    with place.open() as galleries:
        gallery = galleries.get("people")
        assert _found(gallery) == set(range(20))
        assert (gallery.num_subjects, gallery.num_templates) == (20, 39)


@pytest.mark.postgres
def test_a_removal_whose_process_died_goes_with_the_upkeep_of_another(
    tmp_path: Path, database_url: str
) -> None:
    """Nobody has to start anew, nor to change anything."""
    place = ErasedPlace(tmp_path, database_url)
    with place.open() as one, place.open() as other:
        gallery = _fill(one)
        subject = gallery.find_subject(name="S3")
        assert subject is not None
        with pytest.raises(RuntimeError):
            _die_before_the_commit(one, gallery, subject.id)
        other.maintain()
        assert _found(other.get("people")) == set(range(20)) - {3}


@pytest.mark.postgres
def test_a_removal_that_failed_undoes_no_import_of_another_process(
    tmp_path: Path, database_url: str
) -> None:
    """It is carried out before the file's rows find the one who is to go."""
    place = ErasedPlace(tmp_path, database_url)
    file = tmp_path / "guests.parquet"
    with place.open() as one, place.open() as other:
        gallery = _fill(one)
        guests = other.create("guests", fingerprint=FINGERPRINT)
        guests.enroll([new_template(_VECTORS[6])], name="S3")
        export_gallery(other._store, "guests", file)
        other.delete("guests")
        other.sync()
        _fail_to_remove(one, gallery, 3)
        done = import_gallery(other._store, "people", file)
        assert (done.imported.num_subjects, done.imported.num_templates) == (1, 1)
    with place.open() as galleries:
        gallery = galleries.get("people")
        assert _found(gallery) == set(range(20))
        assert (gallery.num_subjects, gallery.num_templates) == (20, 39)


def test_embeddings_of_strangers_leave_with_their_gallery(place: ErasedPlace) -> None:
    """What a calibration kept of them is out of the database's files when the receipt says so."""
    telling = b"\x93NUMPY of a stranger's face"
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.store.write_facts({"normalisation": telling})
        assert any(telling in each for each in place.live_bytes())
        galleries.delete("people")
        galleries.maintain()
        assert galleries.erasure("people").final
        assert not any(telling in each for each in place.live_bytes())
