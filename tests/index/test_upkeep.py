"""The thread of the upkeep: it outlives whatever its work raises, and tells of it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from embedding.errors import StoreError
from index.galleries import Galleries
from index.upkeep import Upkeep
from tests.index.waiting import Failing, wait_until

_SOON_S = 0.01
_NEVER_S = 3600.0

_NO_SPACE = OSError(errno.ENOSPC, "no room for Anna Berg")


@contextmanager
def _upkeep(work: Failing, *, every_s: float = _SOON_S) -> Iterator[Upkeep]:
    upkeep = Upkeep(work, every_s=every_s)
    try:
        yield upkeep
    finally:
        upkeep.stop()


@pytest.mark.parametrize(
    "error", [_NO_SPACE, ZeroDivisionError(), StoreError("the disk is full")], ids=repr
)
def test_the_upkeep_goes_on_after_an_error(error: Exception) -> None:
    """Whatever was raised, the next calls come."""
    work = Failing(error)
    with _upkeep(work):
        wait_until(lambda: work.num_done >= 2)


def test_an_unforeseen_error_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Type, the system's words and the place are told; what the error says may name a person."""
    work = Failing(_NO_SPACE, KeyError("Carla Dahl"))
    with _upkeep(work):
        wait_until(lambda: work.num_done >= 1)
    first, second = [each.getMessage() for each in caplog.records]
    assert "OSError (No space left on device)" in first
    assert "KeyError" in second
    assert all("in __call__" in each for each in (first, second))
    assert not any(name in caplog.text for name in ("Anna Berg", "Carla Dahl"))


def test_a_failing_upkeep_is_told_until_it_works() -> None:
    """The seconds count over all failures in a row, and are 0 again after a success."""
    work = Failing(_NO_SPACE, StoreError("the disk is full"))
    with _upkeep(work, every_s=_NEVER_S) as upkeep:
        assert upkeep.failing_s == 0.0
        upkeep.soon()
        wait_until(lambda: upkeep.failing_s > 0.05)
        upkeep.soon()
        wait_until(lambda: not work.errors)
        assert upkeep.failing_s > 0.05
        upkeep.soon()
        wait_until(lambda: upkeep.failing_s == 0.0)
        assert work.num_done == 1


def test_galleries_tell_that_their_upkeep_fails(data_folder: Path) -> None:
    """A snapshots folder that cannot be read is seen from outside, and so is its mending."""
    with Galleries.open(data_folder, upkeep_s=_SOON_S) as galleries:
        galleries.maintain()
        assert galleries.upkeep_failing_s == 0.0
        blocked = data_folder / "snapshots"
        blocked.mkdir(mode=0o700)
        orphan = blocked / "00000000-0000-4000-8000-000000000000"
        orphan.write_bytes(b"a file where a folder belongs")
        wait_until(lambda: galleries.upkeep_failing_s > 0.05)
        orphan.unlink()
        wait_until(lambda: galleries.upkeep_failing_s == 0.0)
