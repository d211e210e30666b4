"""Fills the room there is, then writes a snapshot; started by `test_disk_full`.

Prints the error, then whether the old snapshot is byte by byte as it was, and what is read once
there is room again.
"""

import json
import resource
import sys
from contextlib import suppress
from pathlib import Path

from embedding.errors import StoreError
from tests.index.snapshot.samples import files, open_snapshot
from tests.index.snapshot.states import ids_at, segments_at

_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def _fill(ballast: Path) -> None:
    """Take all room of the file system, down to the last byte that is given."""
    with suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while stream.write(b"\0" * 512):
            pass


def _main(kind: str, folder: Path) -> None:
    snapshot, ballast = open_snapshot(folder / "snapshot"), folder / "ballast"
    if not snapshot.write(1, segments_at(1)):
        raise SystemExit("the first snapshot was not written")
    before = {file.name: file.read_bytes() for file in files(folder / "snapshot")}
    if kind == "disk":
        _fill(ballast)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(kind), resource.RLIM_INFINITY))
    message = "no error"
    try:
        snapshot.write(2, segments_at(2))
    except StoreError as error:
        message = str(error)
    after = {file.name: file.read_bytes() for file in files(folder / "snapshot")}
    during = snapshot.read()
    ballast.unlink(missing_ok=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, _UNLIMITED)
    acknowledged = snapshot.write(3, segments_at(3))
    found = snapshot.read()
    ids = [] if found is None else [int(each) for ids_N, _ in found.blocks for each in ids_N]
    report = {
        "error": message,
        "unchanged": after == before,
        "read_while_full": during is not None and during.sequence == 1,
        "written_later": acknowledged and ids == ids_at(3),
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
