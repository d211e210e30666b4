"""``facegallery templates`` and ``look-alikes``."""

from typing import Annotated

import typer

from index.checks import MAX_PAGE
from service import schemas
from service.commands.asking import all_pages, client_for
from service.commands.options import (
    EXIT_CODES,
    GALLERY,
    DataFolderOption,
    DryRunOption,
    GalleryOption,
    JsonOption,
    KeyOption,
    SubjectArgument,
)
from service.commands.printing import add_row, new_table, print_json, print_line, print_table

templates_app = typer.Typer(no_args_is_help=True, help="What is stored of people's faces.")
look_alikes_app = typer.Typer(
    no_args_is_help=True, help="People whom a photo may not tell apart, such as twins."
)


@templates_app.command("list", epilog=EXIT_CODES)
def list_templates(
    subject_id: SubjectArgument,
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a person's templates, the oldest first."""
    with client_for(data_folder, key) as client:
        pages = all_pages(
            lambda cursor: client.templates(gallery, subject_id, limit=MAX_PAGE, cursor=cursor)
        )
        found = [each for page in pages for each in page.templates]
    if as_json:
        print_json(schemas.TemplatesAnswer(templates=found, next_cursor=None))
        return
    table = new_table("id", "quality", "box", "photo", "since")
    for each in found:
        box = each.box
        edges = ",".join(f"{edge:.0f}" for edge in (box.left, box.top, box.right, box.bottom))
        size = f"{each.width}x{each.height}"
        add_row(
            table, each.id, f"{each.quality:.2f}", edges, size, f"{each.created_at:%Y-%m-%d %H:%M}"
        )
    print_table(table)


@templates_app.command("remove", epilog=EXIT_CODES)
def remove_template(
    template_id: Annotated[
        str, typer.Argument(help="Id of a template, as `templates list` shows it.")
    ],
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove one template; never matched again. Its person stays, even without any."""
    with client_for(data_folder, key) as client:
        removed = client.remove_template(gallery, template_id)
    print_line(
        removed, f"removed; the person has {removed.num_left} templates left", as_json=as_json
    )


@templates_app.command("move", epilog=EXIT_CODES)
def move_templates(
    subject_id: SubjectArgument,
    template_ids: Annotated[list[str], typer.Argument(help="Ids of templates of that person.")],
    to: Annotated[str | None, typer.Option("--to", help="Id of the person who gets them.")] = None,
    to_name: Annotated[
        str | None, typer.Option("--to-name", help="Or the name; made where there is nobody.")
    ] = None,
    dry_run: DryRunOption = False,
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give templates of one person to another, all or none."""
    with client_for(data_folder, key) as client:
        moved = client.move_templates(
            gallery, subject_id, template_ids, to_subject_id=to, to_name=to_name, dry_run=dry_run
        )
    if as_json:
        print_json(moved)
        return
    table = new_table("id", "similarity")
    for each in moved.moved:
        add_row(
            table, each.template_id, None if each.similarity is None else f"{each.similarity:.3f}"
        )
    print_table(table)
    typer.echo(
        f"{'would move' if dry_run else 'moved'}; {moved.num_left} left there, "
        f"{len(moved.dropped_template_ids)} dropped beyond the gallery's limit"
    )


@look_alikes_app.command("list", epilog=EXIT_CODES)
def list_look_alikes(
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the declared pairs by their ids."""
    with client_for(data_folder, key) as client:
        pages = all_pages(
            lambda cursor: client.look_alikes(gallery, limit=MAX_PAGE, cursor=cursor)
        )
        pairs = [each for page in pages for each in page.pairs]
    if as_json:
        print_json(schemas.LookAlikesAnswer(pairs=pairs, next_cursor=None))
        return
    for one, other in pairs:
        typer.echo(f"{one} {other}")


@look_alikes_app.command("add", epilog=EXIT_CODES)
def add_look_alikes(
    one: SubjectArgument,
    other: SubjectArgument,
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Declare two people look-alikes: where both are close, a match becomes a review."""
    with client_for(data_folder, key) as client:
        answer = client.declare_look_alikes(gallery, one, other)
    print_line(
        answer, "declared" if answer.changed else "they were declared already", as_json=as_json
    )


@look_alikes_app.command("remove", epilog=EXIT_CODES)
def remove_look_alikes(
    one: SubjectArgument,
    other: SubjectArgument,
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take such a declaration back."""
    with client_for(data_folder, key) as client:
        answer = client.withdraw_look_alikes(gallery, one, other)
    print_line(
        answer, "withdrawn" if answer.changed else "they were not declared", as_json=as_json
    )
