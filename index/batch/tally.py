"""What a batch did, counted by several threads."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True, eq=False)
class Tally:
    """What a batch did, counted in photos; `add` and `add_failures` are thread safe.

    Attributes:
        num_met: that the source gave, with what it skipped.
        num_passed: that need no more work; those of them that were worked on may not be
            committed yet.
        num_indexed: that are in the gallery now and were not before.
        num_known: done in an earlier run.
        num_duplicates: whose bytes the same subject has already.
        num_replaced: templates of photos that had changed, removed.
        num_new_subjects: subjects that were made.
        num_failed_before: that failed in an earlier run and were not tried again.
        num_retracted: that were in the gallery and were removed by somebody.
        failures: number of photos that failed or were skipped in this run, by code.
    """

    num_met: int = 0
    num_passed: int = 0
    num_indexed: int = 0
    num_known: int = 0
    num_duplicates: int = 0
    num_replaced: int = 0
    num_new_subjects: int = 0
    num_failed_before: int = 0
    num_retracted: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def num_failed(self) -> int:
        """Photos that failed or were skipped in this run."""
        return sum(self.failures.values())

    def add(self, **counts: int) -> None:
        """Add to the counts of these names."""
        with self._lock:
            for name, num in counts.items():
                setattr(self, name, getattr(self, name) + num)

    def add_failures(self, errors: Iterable[str]) -> None:
        """Count failures by their codes."""
        with self._lock:
            self.failures.update(errors)

    def forget_known(self) -> None:
        """Count what needs no work anew, for another pass over the same source."""
        with self._lock:
            self.num_met = self.num_passed = self.num_known = 0
            self.num_failed_before = self.num_retracted = 0
            self.failures.clear()
