"""Restarts from snapshots: as if all was read from SQL, whatever happened in between."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from embedding.errors import StoreCorrupt
from index.galleries import Galleries
from index.gallery import Gallery
from index.memory import MemoryOptions
from index.records import NewSubject
from index.snapshot.key_use import SNAPSHOTS_NAME
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_VECTORS = unit_vectors(300)
_ALWAYS = MemoryOptions(snapshot_from=1)


def _open(folder: Path) -> Galleries:
    return Galleries.open(folder, options=_ALWAYS)


def _fill(galleries: Galleries, numbers: range) -> Gallery:
    if any(each.name == "people" for each in galleries.list()):
        gallery = galleries.get("people")
    else:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
    gallery.enroll_many(
        [
            NewSubject(templates=(new_template(_VECTORS[number]),), name=f"S{number}")
            for number in numbers
        ]
    )
    return gallery


def _names(gallery: Gallery) -> set[int]:
    """Which of the vectors are found, each as its own subject."""
    found = set()
    for number, vector in enumerate(_VECTORS):
        answer = identify(gallery, vector, num_candidates=1)
        if answer.decision == "match":
            assert answer.candidates[0].subject.name == f"S{number}"
            found.add(number)
    return found


def _remove(gallery: Gallery, number: int) -> None:
    subject = gallery.find_subject(name=f"S{number}")
    assert subject is not None
    gallery.remove_subject(subject.id)


@pytest.fixture
def loads_from_sql(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vectors were read from SQL at each complete load."""
    from index.store.gallery_reads import GalleryReads

    counts: list[int] = []
    original = GalleryReads.load

    def counted(self: GalleryReads, *, up_to: int) -> object:
        loaded = list(original(self, up_to=up_to))
        counts.append(sum(len(ids) for ids, _ in loaded))
        return iter(loaded)

    monkeypatch.setattr(GalleryReads, "load", counted)
    return counts


def test_a_restart_reads_the_snapshot_alone(data_folder: Path, loads_from_sql: list[int]) -> None:
    """After a clean stop nothing is read from SQL, and everybody is there."""
    with _open(data_folder) as galleries:
        _remove(_fill(galleries, range(100)), 7)
    loads_from_sql.clear()
    with _open(data_folder) as galleries:
        gallery = galleries.get("people")
        assert _names(gallery) == set(range(100)) - {7}
        assert gallery.num_subjects == gallery.num_templates == 99
    assert loads_from_sql == []


def test_what_came_after_the_snapshot_is_read_from_the_log(data_folder: Path) -> None:
    """Enrolls and removals after it, and a removal of what is in it, all hold."""
    with _open(data_folder) as galleries:
        _fill(galleries, range(50))
    before = data_folder.with_name("before")
    shutil.copytree(data_folder / SNAPSHOTS_NAME, before)
    with _open(data_folder) as galleries:
        gallery = _fill(galleries, range(50, 80))
        for number in (3, 49, 60):
            _remove(gallery, number)
    shutil.rmtree(data_folder / SNAPSHOTS_NAME)
    shutil.copytree(before, data_folder / SNAPSHOTS_NAME)
    with _open(data_folder) as galleries:
        assert _names(galleries.get("people")) == set(range(80)) - {3, 49, 60}


def test_a_database_that_went_another_way_is_believed(data_folder: Path) -> None:
    """After the database was put back to an older state and changed, the snapshot is not used."""
    with _open(data_folder) as galleries:
        _fill(galleries, range(10))
    old = data_folder.with_name("old")
    shutil.copytree(data_folder, old)
    with _open(data_folder) as galleries:
        _fill(galleries, range(10, 40))
    newer = data_folder.with_name("newer")
    shutil.copytree(data_folder / SNAPSHOTS_NAME, newer)
    shutil.rmtree(data_folder)
    shutil.copytree(old, data_folder)
    with _open(data_folder) as galleries:
        _fill(galleries, range(100, 200))
    shutil.rmtree(data_folder / SNAPSHOTS_NAME)
    shutil.copytree(newer, data_folder / SNAPSHOTS_NAME)
    with _open(data_folder) as galleries:
        assert _names(galleries.get("people")) == {*range(10), *range(100, 200)}


def test_a_snapshot_of_a_later_state_is_not_used(data_folder: Path) -> None:
    """The database was put back to before the snapshot: what it does not hold is not found."""
    with _open(data_folder) as galleries:
        _fill(galleries, range(10))
    old = (data_folder / "facegallery.sqlite").read_bytes()
    with _open(data_folder) as galleries:
        _fill(galleries, range(10, 40))
    (data_folder / "facegallery.sqlite").write_bytes(old)
    with _open(data_folder) as galleries:
        assert _names(galleries.get("people")) == set(range(10))


def test_a_damaged_snapshot_costs_time_only(
    data_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, made anew, and all is there."""
    with _open(data_folder) as galleries:
        _fill(galleries, range(20))
    for file in (data_folder / SNAPSHOTS_NAME).rglob("*.segment"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    with _open(data_folder) as galleries:
        assert _names(galleries.get("people")) == set(range(20))
    assert "made anew" in caplog.text


def test_removed_bytes_leave_the_snapshot_at_the_next_upkeep(data_folder: Path) -> None:
    """Nothing of the vector is in the snapshot's files after `maintain`."""
    with _open(data_folder) as galleries:
        gallery = _fill(galleries, range(30))
        gallery.maintain()
        pattern = np.ascontiguousarray(_VECTORS[4], dtype="<f4").tobytes()[100:200]
        files = list((data_folder / SNAPSHOTS_NAME).rglob("*.segment"))
        assert any(pattern in file.read_bytes() for file in files)
        _remove(gallery, 4)
        gallery.maintain()
        files = list((data_folder / SNAPSHOTS_NAME).rglob("*.segment"))
        assert files
        assert not any(pattern in file.read_bytes() for file in files)


def test_a_deleted_gallery_leaves_no_snapshot(data_folder: Path) -> None:
    """Its folder is empty or gone."""
    with _open(data_folder) as galleries:
        _fill(galleries, range(5)).maintain()
        galleries.delete("people")
        assert not any(
            each.is_file() and each.stat().st_size
            for each in (data_folder / SNAPSHOTS_NAME).rglob("*")
        )


def test_a_small_gallery_has_none(data_folder: Path) -> None:
    """Reading it from SQL takes no time, so nothing more lies on the disk."""
    with Galleries.open(data_folder) as galleries:
        _fill(galleries, range(20)).maintain()
    assert not (data_folder / SNAPSHOTS_NAME).exists()


def test_a_snapshot_whose_gallery_is_gone_is_removed(data_folder: Path) -> None:
    """A process died between the two: the next upkeep removes what is left, and nothing else."""
    kept = data_folder.with_name("kept")
    with _open(data_folder) as galleries:
        gone = _fill(galleries, range(10)).id
        galleries.maintain()
        shutil.copytree(data_folder / SNAPSHOTS_NAME / gone, kept)
        galleries.delete("people")
    shutil.copytree(kept, data_folder / SNAPSHOTS_NAME / gone)
    with _open(data_folder) as galleries:
        there = _fill(galleries, range(10)).id
        galleries.maintain()
        left = {each.name for each in (data_folder / SNAPSHOTS_NAME).iterdir()}
    assert left == {there}


@pytest.mark.parametrize("column", ["sequence", "gallery_id"])
def test_a_row_that_is_passed_over_is_missed(data_folder: Path, column: str) -> None:
    """A flipped bit that hides a template from the load is noticed by the count."""
    with _open(data_folder) as galleries:
        _fill(galleries, range(10))
    shutil.rmtree(data_folder / SNAPSHOTS_NAME)
    with closing(sqlite3.connect(data_folder / "facegallery.sqlite")) as connection:
        flip = "UPDATE templates SET column = column + 1048576 WHERE id = 5"
        connection.execute(flip.replace("column", column))
        connection.commit()
    with pytest.raises(StoreCorrupt, match="counts 10 templates, but 9 are there"):
        _open(data_folder)
