"""How far a batch is, is shown on a terminal and nowhere else."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from index.batch import progress
from index.batch.progress import shown_progress, shown_share
from index.batch.sources.folder_tree import FolderTree
from index.batch.tally import Tally
from tests.index.batch.samples import people_tree
from tests.index.waiting import wait_until


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    """A console, and what is written to it."""
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=120), out


def test_a_terminal_shows_photos(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many are done of how many there are, and how many failed."""
    monkeypatch.setattr(progress, "_EVERY_S", 0.01)
    where, out = console(terminal=True)
    tally = Tally()
    with shown_progress(FolderTree(people_tree(tree)), tally, console=where):
        tally.add(num_passed=7)
        tally.add_failures(["no_face"])
        wait_until(lambda: "7/12" in out.getvalue() and "1 failed" in out.getvalue())


def test_a_terminal_shows_a_share() -> None:
    """The last that was told is shown."""
    where, out = console(terminal=True)
    with shown_share("comparing", console=where) as tell:
        tell(3, 6)
        tell(6, 6)
    assert "comparing" in out.getvalue()


def test_a_file_shows_nothing(tree: Path) -> None:
    """A log does not fill with bars."""
    where, out = console(terminal=False)
    with (
        shown_progress(FolderTree(people_tree(tree)), Tally(), console=where),
        shown_share("comparing", console=where) as tell,
    ):
        tell(1, 2)
    assert out.getvalue() == ""
