"""Kills, flipped bits and a full disk: whether galleries keep what they acknowledged.

Workers are killed at random moments of random changes, on SQLite and on PostgreSQL, half of them
with encryption; what each start finds is compared with a model of all acknowledged changes.
Then single bits are flipped, and a small disk runs full. ``failures`` must be 0 everywhere.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.fault_disk import KINDS as DISK_KINDS
from benchmarks.fault_flips import fill, row_flips, snapshot_flips
from benchmarks.fault_kills import Count, Killer
from benchmarks.fault_place import Place, Server, postgres
from benchmarks.report import print_report

KILLS_A_PLACE = 50
"""Then a new, empty place is taken: an old one has been through the rare states."""

_ROOT = Path(__file__).parents[1]
_MOUNT = 'mount -t tmpfs -o size=12m,mode=0700 tmpfs "$1" && shift && exec "$@"'


def kills(
    num: int, *, server: Server | None, dice: random.Random, progress: Callable[[str], None]
) -> Count:
    """Kill so many workers on one kind of database, or until something was wrong."""
    total = Count()
    for number, start in enumerate(range(0, num, KILLS_A_PLACE)):
        url = None if server is None else server.new_database(f"faults_{number}")
        with _place(url=url, sealed=number % 2 == 1) as place:
            killer = Killer(place, server=server, dice=dice)
            killer.kill(min(KILLS_A_PLACE, num - start), progress=progress)
        total.add(killer.count)
        if total.failures:
            break
    return total


def flips(num: int, *, dice: random.Random) -> dict[str, object]:
    """Flip so many bits of snapshots, and as many of rows; half of them where all is sealed."""
    figures: dict[str, object] = {}
    num_failures = 0
    for name, flip in (("snapshot", snapshot_flips), ("row", row_flips)):
        failures: list[str] = []
        for sealed in (False, True):
            with _place(url=None, sealed=sealed) as place:
                fill(place)
                failures += flip(place, num=num // 2, dice=dice)
        figures[f"{name}_flips"] = 2 * (num // 2)
        figures[f"{name}_failures"] = len(failures)
        figures[f"{name}_failed"] = failures[:5]
        num_failures += len(failures)
    return {**figures, "failures": num_failures}


def full_disk() -> dict[str, object]:
    """Let a small file system run full; where none may be mounted, files get a limit instead."""
    failures: list[str] = []
    mounted = _can_mount()
    for what, sealed in product(DISK_KINDS, (False, True)):
        with tempfile.TemporaryDirectory(prefix="facegallery-disk-") as folder:
            small, elsewhere = Path(folder, "small"), Path(folder, "elsewhere")
            small.mkdir()
            elsewhere.mkdir()
            command = [sys.executable, "-m", "benchmarks.fault_disk", str(small), str(elsewhere)]
            command += ["--what", what, *(["--sealed"] if sealed else [])]
            if mounted:
                command = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", str(small), *command]
            else:
                command.append("--limited")
            done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
            found = json.loads(done.stdout) if done.returncode == 0 else [done.stderr[-800:]]
            failures += [f"{what}: {each}" for each in found]
    return {"mounted": mounted, "failures": len(failures), "failed": failures[:5]}


@contextmanager
def _place(*, url: str | None, sealed: bool) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="facegallery-faults-") as folder:
        yield Place(folder=Path(folder), url=url, sealed=sealed)


def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory(prefix="facegallery-disk-") as folder:
        command = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", folder, "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> None:
    """Run all and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="on each database")
    parser.add_argument("--flips", type=int, default=200, help="of snapshots, and of rows")
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    dice = random.Random(args.seed)  # noqa: S311 - no secret
    progress = Console(stderr=True).print
    figures: dict[str, Any] = {"seed": args.seed}
    if args.database != "postgres":
        figures["sqlite"] = kills(args.kills, server=None, dice=dice, progress=progress).figures()
        figures["flips"] = flips(args.flips, dice=dice)
        figures["full_disk"] = full_disk()
    if args.database != "sqlite":
        with postgres() as server:
            count = kills(args.kills, server=server, dice=dice, progress=progress)
        figures["postgres"] = count.figures()
    rows = [
        (name, part.get("kills", ""), part.get("acknowledged", ""), part["failures"])
        for name, part in figures.items()
        if isinstance(part, dict)
    ]
    columns = ["what", "kills", "acknowledged changes", "failures"]
    print_report("faults", columns, rows, figures)


if __name__ == "__main__":
    main()
