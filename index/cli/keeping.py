"""``facegallery-index check``, ``backup``, ``restore`` and ``purge``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from embedding.errors import StoreError
from index.backup.restoring import restore
from index.backup.saving import save
from index.cli.options import (
    DATA_FOLDER,
    EXIT_CODES,
    EXIT_WRONG,
    DataFolderOption,
    JsonOption,
    KeyFileOption,
    LedgerOption,
    database_url,
    opened_galleries,
    place_of,
    show,
)
from index.findings import Report
from index.inspection import inspect

_NOT_IN_IT = (
    "The sealing key and the removal ledger are not in it: keep the key in another place, and "
    "always the newest ledger."
)


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    for name, command in (
        ("check", check_command),
        ("backup", backup_command),
        ("restore", restore_command),
        ("purge", purge_command),
    ):
        app.command(name, epilog=EXIT_CODES)(command)


def check_command(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Count anew, delete snapshots that cannot be used and what is left."
        ),
    ] = False,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify everything: database, templates, counters, change log, snapshots, ledger, files."""
    report = inspect(place_of(data_folder, key_file, ledger), repair=repair)
    show(_checked(report), as_json=as_json, lines=_lines(report))
    if not report.whole:
        raise typer.Exit(EXIT_WRONG)


def backup_command(
    to: Annotated[Path, typer.Argument(help="New folder to write the backup into.")],
    data_folder: DataFolderOption = DATA_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Write a backup, also while a service runs; without sealing key and removal ledger."""
    manifest = save(data_folder, to, database_url=database_url())
    held = manifest.summary
    templates = sum(each.num_templates for each in held.galleries)
    lines = [
        f"saved {len(held.galleries)} galleries with {templates} templates to {to}",
        _NOT_IN_IT,
    ]
    if manifest.database == "postgresql":
        lines.insert(
            1, "It holds the secrets only: save the database's tables with pg_dump, now too."
        )
    if held.key_id is not None:
        lines.append(f"It opens with key {held.key_id} only.")
    answer = {
        "backup": str(to),
        "made_at": manifest.made_at.isoformat(),
        "database": manifest.database,
        "files": [each.name for each in manifest.files],
        "not_in_it": ["sealing key", "removal ledger"],
        **asdict(held),
    }
    show(answer, as_json=as_json, lines=lines)


def restore_command(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="Folder of the backup.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Also where the folder holds something, kept aside then."),
    ] = False,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup into the data folder, carry removals out again, and check it."""
    done = restore(source, place_of(data_folder, key_file, ledger), replace=replace)
    replaced = None if done.replaced is None else str(done.replaced)
    lines = [f"restored the backup of {done.manifest.made_at:%Y-%m-%d %H:%M:%S} UTC"]
    lines += _lines(done.report)
    if replaced is not None:
        lines.append(f"what was there before is in {replaced}; delete it when all is well")
    answer = {
        "made_at": done.manifest.made_at.isoformat(),
        "replaced": replaced,
        **_checked(done.report),
    }
    show(answer, as_json=as_json, lines=lines)


def purge_command(
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="On PostgreSQL write the tables anew; readers wait meanwhile."
        ),
    ] = False,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take what was removed out of database, log and snapshots now."""
    with opened_galleries(place_of(data_folder, key_file, ledger)) as galleries:
        if not galleries.maintain(full=full):
            raise StoreError(
                "a service is writing a snapshot that may hold what was removed; run it again"
            )
    show({"purged": True}, as_json=as_json, lines=["what was removed is purged"])


def _checked(report: Report) -> dict[str, object]:
    return {
        "whole": report.whole,
        "num_galleries": report.num_galleries,
        "num_templates": report.num_templates,
        "num_removals_carried_out": report.num_removals_carried_out,
        "num_findings": report.num_findings,
        "num_repaired": report.num_repaired,
        "findings": [
            {
                "kind": each.kind,
                "problem": each.problem,
                "repaired": each.repaired,
                "advice": each.advice,
            }
            for each in report.findings
        ],
    }


def _lines(report: Report) -> list[str]:
    lines = [
        f"{each.kind}: {each.problem}: {'repaired' if each.repaired else each.advice}"
        for each in report.findings
    ]
    if report.num_findings > len(report.findings):
        lines.append(f"and {report.num_findings - len(report.findings)} more")
    if report.num_removals_carried_out:
        lines.append(f"carried out {report.num_removals_carried_out} removals of the ledger again")
    wrong = report.num_findings - report.num_repaired
    verdict = "all is well" if report.whole else f"{wrong} things are wrong"
    lines.append(
        f"checked {report.num_galleries} galleries with {report.num_templates} templates: "
        f"{verdict}"
    )
    return lines
