"""``facegallery-index audit``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from embedding.errors import RequestInvalid, StoreError
from index.audit.entries import AuditEntry, entry_of_line
from index.cli.options import (
    DATA_FOLDER,
    EXIT_CODES,
    EXIT_WRONG,
    DataFolderOption,
    JsonOption,
    KeyFileOption,
    LedgerOption,
    place_of,
    show,
)
from index.private_files import new_private_file
from index.store.audit_log import AuditLog

audit_app = typer.Typer(
    no_args_is_help=True, help="The log of who did what: verified, and written to a file."
)


@audit_app.command("verify", epilog=EXIT_CODES)
def verify_command(
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Verify this export of the log instead of the database."),
    ] = None,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find entries that were changed, removed, reordered or cut off."""
    with place_of(data_folder, key_file, ledger).opened() as store:
        report = (
            store.audit.verify() if file is None else store.audit.verify_export(_lines_of(file))
        )
    verdict = "all is well" if report.whole else f"{len(report.findings)} things are wrong"
    answer = {
        "whole": report.whole,
        "num_entries": report.num_entries,
        "findings": report.findings,
        "told": report.told,
    }
    lines = [*report.findings, *report.told, f"verified {report.num_entries} entries: {verdict}"]
    show(answer, as_json=as_json, lines=lines)
    if not report.whole:
        raise typer.Exit(EXIT_WRONG)


@audit_app.command("export", epilog=EXIT_CODES)
def export_command(
    file: Annotated[Path, typer.Argument(help="New file, one line of JSON an entry.")],
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole log to a file of JSON lines."""
    with place_of(data_folder, key_file, ledger).opened() as store:
        num_entries = _write(store.audit, file)
    show(
        {"file": str(file), "num_entries": num_entries},
        as_json=as_json,
        lines=[f"exported {num_entries} entries to {file}"],
    )


def _write(log: AuditLog, file: Path) -> int:
    num_entries = 0
    try:
        with new_private_file(file) as stream:
            for entry in log.entries():
                num_entries += 1
                stream.write(entry.line().encode() + b"\n")
    except FileExistsError as error:
        raise RequestInvalid(f"{file} exists already; give the name of a new file") from error
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error
    return num_entries


def _lines_of(file: Path) -> Iterator[AuditEntry]:
    try:
        with file.open(encoding="utf-8") as stream:
            for line in stream:
                yield entry_of_line(line)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestInvalid(f"{file} cannot be read as an export of the log") from error


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    app.add_typer(audit_app, name="audit")
