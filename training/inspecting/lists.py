"""The files for machines: every finding as a line of CSV, and the keys to leave out."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from training.inspecting.findings import Finding, Kind
from training.inspecting.gathered import Gathered

COLUMNS: Final = (
    "kind",
    "similarity",
    "mean_similarity",
    "set_a",
    "identity_a",
    "key_a",
    "set_b",
    "identity_b",
    "key_b",
    "proposed",
    "reason",
)


def write_pairs(file: Path, gathered: Gathered, findings: Sequence[Finding]) -> None:
    """Writes a line for each finding, in their order, below a line of column names.

    ``proposed`` is ``key_a``, ``identity_a`` (all its images) or empty. Names that are not text
    keep their bytes.
    """
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(_line(gathered, finding) for finding in findings)


def _line(gathered: Gathered, finding: Finding) -> list[str]:
    row_b = finding.row_b
    proposed = "identity_a" if finding.kind is Kind.SHARED else "key_a"
    return [
        finding.kind,
        _number(finding.similarity),
        _number(finding.mean_similarity),
        *_image(gathered, finding.row_a),
        *(("", "", "") if row_b is None else _image(gathered, row_b)),
        proposed if finding.proposed else "",
        finding.reason,
    ]


def _image(gathered: Gathered, row: int) -> tuple[str, str, str]:
    return gathered.set_name(row), gathered.identity_name(row), gathered.key(row)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def proposed_keys(gathered: Gathered, findings: Sequence[Finding]) -> list[str]:
    """The keys that are proposed to be left out, in the order of DATA, each once."""
    rows = sorted({row for finding in findings for row in finding.proposed})
    # The lists of other sets are their owners' business; a row of theirs here is our mistake.
    assert not rows or rows[-1] < gathered.num_data  # noqa: S101
    return [gathered.key(row) for row in rows]


def write_keys(file: Path, keys: Sequence[str]) -> None:
    """Writes one key a line, as ``data.exclude`` reads them."""
    text = "".join(f"{key}\n" for key in keys)
    file.write_bytes(text.encode(errors="surrogateescape"))
