"""Whenever a process dies, the old snapshot or the new one is there."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.index.killing import DEAD, ENDED, Forks, forking
from tests.index.snapshot.samples import files, ids_of, open_snapshot
from tests.index.snapshot.states import ids_at, segments_at

_KILLS = 20
_MOST_STEPS = 200


@pytest.fixture(scope="module")
def child() -> Iterator[Forks]:
    """One interpreter for all tests of this file."""
    with forking("tests.index.snapshot.crash_child") as forks:
        yield forks


def _sequence(path: Path) -> int | None:
    """The sequence of a snapshot that holds what it must, with nothing left over beside it."""
    found = open_snapshot(path).read()
    if found is None:
        assert not path.exists() or not files(path)
        return None
    assert ids_of(found) == ids_at(found.sequence)
    assert len(files(path)) == len(found.blocks) + 1
    return found.sequence


@pytest.mark.parametrize(
    ("before", "action", "results"),
    [
        (0, "write", {0, 1}),
        (None, "write", {None, 1}),
        (0, "delete", {0, None}),
        (0, "read", {0}),
    ],
)
def test_a_kill_before_any_step(
    tmp_path: Path, child: Forks, before: int | None, action: str, results: set[int | None]
) -> None:
    """Killed before each call to the system in turn: both results are seen, and no third."""
    if before is not None:
        assert open_snapshot(tmp_path / "start").write(before, segments_at(before))
    seen = set()
    for number in range(_MOST_STEPS):
        path = tmp_path / str(number) / "snapshot"
        if before is not None:
            shutil.copytree(tmp_path / "start", path)
            (path / f"{'0' * 32}.segment").write_bytes(b"left over")
        child.say("step", str(path), action, number)
        outcome = child.hear()
        seen.add(_sequence(path))
        assert open_snapshot(path).write(2, segments_at(2))
        assert _sequence(path) == 2
        if outcome == ENDED:
            break
        assert outcome == DEAD
    assert outcome == ENDED
    assert number > 5
    assert seen == results


def test_kills_at_random_moments(tmp_path: Path, child: Forks) -> None:
    """After each of 20 kills the snapshot is at least the last that was acknowledged."""
    path = tmp_path / "snapshot"
    moments = random.Random(3)  # noqa: S311
    last = 0
    for _ in range(_KILLS):
        child.say("forever", str(path), last)
        process = int(child.hear())
        for _ in range(moments.randrange(3)):
            last = int(child.hear())
        time.sleep(moments.uniform(0.0, 0.1))
        os.kill(process, signal.SIGKILL)
        while (line := child.hear()) != DEAD:
            last = int(line)
        found = _sequence(path)
        assert found in ({None, 1} if last == 0 else {last, last + 1})
        last = found or 0
