"""``facegallery-index audit``."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from index.cli.options import (
    DATA_FOLDER,
    EXIT_CODES,
    EXIT_WRONG,
    DataFolderOption,
    JsonOption,
    KeyFileOption,
    LedgerOption,
    audit_anchor,
    database_url,
    place_of,
    show,
)
from index.store.audit_reading import export_audit, verify_audit, verify_exports
from index.store.tables import utc_now

audit_app = typer.Typer(
    no_args_is_help=True, help="The log of who did what: verified, written to a file, cut."
)


@audit_app.command("verify", epilog=EXIT_CODES)
def verify_command(
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            help="Verify this export instead of the database; several follow one another.",
        ),
    ] = None,
    data_folder: DataFolderOption = DATA_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Find entries that were changed, removed, reordered or cut off; also while a service runs."""
    if files:
        report = verify_exports(data_folder, files, database_url=database_url())
    else:
        report = verify_audit(data_folder, database_url=database_url(), anchor=audit_anchor())
    verdict = "all is well" if report.whole else f"{len(report.findings)} things are wrong"
    answer = {
        "whole": report.whole,
        "num_entries": report.num_entries,
        "begins_after": report.cut.count,
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
    num_entries = export_audit(data_folder, file, database_url=database_url())
    show(
        {"file": str(file), "num_entries": num_entries},
        as_json=as_json,
        lines=[f"exported {num_entries} entries to {file}"],
    )


@audit_app.command("cut", epilog=EXIT_CODES)
def cut_command(
    days: Annotated[
        float | None,
        typer.Option("--days", min=0, help="Cut off what is older than so many days."),
    ] = None,
    through: Annotated[
        int | None, typer.Option("--through", min=1, help="Cut off up to this number.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="New file that gets the entries first.")
    ] = None,
    discard: Annotated[
        bool, typer.Option("--discard", help="Keep nothing of them, instead of a file.")
    ] = False,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take old entries off the beginning of the log, so that the rest can be verified still."""
    if (days is None) == (through is None):
        raise typer.BadParameter("give either --days or --through")
    if (file is None) != discard:
        raise typer.BadParameter("give either --file or --discard")
    before = None if days is None else utc_now() - timedelta(days=days)
    with place_of(data_folder, key_file, ledger).opened() as store:
        cut = store.audit.cuts.cut(file=file, before=before, through=through)
    written = None if file is None or not file.exists() else str(file)
    show(
        {"begins_after": cut.count, "file": written},
        as_json=as_json,
        lines=[f"the log begins after entry {cut.count}"],
    )


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    app.add_typer(audit_app, name="audit")
