"""Processes that append to a ledger, or run out of disk; for `test_ledger_faults`.

Without arguments each command is ``path, number`` of what is appended until the process is killed;
else the first argument is the ledger's path, the second what to do.
"""

import os
import resource
import sys
from pathlib import Path

from embedding.errors import StoreError
from index.ledger.chain import ENTRIES_AT, RECORD_BYTES
from tests.index.killing import say, serve
from tests.index.ledger_samples import open_ledger, removal, subject_of


def _append_until_killed(path: str, number: int) -> None:
    """Say the process id, then append entries and say each, until killed."""
    say(os.getpid())
    ledger = open_ledger(Path(path))
    while True:
        batch = [removal(number + place) for place in range(3)]
        ledger.append(batch)
        os.write(1, "".join(f"{subject_of(each)}\n" for each in batch).encode())
        number += len(batch)


def _append_many(path: Path, begin: int, num: int) -> None:
    """Append one by one, as fast as the disk and the other process allow."""
    with open_ledger(path) as ledger:
        sys.stdin.readline()
        for number in range(begin, begin + num):
            ledger.append([removal(number)])


def _fill_the_disk(path: Path) -> None:
    """Append five entries, two too many for the disk, and two more once there is room again."""
    limit = ENTRIES_AT + 5 * RECORD_BYTES + RECORD_BYTES // 2
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Then the write fails as on a full disk, after half an entry.
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    with open_ledger(path) as ledger:
        for number in range(5):
            ledger.append([removal(number)])
        for number in (5, 6):
            try:
                ledger.append([removal(number)])
            except StoreError as error:
                os.write(1, f"{type(error).__name__}: {error}\n".encode())
        os.write(1, f"readable: {len(list(ledger.entries()))}\n".encode())
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        for number in (7, 8):
            ledger.append([removal(number)])


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            serve(_append_until_killed)
        case [path, "many", begin, num]:
            _append_many(Path(path), int(begin), int(num))
        case [path, "full"]:
            _fill_the_disk(Path(path))
