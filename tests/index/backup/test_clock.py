"""A clock that jumps between a backup and its restore changes no answer."""

from datetime import timedelta
from pathlib import Path

import pytest

from index.backup.restoring import restore
from index.inspection import inspect
from tests.index.backup.places import (
    ADDED,
    AFTER,
    REMOVED,
    back_up,
    change,
    enroll,
    fill,
    opened,
    people,
    place_in,
)
from tests.index.clock import set_clock

_DAY = timedelta(days=1)


@pytest.mark.parametrize("jump", [-_DAY, _DAY])
def test_a_clock_that_jumps_before_a_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    """Set by a day after the backup, and back after the restore: the removed stay removed."""
    place = place_in(tmp_path)
    fill(place)
    back_up(place)
    set_clock(monkeypatch, jump)
    change(place)
    first = restore(tmp_path / "backup", place, replace=True)
    assert people(place) == AFTER
    set_clock(monkeypatch, timedelta(0))
    with opened(place) as galleries:
        enroll(galleries.get("people"), ADDED)
    assert people(place) == AFTER | {ADDED}
    second = restore(tmp_path / "backup", place, replace=True)
    assert people(place) == AFTER
    assert REMOVED not in AFTER
    assert first.replaced != second.replaced
    assert inspect(place, repair=False).whole
