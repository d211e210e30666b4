"""Audit logs as files of JSON lines."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from embedding.errors import RequestInvalid, StoreError
from index.audit.entries import AuditEntry, entry_of_line
from index.private_files import new_private_file


def write_export(entries: Iterable[AuditEntry], file: Path) -> int:
    """Write entries to a new file, mode 0600; returns how many there were.

    Raises:
        RequestInvalid: the file exists.
        StoreError: it cannot be written; none is left.
    """
    num_entries = 0
    try:
        with new_private_file(file) as stream:
            for entry in entries:
                num_entries += 1
                stream.write(entry.line().encode() + b"\n")
    except FileExistsError as error:
        raise RequestInvalid(f"{file} exists already; give the name of a new file") from error
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error
    return num_entries


def read_export(file: Path) -> Iterator[AuditEntry]:
    """Give the entries of a file.

    Raises:
        RequestInvalid: it cannot be read.
        StoreCorrupt: a line is no entry.
    """
    try:
        with file.open(encoding="utf-8") as stream:
            for line in stream:
                yield entry_of_line(line)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestInvalid(f"{file} cannot be read as an export of the log") from error
