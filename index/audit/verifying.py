"""Follows the chain of an audit log from the first entry that is there to the last."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from index.audit.anchor import Anchored, AuditHead
from index.audit.entries import AuditEntry, Codes

GAP = "audit.gap"
"""Action of an entry that tells that the anchor went beyond the log: entries are gone."""

ANCHOR_BEGUN = "audit.anchor_begun"
"""Action of an entry that tells of a new anchor: until then nobody remembered the log's end."""

DROPPED = "audit.dropped"
"""Action of an entry that counts events that could not be written while the database failed."""

CUT = "audit.cut"
"""Action of an entry that tells that entries before it were, or are being, cut off."""

BEGINS = "it begins after entry"
"""How a report begins to tell of entries that are not there, since they were cut off."""

MAX_FINDINGS = 100


@dataclass(slots=True, kw_only=True)
class AuditReport:
    """What a verification found.

    Attributes:
        num_entries: looked at.
        findings: what is wrong, at most `MAX_FINDINGS`.
        told: what the log itself tells of: numbers of entries on gaps, lost events, new anchors,
            cuts.
        cut: where it begins, before its first entry.
        head: as far as the chain was followed.
    """

    num_entries: int = 0
    findings: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    cut: AuditHead
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
    cut: AuditHead | None = None,
    head: AuditHead | None = None,
    anchor: Anchored | None = None,
) -> AuditReport:
    """Return what is wrong with entries that should be all of a log, in their order.

    Args:
        entries: by their numbers.
        codes: of the log.
        cut: the last entry that was cut off, which has been proved genuine; None for none.
        head: where the database says that it ends; None for an export.
        anchor: what the anchor remembers; None without one, and for an export.
    """
    cut = cut or AuditHead(count=0, code=codes.beginning)
    report = AuditReport(cut=cut, head=cut)
    remembered = list(_remembered(head, anchor))
    cut_told = False
    expected, previous = cut.count + 1, cut.code
    for entry in entries:
        report.num_entries += 1
        if entry.number != expected:
            report.add(_out_of_place(entry.number, expected))
        elif not hmac.compare_digest(codes.code(previous, entry), entry.code):
            report.add(f"entry {entry.number} was changed, or does not follow the one before it")
        if entry.action in {GAP, DROPPED, ANCHOR_BEGUN, CUT}:
            report.told.append(_told(entry))
        cut_told = cut_told or (entry.action == CUT and _tells_of(entry, cut))
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
    _check_cut(report, anchor, told=cut_told or head is None)
    return report


def _check_cut(report: AuditReport, anchor: Anchored | None, *, told: bool) -> None:
    """Compare where the log begins with what the anchor, and the log itself, say of that."""
    cut = report.cut
    if cut.count > 0:
        report.told.insert(0, f"{BEGINS} {cut.count}: those before were cut off")
        if not told:
            report.add(f"no entry tells that entries up to {cut.count} were cut off")
    if anchor is None:
        return
    if anchor.cut.count > cut.count:
        report.add(f"the anchor remembers that entries up to {anchor.cut.count} were cut off, the "
                   f"database only up to {cut.count}: it is an older one")  # fmt: skip
    for what, each in (("cut", anchor.cut), ("end", anchor.head)):
        if each.count == cut.count and each.code != cut.code:
            report.add(f"the log does not begin at the {what} that the anchor remembers")


def _tells_of(entry: AuditEntry, cut: AuditHead) -> bool:
    """Whether an entry on a cut is about this one, which may not have come to its end yet."""
    through = entry.facts.get("through")
    if not isinstance(through, int) or through < cut.count:
        return False
    return through > cut.count or entry.facts.get("code") == cut.code.hex()


def _told(entry: AuditEntry) -> str:
    if entry.action != CUT:
        return f"entry {entry.number}: {entry.action} {dict(entry.facts)}"
    what = "kept as a file" if entry.facts.get("archived") else "not kept"
    return (
        f"entry {entry.number}: {entry.actor} cut off entries up to {entry.facts.get('through')}, "
        f"{what}, at {entry.at.isoformat()}; the last was of {entry.facts.get('until')}"
    )


def _remembered(
    head: AuditHead | None, anchor: Anchored | None
) -> Iterable[tuple[str, AuditHead]]:
    if head is not None:
        yield "the database's head", head
    if anchor is not None:
        yield "the anchor", anchor.head


def _out_of_place(number: int, expected: int) -> str:
    if number < expected:
        return f"entry {number} stands after entry {expected - 1}"
    if number == expected + 1:
        return f"entry {expected} is missing"
    return f"entries {expected} to {number - 1} are missing"
