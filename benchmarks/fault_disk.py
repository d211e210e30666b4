"""A disk that runs full under galleries; run by `benchmarks.faults` on a small file system.

Prints what was not as it must be, as a JSON list.
"""

import argparse
import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from benchmarks.fault_disk_removals import removals_on_a_full_disk
from benchmarks.fault_model import FINGERPRINT, template, vector
from benchmarks.fault_place import Place
from embedding.errors import StoreError
from index.gallery import Gallery

KINDS = ("enrolls", "removals", "ledger")
"""What is done on a full disk: enrolls, removals, or removals where only the ledger's is full."""

_FIRST = 40
_MOST = 4_000
_BEYOND = 100_000
_NO_UPKEEP_S = 3600.0
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
_ROOM_BYTES = 100_000
"""Beyond what is there, for files that a limit stands for a disk of."""


class Disk:
    """A small file system, or a limit on the size of files in its place.

    Args:
        folder: on it.
        files: a file, or a folder of files, of which the largest must not grow much more.
        limited: the file system is large, so files are limited.
        room_bytes: for a few changes, before one fails half-way.
    """

    def __init__(
        self, folder: Path, *, files: Path, limited: bool, room_bytes: int = _ROOM_BYTES
    ) -> None:
        self._ballast = folder / "ballast"
        self._files = files
        self._limited = limited
        self._room_bytes = room_bytes

    def fill(self) -> None:
        """Leave little room."""
        if self._limited:
            files = [self._files, *self._files.rglob("*")]
            largest = max(each.stat().st_size for each in files if each.is_file())
            most = largest + self._room_bytes
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
            return
        with suppress(OSError), self._ballast.open("wb", buffering=0) as stream:
            while stream.write(b"\0" * 4096):
                pass
        os.truncate(self._ballast, max(0, self._ballast.stat().st_size - self._room_bytes))

    def make_room(self) -> None:
        """Leave as much as before."""
        self._ballast.unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, _UNLIMITED)


def full_disk(place: Place, *, limited: bool) -> list[str]:
    """Enroll until the disk is full, give room, and go on; returns what was wrong.

    Args:
        place: empty, on a file system of a few megabytes.
        limited: the file system is large, and a limit on the size of files takes its place.
    """
    wrong: list[str] = []
    disk = Disk(place.folder, files=place.data, limited=limited)
    with place.open(upkeep_s=_NO_UPKEEP_S) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        known = [seed for seed in range(_FIRST) if _enrolled(gallery, seed)]
        galleries.maintain()
        disk.fill()
        seed = _FIRST
        while _enrolled(gallery, seed) and seed < _MOST:
            known.append(seed)
            seed += 1
        if seed == _MOST:
            wrong.append("the disk never got full")
        wrong += _differences(gallery, known, "while full")
        disk.make_room()
        if not _enrolled(gallery, _BEYOND):
            wrong.append("no enroll after room was made")
        known.append(_BEYOND)
        galleries.maintain()
        wrong += _differences(gallery, known, "with room again")
    with place.open(upkeep_s=_NO_UPKEEP_S) as galleries:
        wrong += _differences(galleries.get("people"), known, "after a restart")
    return wrong


def _enrolled(gallery: Gallery, seed: int) -> bool:
    """Return whether an enroll was acknowledged; the one right error is the store's."""
    try:
        gallery.enroll([template(seed)], external_id=str(seed))
    except StoreError:
        return False
    return True


def _differences(gallery: Gallery, known: list[int], when: str) -> list[str]:
    wrong = []
    if gallery.num_templates != len(known):
        wrong.append(f"{gallery.num_templates} templates, {len(known)} acknowledged, {when}")
    for seed in known:
        answer = gallery.identify(
            vector(seed), fingerprint=FINGERPRINT, match_threshold=0.9, review_threshold=0.8
        )
        best = answer.candidates[0].subject.external_id if answer.candidates else None
        if answer.decision != "match" or best != str(seed):
            wrong.append(f"template {seed} is not found {when}")
    return wrong


def _full_for_removals(place: Place, disk: Disk, *, long_ledger: bool = False) -> list[str]:
    return removals_on_a_full_disk(
        place, full=disk.fill, room=disk.make_room, long_ledger=long_ledger
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="on the disk that runs full")
    parser.add_argument("elsewhere", type=Path, help="empty folder on another disk")
    parser.add_argument("--what", choices=KINDS, default=KINDS[0])
    parser.add_argument("--limited", action="store_true")
    parser.add_argument("--sealed", action="store_true")
    args = parser.parse_args()
    folder, limited = args.folder, args.limited
    if args.what == "enrolls":
        place = Place(folder=folder, url=None, sealed=args.sealed)
        wrong = full_disk(place, limited=limited)
    elif args.what == "removals":
        place = Place(folder=folder, url=None, sealed=args.sealed, ledger_folder=args.elsewhere)
        wrong = _full_for_removals(place, Disk(folder, files=place.data, limited=limited))
    else:
        place = Place(folder=args.elsewhere, url=None, sealed=args.sealed, ledger_folder=folder)
        disk = Disk(folder, files=place.ledger, limited=limited, room_bytes=1000)
        wrong = _full_for_removals(place, disk, long_ledger=limited)
    sys.stdout.write(json.dumps(wrong))


if __name__ == "__main__":
    main()
