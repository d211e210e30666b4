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

from benchmarks.fault_model import FINGERPRINT, template, vector
from benchmarks.fault_place import Place
from embedding.errors import StoreError
from index.gallery import Gallery

_FIRST = 40
_MOST = 4_000
_BEYOND = 100_000
_NO_UPKEEP_S = 3600.0
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
_ROOM_BYTES = 100_000
"""Beyond what is there, for files that a limit stands for a disk of."""


def full_disk(place: Place, *, limited: bool) -> list[str]:
    """Enroll until the disk is full, give room, and go on; returns what was wrong.

    Args:
        place: empty, on a file system of a few megabytes.
        limited: the file system is large, and a limit on the size of files takes its place.
    """
    wrong: list[str] = []
    ballast = place.folder / "ballast"
    with place.open(upkeep_s=_NO_UPKEEP_S) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        known = [seed for seed in range(_FIRST) if _enrolled(gallery, seed)]
        galleries.maintain()
        _fill(place, ballast, limited=limited)
        seed = _FIRST
        while _enrolled(gallery, seed) and seed < _MOST:
            known.append(seed)
            seed += 1
        if seed == _MOST:
            wrong.append("the disk never got full")
        wrong += _differences(gallery, known, "while full")
        ballast.unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, _UNLIMITED)
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


def _fill(place: Place, ballast: Path, *, limited: bool) -> None:
    if limited:
        largest = max(each.stat().st_size for each in place.data.rglob("*") if each.is_file())
        most = largest + _ROOM_BYTES
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        return
    with suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while stream.write(b"\0" * 4096):
            pass
    # Some room, so that a few enrolls pass before one fails half-way.
    os.truncate(ballast, max(0, ballast.stat().st_size - _ROOM_BYTES))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limited", action="store_true")
    parser.add_argument("--sealed", action="store_true")
    args = parser.parse_args()
    place = Place(folder=args.folder, url=None, sealed=args.sealed)
    sys.stdout.write(json.dumps(full_disk(place, limited=args.limited)))


if __name__ == "__main__":
    main()
