"""``facegallery galleries`` and ``models``."""

from typing import Annotated

import typer

from service.commands.options import (
    EXIT_CODES,
    DataFolderOption,
    JsonOption,
    KeyOption,
    add_row,
    client_for,
    new_table,
    print_json,
    print_table,
)

galleries_app = typer.Typer(no_args_is_help=True, help="Galleries: who is looked for together.")
models_app = typer.Typer(no_args_is_help=True, help="The models that galleries are made with.")


@galleries_app.command("list", epilog=EXIT_CODES)
def list_galleries(
    data_folder: DataFolderOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """List the galleries."""
    with client_for(data_folder, key) as client:
        found = client.galleries()
    if as_json:
        print_json(found)
        return
    table = new_table("name", "subjects", "templates", "model", "fingerprint")
    for each in found.galleries:
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
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an empty gallery; it keeps its model for good."""
    with client_for(data_folder, key) as client:
        gallery = client.create_gallery(name, model=model)
    if as_json:
        print_json(gallery)
    else:
        typer.echo(f"created, with model {gallery.model}")


@galleries_app.command("delete", epilog=EXIT_CODES)
def delete_gallery(
    name: Annotated[str, typer.Argument(help="Name of the gallery.")],
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
    if as_json:
        print_json(removed)
    else:
        typer.echo(f"deleted, with {removed.num_templates} templates")


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
