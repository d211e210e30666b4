"""``facegallery-index export`` and ``import``."""

from pathlib import Path
from typing import Annotated

import typer

from embedding.errors import RequestInvalid
from index.cli.options import (
    DATA_FOLDER,
    EXIT_CODES,
    DataFolderOption,
    JsonOption,
    KeyFileOption,
    LedgerOption,
    place_of,
    show,
)
from index.transfer import export_gallery, import_gallery

_SHOWN = 20
"""Ids on a screen; the JSON has all."""


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    app.command("export", epilog=EXIT_CODES)(export_command)
    app.command("import", epilog=EXIT_CODES)(import_command)


def export_command(
    gallery: Annotated[str, typer.Argument(help="Name of the gallery.")],
    file: Annotated[Path, typer.Argument(help="New Parquet file.")],
    clear_text: Annotated[
        bool,
        typer.Option(
            "--clear-text", help="Needed: the file holds templates and names in clear text."
        ),
    ] = False,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a gallery to a Parquet file that other tools can read."""
    if not clear_text:
        raise RequestInvalid(
            "the file will hold templates and names in clear text, for whoever can read it; give "
            "--clear-text if that is meant"
        )
    with place_of(data_folder, key_file, ledger).opened() as store:
        header = export_gallery(store, gallery, file)
    answer = {
        "file": str(file),
        "num_templates": header.count,
        "fingerprint": header.fingerprint,
        "clear_text": True,
    }
    lines = [
        f"exported {header.count} templates to {file}",
        "it is clear text: keep it like the photos, and delete it when it is done with",
    ]
    show(answer, as_json=as_json, lines=lines)


def import_command(
    file: Annotated[Path, typer.Argument(help="Parquet file.")],
    gallery: Annotated[
        str, typer.Option("--gallery", "-g", help="Name of the gallery; made when it is missing.")
    ],
    space: Annotated[
        bool,
        typer.Option("--space", help="Keep a gallery that is made in a secret space of its own."),
    ] = False,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a Parquet file into a gallery, all or nothing, without those who were erased."""
    with place_of(data_folder, key_file, ledger).opened() as store:
        done = import_gallery(store, gallery, file, space=space)
        has_ledger = store.has_ledger
    imported = done.imported
    answer = {
        "created": done.created,
        "num_templates": imported.num_templates,
        "num_subjects": imported.num_subjects,
        "num_present": imported.num_present,
        "num_look_alikes": imported.num_look_alikes,
        "num_merged": imported.num_merged,
        "num_dropped": imported.num_dropped,
        "rules_taken_over": imported.rules_taken_over,
        "left_out": list(done.left_out),
        "has_ledger": has_ledger,
    }
    lines = [
        f"imported {imported.num_templates} templates and {imported.num_subjects} new people; "
        f"{imported.num_present} templates were there already"
    ]
    if imported.num_dropped:
        lines.append(f"{imported.num_dropped} templates went: the gallery keeps no more of one")
    if imported.rules_taken_over:
        lines.append("the gallery decides as the file says; calibrate it")
    if done.left_out:
        lines.append(f"{len(done.left_out)} templates were erased here and are left out:")
        lines += done.left_out[:_SHOWN]
    if not has_ledger:
        lines.append("without a removal ledger nobody could be left out who was erased")
    show(answer, as_json=as_json, lines=lines)
