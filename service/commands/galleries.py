"""``facegallery galleries`` and ``models``."""

from pathlib import Path
from typing import Annotated

import typer

from embedding.errors import RequestInvalid
from index.checks import MAX_PAGE
from index.private_files import new_private_file
from service import schemas
from service.commands.asking import all_pages, client_for
from service.commands.options import (
    EXIT_CODES,
    DataFolderOption,
    GalleryArgument,
    JsonOption,
    KeyOption,
)
from service.commands.printing import add_row, new_table, print_json, print_line, print_table

galleries_app = typer.Typer(no_args_is_help=True, help="Galleries: who is looked for together.")
models_app = typer.Typer(no_args_is_help=True, help="The models that galleries are made with.")


@galleries_app.command("list", epilog=EXIT_CODES)
def list_galleries(
    data_folder: DataFolderOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """List the galleries."""
    with client_for(data_folder, key) as client:
        pages = all_pages(lambda cursor: client.galleries(limit=MAX_PAGE, cursor=cursor))
        found = [each for page in pages for each in page.galleries]
    if as_json:
        print_json(schemas.GalleriesAnswer(galleries=found, next_cursor=None))
        return
    table = new_table("name", "subjects", "templates", "model", "fingerprint")
    for each in found:
        model = each.model or "not installed"
        add_row(
            table, each.name, each.num_subjects, each.num_templates, model, each.fingerprint[:12]
        )
    print_table(table)


@galleries_app.command("create", epilog=EXIT_CODES)
def create_gallery(
    name: Annotated[str, typer.Argument(help="1 to 255 of A-Z a-z 0-9 . _ -")],
    model: Annotated[
        str | None, typer.Option(help="Name or fingerprint of a model; the default one if absent.")
    ] = None,
    space: Annotated[
        bool,
        typer.Option(
            "--space", help="Keep its vectors in a secret space of their own; needs sealing."
        ),
    ] = False,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an empty gallery; it keeps its model for good."""
    with client_for(data_folder, key) as client:
        gallery = client.create_gallery(name, model=model, space=space)
    print_line(gallery, f"created, with model {gallery.model}", as_json=as_json)


@galleries_app.command("show", epilog=EXIT_CODES)
def show_gallery(
    name: GalleryArgument,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a gallery's size, model, rules and calibration."""
    with client_for(data_folder, key) as client:
        found = client.gallery(name)
    _print_gallery(found, as_json=as_json)


@galleries_app.command("change", epilog=EXIT_CODES)
def change_gallery(
    name: GalleryArgument,
    new_name: Annotated[
        str | None, typer.Option("--name", help="Another name; by itself, without the others.")
    ] = None,
    fusion: Annotated[
        str | None,
        typer.Option(help="How the templates of a person become one similarity; calibrate then."),
    ] = None,
    max_templates: Annotated[
        int | None,
        typer.Option(min=0, help="So many of a person stay, those of best quality; 0 for all."),
    ] = None,
    smallest_lead: Annotated[
        float | None,
        typer.Option(help="By how much a match must lead over the second, or be reviewed."),
    ] = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a gallery another name, or choose how it decides; keys follow the name."""
    with client_for(data_folder, key) as client:
        changed = client.change_gallery(
            name,
            new_name=new_name,
            fusion=fusion,
            max_templates=max_templates,
            smallest_lead=smallest_lead,
        )
    _print_gallery(changed, as_json=as_json)


@galleries_app.command("delete", epilog=EXIT_CODES)
def delete_gallery(
    name: GalleryArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a gallery with all its people."""
    if not yes:
        typer.confirm(f"Delete gallery {name} with all its people?", abort=True, err=True)
    with client_for(data_folder, key) as client:
        removed = client.delete_gallery(name)
    print_line(removed, f"deleted, with {removed.num_templates} templates", as_json=as_json)


@galleries_app.command("export", epilog=EXIT_CODES)
def export_gallery(
    name: GalleryArgument,
    file: Annotated[Path, typer.Argument(help="New Parquet file.")],
    clear_text: Annotated[
        bool,
        typer.Option(
            "--clear-text", help="Needed: the file holds templates and names in clear text."
        ),
    ] = False,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
) -> None:
    """Write a gallery to a Parquet file, also through a running service that allows it."""
    if not clear_text:
        raise RequestInvalid(
            "the file will hold templates and names in clear text, for whoever can read it; give "
            "--clear-text if that is meant"
        )
    try:
        with client_for(data_folder, key) as client, new_private_file(file) as stream:
            client.export_gallery(name, stream)
    except FileExistsError as error:
        raise RequestInvalid(f"{file} exists already; give the name of a new file") from error
    except OSError as error:
        raise RequestInvalid(f"{file} cannot be written: {error.strerror}") from error
    typer.echo(f"exported to {file}, in clear text: keep it like the photos")


@galleries_app.command("import", epilog=EXIT_CODES)
def import_gallery(
    name: Annotated[str, typer.Argument(help="Name of a gallery that is there.")],
    file: Annotated[Path, typer.Argument(help="Parquet file.")],
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a Parquet file into a gallery, all or nothing, without those who were erased."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RequestInvalid(f"{file} cannot be read: {error.strerror}") from error
    with client_for(data_folder, key) as client:
        done = client.import_gallery(name, content)
    if as_json:
        print_json(done)
        return
    typer.echo(
        f"imported {done.num_templates} templates and {done.num_subjects} new people; "
        f"{done.num_present} templates were there already"
    )
    if done.num_dropped:
        typer.echo(f"{done.num_dropped} templates went: the gallery keeps no more of one person")
    if done.rules_taken_over:
        typer.echo("the gallery decides as the file says; calibrate it")
    if done.num_left_out:
        typer.echo(f"{done.num_left_out} templates were erased here and are left out")
    if not done.has_ledger:
        typer.echo("without a removal ledger nobody could be left out who was erased")


@models_app.command("list", epilog=EXIT_CODES)
def list_models(
    data_folder: DataFolderOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """List the installed models."""
    with client_for(data_folder, key) as client:
        found = client.models()
    if as_json:
        print_json(found)
        return
    table = new_table("name", "for new galleries", "fingerprint", "licence")
    for each in found.models:
        add_row(
            table, each.name, "yes" if each.default else "", each.fingerprint[:12], each.licence
        )
    print_table(table)


def _print_gallery(found: schemas.GalleryDetailsAnswer, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    calibration = found.calibration
    state = "never calibrated"
    if calibration is not None:
        state = f"calibrated {calibration.made_at:%Y-%m-%d}"
        state += "" if calibration.in_force else ", not in force"
        state += ", stale" if calibration.stale else ""
    match = "none" if found.match is None else f"{found.match.value:.3f}"
    for line in (
        f"name: {found.name}",
        f"subjects: {found.num_subjects}, templates: {found.num_templates}",
        f"model: {found.model or 'not installed'} ({found.fingerprint[:12]})",
        f"a space of its own: {'yes' if found.space else 'no'}",
        f"fusion: {found.rules.fusion}",
        f"most templates of a person: {found.rules.max_templates or 'all'}",
        f"smallest lead of a match: {found.rules.smallest_lead:g}",
        f"match from: {match}; {state}",
    ):
        typer.echo(line)
