"""Whenever a restore dies, nothing is lost, and a second one finishes it."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from embedding.errors import StoreError
from index.backup.restoring import restore
from index.inspection import inspect
from index.place import Place
from tests.index.backup.places import AFTER, BEFORE, back_up, change, fill, people, place_in
from tests.index.killing import DEAD, ENDED, Forks, forking
from tests.index.postgres import new_database

_KILLS = 8
_MOST_STEPS = 60


@pytest.fixture(scope="module")
def child() -> Iterator[Forks]:
    """One interpreter for all tests of this file."""
    with forking("tests.index.backup.crash_child") as forks:
        yield forks


def _restored(
    child: Forks, folder: Path, when: str, moment: float, *, url: str | None = None
) -> str:
    """Have a backup restored by a process that dies; returns how it ended."""
    child.say(str(folder), url, when, moment)
    return child.hear()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a place that was changed after its backup, to be copied."""
    folder = tmp_path_factory.mktemp("start")
    place = place_in(folder)
    fill(place)
    back_up(place)
    change(place)
    return folder


def _opens(place: Place) -> frozenset[int] | None:
    """Return who is there; None where a stopped restore keeps it from opening."""
    try:
        return people(place)
    except StoreError as error:
        if "run facegallery-index restore again" not in str(error):
            raise
        return None


def _check_finishes(folder: Path) -> None:
    """A second restore leaves the new state, and the old one, whole, in one folder beside it."""
    place = place_in(folder)
    restore(folder / "backup", place, replace=True)
    assert people(place) == AFTER
    assert inspect(place, repair=False).whole
    names = {each.name for each in place.data_folder.iterdir()}
    assert not names & {"restoring", "restored", "restored.new"}
    kept = [each for each in place.data_folder.iterdir() if each.name.startswith("replaced-")]
    assert BEFORE in [people(place.at(each)) for each in kept]


def test_a_kill_before_any_step(tmp_path: Path, start: Path, child: Forks) -> None:
    """Killed before each change of names in turn: the old state, the new one, or none opens."""
    seen = set()
    for number in range(_MOST_STEPS):
        folder = tmp_path / str(number)
        shutil.copytree(start, folder)
        outcome = _restored(child, folder, "before", number)
        seen.add(_opens(place_in(folder)))
        _check_finishes(folder)
        if outcome == ENDED:
            break
        assert outcome == DEAD
    assert outcome == ENDED
    assert number > 15
    assert seen == {BEFORE, None, AFTER}


def test_kills_at_random_moments(tmp_path: Path, start: Path, child: Forks) -> None:
    """The same, and killed a second time before the restore that finishes."""
    moments = random.Random(3)  # noqa: S311 - no secret
    for kill in range(_KILLS):
        folder = tmp_path / str(kill)
        shutil.copytree(start, folder)
        for _ in range(2):
            outcome = _restored(child, folder, "after_s", moments.uniform(0.001, 0.25))
            assert outcome in {DEAD, ENDED}
            assert _opens(place_in(folder)) in {BEFORE, None, AFTER}
        _check_finishes(folder)


@pytest.mark.postgres
def test_a_kill_on_postgresql(tmp_path: Path, server_url: str, child: Forks) -> None:
    """Killed before some steps: who was removed after the dump is gone with the second restore."""
    start, dump = tmp_path / "start", new_database(server_url)
    start.mkdir()
    place = place_in(start, dump)
    fill(place)
    back_up(place)
    later = _copied(server_url, dump)
    change(place_in(start, later))
    shutil.rmtree(start / "data")
    outcomes = set()
    for number in (2, 8, 14, _MOST_STEPS):
        folder = tmp_path / str(number)
        shutil.copytree(start, folder)
        url = _copied(server_url, dump)
        outcomes.add(_restored(child, folder, "before", number, url=url))
        place = place_in(folder, url)
        restore(folder / "backup", place, replace=True)
        assert people(place) == AFTER
        assert inspect(place, repair=False).whole
    assert outcomes == {DEAD, ENDED}


def _copied(server_url: str, url: str) -> str:
    """Return the URL of a new database that holds what another does."""
    copy = new_database(server_url)
    names = [urlsplit(each).path.removeprefix("/") for each in (copy, url)]
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {names[0]}")
        connection.execute(f"CREATE DATABASE {names[0]} TEMPLATE {names[1]}")
    return copy
