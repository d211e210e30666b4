"""The ledger under kills, several processes and a full disk, with real processes."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from index.ledger.ledger import RemovalLedger
from tests.index.killing import DEAD, forking
from tests.index.ledger_samples import DATABASE_ID, KEY, open_ledger, removal, subject_of

_KILLS = 20
_NUM_EACH = 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an empty ledger lies, closed."""
    path = tmp_path / "removals"
    open_ledger(path).close()
    return path


def _start(path: Path, *task: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.index.ledger_child", str(path), *task],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def _reopened(path: Path) -> RemovalLedger:
    return RemovalLedger.open(path, database_id=DATABASE_ID, key=KEY)


def test_what_was_acknowledged_survives_kills(path: Path) -> None:
    """After each of 20 kills the ledger opens and has every acknowledged entry, in order."""
    delays = random.Random(5)  # noqa: S311
    acknowledged: list[str] = []
    with forking("tests.index.ledger_child") as child:
        for kill in range(_KILLS):
            child.say(str(path), kill * 1_000_000)
            process = int(child.hear())
            # At a random moment after the first acknowledgement.
            first = child.hear()
            threading.Timer(delays.uniform(0, 0.02), os.kill, (process, signal.SIGKILL)).start()
            acknowledged += [first, *iter(child.hear, DEAD)]
            with _reopened(path) as ledger:
                kept = [subject_of(entry) for entry in ledger.entries()]
            # What was written, but not said when the kill came, may be there besides.
            assert set(acknowledged) <= set(kept)
            assert len(kept) <= len(acknowledged) + 3 * (kill + 1)
    assert [each for each in kept if each in set(acknowledged)] == acknowledged


def test_two_processes_append_together(path: Path) -> None:
    """Appends of two processes at once are all there, each process's in its order."""
    processes = [_start(path, "many", str(begin), str(_NUM_EACH)) for begin in (0, _NUM_EACH)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    copies = []
    while any(process.poll() is None for process in processes):
        copies.append(path.read_bytes())
        time.sleep(0.005)
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    with _reopened(path) as ledger:
        entries = list(ledger.entries())
    ours = {subject_of(removal(number)): number for number in range(2 * _NUM_EACH)}
    numbers = [ours[subject_of(entry)] for entry in entries]
    assert sorted(numbers) == list(range(2 * _NUM_EACH))
    assert [each for each in numbers if each < _NUM_EACH] == list(range(_NUM_EACH))
    assert [each for each in numbers if each >= _NUM_EACH] == list(range(_NUM_EACH, 2 * _NUM_EACH))
    for copy in copies[::5]:
        # Copying the file while processes append gives a ledger, too.
        path.write_bytes(copy)
        with _reopened(path) as ledger:
            kept = list(ledger.entries())
            assert kept == entries[: len(kept)]


def test_a_full_disk_leaves_the_ledger_readable(path: Path) -> None:
    """Appends that find no room fail clearly and leave nothing; with room they go on."""
    with _start(path, "full") as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    lines = output.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("StoreError: ") and "free space" in line for line in lines[:2])
    assert lines[2] == "readable: 5"
    with _reopened(path) as ledger:
        assert list(ledger.entries()) == [removal(each) for each in (0, 1, 2, 3, 4, 7, 8)]


def test_threads_append_together(path: Path) -> None:
    """Appends of several threads of one object are all there."""
    with open_ledger(path) as ledger:
        threads = [
            threading.Thread(target=lambda number=number: ledger.append([removal(number)]))
            for number in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        entries = list(ledger.entries())
    assert {subject_of(entry) for entry in entries} == {
        subject_of(removal(number)) for number in range(16)
    }
