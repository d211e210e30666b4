"""``facegallery-index audit``."""

from pathlib import Path
from typing import Annotated

import typer

from index.audit.exports import read_export, write_export
from index.cli.options import (
    DATA_FOLDER,
    EXIT_CODES,
    EXIT_WRONG,
    DataFolderOption,
    JsonOption,
    audit_anchor,
    database_url,
    show,
)
from index.store.audit_reading import audit_entries, verify_audit

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
    as_json: JsonOption = False,
) -> None:
    """Find entries that were changed, removed, reordered or cut off; also while a service runs."""
    exported = None if file is None else read_export(file)
    report = verify_audit(
        data_folder, database_url=database_url(), anchor=audit_anchor(), exported=exported
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
    as_json: JsonOption = False,
) -> None:
    """Write the whole log to a file of JSON lines; also while a service runs."""
    with audit_entries(data_folder, database_url=database_url()) as entries:
        num_entries = write_export(entries, file)
    show(
        {"file": str(file), "num_entries": num_entries},
        as_json=as_json,
        lines=[f"exported {num_entries} entries to {file}"],
    )


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    app.add_typer(audit_app, name="audit")
