"""Kills workers at random moments, and keeps count of what must be there afterwards."""

import json
import os
import random
import select
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.fault_model import Change, Expected
from benchmarks.fault_place import Place, Server
from benchmarks.fault_worker import start

_OPENING_SHARE = 0.25
"""Of the kills, those that come while the galleries are opened."""

_OPENING_S = 0.25
_WORKING_S = 0.5
_CRASH_SHARE = 0.1
_HANGS_S = 120.0

_RIGHT_WARNINGS = ("carried out",)
"""What a process may warn of after a kill: that it does what the ledger says."""

_RIGHT_WITHOUT_SERVER = (
    "cannot follow the database",
    # The driver's own.
    "error ignored terminating",
    "could not tell other processes",
    "the upkeep is tried again",
)


@dataclass(slots=True, kw_only=True)
class Count:
    """What happened.

    Attributes:
        numbers: by name.
        failures: what was not as it must be.
        open_outcomes: what became of changes that were begun and not acknowledged.
        acknowledged: changes by kind.
    """

    numbers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    open_outcomes: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Count") -> None:
        """Count what another one counted, too."""
        self.numbers += other.numbers
        self.failures += other.failures
        self.open_outcomes += other.open_outcomes
        self.acknowledged += other.acknowledged

    def figures(self) -> dict[str, object]:
        """Return it for the report."""
        return {
            **self.numbers,
            "acknowledged": self.acknowledged.total(),
            "acknowledged_by_kind": dict(self.acknowledged),
            "in_flight": dict(self.open_outcomes),
            "failures": len(self.failures),
            "failed": self.failures[:5],
        }


class Killer:
    """Runs one worker after the other on a place, and kills each.

    Args:
        place: that nobody has open.
        server: of the place's database; None for SQLite.
        dice: chooses the moments.
    """

    def __init__(self, place: Place, *, server: Server | None, dice: random.Random) -> None:
        self.count = Count()
        self._place = place
        self._server = server
        self._dice = dice
        self._expected = Expected(sealed=place.sealed)
        self._crashed = False

    def kill(self, num: int, *, progress: Callable[[str], None]) -> None:
        """Kill so many times, or until something was wrong; the last start is checked, too."""
        for number in range(num):
            self._run(opening=self._dice.random() < _OPENING_SHARE)
            self.count.numbers["kills"] += 1
            if self.count.failures:
                progress(f"kill {number}: {self.count.failures[-1]}")
                return
            if number % 25 == 24:
                progress(f"{number + 1} kills, {self.count.acknowledged.total()} acknowledged")
        self._run(opening=False)

    def _run(self, *, opening: bool) -> None:
        dead = frozenset() if self._server is None else self._server.backends()
        crash = not opening and self._server is not None and self._dice.random() < _CRASH_SHARE
        self._crashed = False
        process, pipe = start(self._place, self._expected, seed=self._dice.getrandbits(32))
        lines = _Lines(pipe)
        try:
            if opening:
                self._read(lines, for_s=self._dice.uniform(0, _OPENING_S))
            elif not self._read(lines, until="resolved", for_s=_HANGS_S):
                self.count.failures.append("a worker did not get ready")
            else:
                self._read(lines, for_s=self._dice.uniform(0, _WORKING_S))
            if crash and self._server is not None and not self.count.failures:
                self._crash(self._server, lines)
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        self._read(lines, for_s=_HANGS_S)
        lines.close()
        if self._server is not None and self._dice.random() < 0.5:
            # Otherwise the next worker opens while the server still works for the dead one.
            self._server.wait_for_dead_clients(self._server.backends() - dead)

    def _crash(self, server: Server, lines: "_Lines") -> None:
        self._crashed = True
        server.crash()
        self.count.numbers["server_crashes"] += 1
        if self._dice.random() < 0.5 and self._read(lines, until="recovered", for_s=_HANGS_S):
            self._read(lines, for_s=self._dice.uniform(0, _WORKING_S))

    def _read(self, lines: "_Lines", *, for_s: float, until: str | None = None) -> bool:
        """Take in what the worker says; returns whether the line that ends it came."""
        deadline = time.monotonic() + for_s
        while (line := lines.next(deadline)) is not None:
            self._take(line)
            if line["what"] == until:
                return True
            if line["what"] == "failure":
                return False
        return False

    def _take(self, line: dict[str, Any]) -> None:
        match line["what"]:
            case "begun":
                self._expected.begin(Change.from_json(line["change"]))
            case "acknowledged":
                self.count.acknowledged[self._expected.open[-1].kind] += 1
                self._expected.acknowledge()
            case "resolved":
                self._resolve(line)
            case "opened" | "recovered" | "searched" as what:
                self.count.numbers[what] += 1
            case "lost" if self._crashed:
                self.count.numbers["lost_with_server"] += 1
            case "warned":
                self._warned(line["text"])
            case _:
                self.count.failures.append(line.get("text", str(line)))

    def _resolve(self, line: dict[str, Any]) -> None:
        made = [Change.from_json(each) for each in line["made"]]
        keep = [Change.from_json(each) for each in line["keep"]]
        for change in self._expected.open:
            outcome = "made" if change in made else "kept" if change in keep else "not made"
            self.count.open_outcomes[outcome] += 1
        self._expected.resolve(made, keep=keep)

    def _warned(self, text: str) -> None:
        right = _RIGHT_WARNINGS + (_RIGHT_WITHOUT_SERVER if self._crashed else ())
        if text.startswith(right):
            self.count.numbers["warnings"] += 1
        else:
            self.count.failures.append(f"warned: {text}")


class _Lines:
    """A worker's lines, read without waiting longer than wanted."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._rest = b""
        self._ended = False

    def next(self, deadline: float) -> dict[str, Any] | None:
        """Return the next line; None when there is none until then, or ever."""
        while b"\n" not in self._rest:
            left_s = deadline - time.monotonic()
            if self._ended or left_s <= 0 or not select.select([self._pipe], [], [], left_s)[0]:
                return None
            piece = os.read(self._pipe, 65_536)
            self._ended = not piece
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        taken: dict[str, Any] = json.loads(line)
        return taken

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._pipe)
