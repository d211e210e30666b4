"""What a check finds wrong, in words and ids."""

from dataclasses import dataclass, field
from typing import Literal

FindingKind = Literal[
    "database", "ledger", "sealing", "secret", "template", "counter", "change_log", "snapshot",
    "calibration", "left_over", "audit",
]  # fmt: skip

_BACKUP = "restore from a backup"
_ADVICE: dict[FindingKind, str] = {
    "database": _BACKUP,
    "ledger": "put back the newest copy of the ledger, then check again",
    "sealing": "give the key file that holds the key, then check again; or restore from a backup",
    "secret": "put the file back from a backup",
    "template": f"{_BACKUP}, or remove the template and enroll the person again",
    "counter": "run check --repair",
    "change_log": _BACKUP,
    "snapshot": "run check --repair; it is made anew from the database",
    "calibration": "calibrate the gallery again",
    "left_over": "run check --repair; it is removed",
    "audit": "find out who could write the database; nothing mends it, a backup shows what was",
}

MAX_FINDINGS = 1000
"""So many are told one by one; a damaged disk may give a million."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong.

    Attributes:
        kind: what is concerned.
        problem: what is wrong with it; ids only.
        repaired: whether it is mended now.
    """

    kind: FindingKind
    problem: str
    repaired: bool = False

    @property
    def advice(self) -> str | None:
        """What to do; None where it is repaired."""
        return None if self.repaired else _ADVICE[self.kind]


@dataclass(slots=True, kw_only=True)
class Report:
    """What a check looked at and found.

    Attributes:
        findings: at most `MAX_FINDINGS`, in the order in which they were found.
        num_findings: all of them.
        num_repaired: of all.
        num_galleries: looked at.
        num_templates: looked at.
        num_removals_carried_out: removals of the ledger that the database had not done.
    """

    findings: list[Finding] = field(default_factory=list)
    num_findings: int = 0
    num_repaired: int = 0
    num_galleries: int = 0
    num_templates: int = 0
    num_removals_carried_out: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong, or not any more."""
        return self.num_findings == self.num_repaired

    def add(self, kind: FindingKind, problem: str, *, repaired: bool = False) -> None:
        """Write a finding down."""
        self.num_findings += 1
        self.num_repaired += repaired
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(kind=kind, problem=problem, repaired=repaired))
