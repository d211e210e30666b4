"""Follows the chain of an audit log from its first entry to its last."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from index.audit.anchor import AuditHead
from index.audit.entries import AuditEntry, Codes

GAP = "audit.gap"
"""Action of an entry that tells that the anchor went beyond the log: entries are gone."""

ANCHOR_BEGUN = "audit.anchor_begun"
"""Action of an entry that tells of a new anchor: until then nobody remembered the log's end."""

DROPPED = "audit.dropped"
"""Action of an entry that counts events that could not be written while the database failed."""

MAX_FINDINGS = 100


@dataclass(slots=True, kw_only=True)
class AuditReport:
    """What a verification found.

    Attributes:
        num_entries: looked at.
        findings: what is wrong, at most `MAX_FINDINGS`.
        told: what the log itself tells of: numbers of entries on gaps, lost events, new anchors.
        head: as far as the chain was followed.
    """

    num_entries: int = 0
    findings: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    head: AuditHead

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong. What the log tells of by itself is for a person to judge."""
        return not self.findings

    def add(self, problem: str) -> None:
        """Write down what is wrong."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(problem)


def verify_chain(
    entries: Iterable[AuditEntry],
    codes: Codes,
    *,
    head: AuditHead | None,
    anchor: AuditHead | None,
) -> AuditReport:
    """Return what is wrong with entries that should be all of a log, in their order.

    Args:
        entries: by their numbers.
        codes: of the log.
        head: where the database says that it ends; None for an export.
        anchor: what the anchor remembers; None without one.
    """
    report = AuditReport(head=AuditHead(count=0, code=codes.beginning))
    remembered = list(_remembered(head, anchor))
    expected, previous = 1, codes.beginning
    for entry in entries:
        report.num_entries += 1
        if entry.number != expected:
            report.add(_out_of_place(entry.number, expected))
        elif not hmac.compare_digest(codes.code(previous, entry), entry.code):
            report.add(f"entry {entry.number} was changed, or does not follow the one before it")
        if entry.action in {GAP, DROPPED, ANCHOR_BEGUN}:
            report.told.append(f"entry {entry.number}: {entry.action} {dict(entry.facts)}")
        for what, each in remembered:
            if each.count == entry.number and each.code != entry.code:
                report.add(f"entry {entry.number} is not the one that {what} remembers")
        # Goes on from what is there, so that one change is one finding.
        expected, previous = entry.number + 1, entry.code
    report.head = AuditHead(count=expected - 1, code=previous)
    for what, each in remembered:
        if each.count > report.head.count:
            report.add(f"the end is cut off: {what} remembers {each.count} entries, "
                       f"but the last one is {report.head.count}")  # fmt: skip
    if head is not None and head.count < report.head.count:
        report.add(f"entries after {head.count} were added past the log's own head")
    return report


def _remembered(
    head: AuditHead | None, anchor: AuditHead | None
) -> Iterable[tuple[str, AuditHead]]:
    if head is not None:
        yield "the database's head", head
    if anchor is not None:
        yield "the anchor", anchor


def _out_of_place(number: int, expected: int) -> str:
    if number < expected:
        return f"entry {number} stands after entry {expected - 1}"
    if number == expected + 1:
        return f"entry {expected} is missing"
    return f"entries {expected} to {number - 1} are missing"
