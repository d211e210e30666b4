"""Audit logs as files of JSON lines, the first of which tells of a cut where there was one."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from embedding.errors import RequestInvalid, StoreError
from index.audit.anchor import AuditHead
from index.audit.cutting import cut_line, is_cut_line, read_cut_line
from index.audit.entries import AuditEntry, Codes, entry_of_line
from index.private_files import new_private_file


def write_export(
    entries: Iterable[AuditEntry], file: Path, *, cut: AuditHead, codes: Codes
) -> int:
    """Write entries to a new file, mode 0600; returns how many there were.

    Args:
        entries: in their order.
        file: new.
        cut: the last entry before the first; the log's beginning for all.
        codes: of the log.

    Raises:
        RequestInvalid: the file exists.
        StoreError: it cannot be written; none is left.
    """
    num_entries = 0
    try:
        with new_private_file(file) as stream:
            if cut.count > 0:
                stream.write(cut_line(cut, codes).encode() + b"\n")
            for entry in entries:
                num_entries += 1
                stream.write(entry.line().encode() + b"\n")
    except FileExistsError as error:
        raise RequestInvalid(f"{file} exists already; give the name of a new file") from error
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error
    return num_entries


def read_export(file: Path, codes: Codes) -> tuple[AuditHead, Iterator[AuditEntry]]:
    """Return where the log of a file begins, and its entries.

    Raises:
        RequestInvalid: it cannot be read, now or when the entries are asked for.
        StoreCorrupt: a line is no entry, or what it says of a cut was changed.
    """
    lines = _lines(file)
    first = next(lines, None)
    beginning = AuditHead(count=0, code=codes.beginning)
    if first is None:
        return beginning, iter(())
    if is_cut_line(first):
        return read_cut_line(first, codes), map(entry_of_line, lines)
    return beginning, map(entry_of_line, chain((first,), lines))


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8") as stream:
            yield from stream
    except (OSError, UnicodeDecodeError) as error:
        raise RequestInvalid(f"{file} cannot be read as an export of the log") from error
