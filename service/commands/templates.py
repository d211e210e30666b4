"""``facegallery templates``, ``look-alikes``, ``subjects merge``, ``galleries show`` and so on."""

from typing import Annotated

import typer

from service import schemas
from service.commands.galleries import galleries_app
from service.commands.options import (
    EXIT_CODES,
    GALLERY,
    DataFolderOption,
    GalleryOption,
    JsonOption,
    KeyOption,
    add_row,
    client_for,
    new_table,
    print_json,
    print_table,
)
from service.commands.people import PAGE, subjects_app

templates_app = typer.Typer(no_args_is_help=True, help="What is stored of people's faces.")
look_alikes_app = typer.Typer(
    no_args_is_help=True, help="People whom a photo may not tell apart, such as twins."
)

SubjectArgument = Annotated[
    str, typer.Argument(help="Id of a person, as `subjects list` shows it.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing; show what would be done.")
]


@templates_app.command("list", epilog=EXIT_CODES)
def list_templates(
    subject_id: SubjectArgument,
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a person's templates, the oldest first."""
    found: list[schemas.TemplateAnswer] = []
    cursor: str | None = None
    with client_for(data_folder, key) as client:
        while True:
            page = client.templates(gallery, subject_id, limit=PAGE, cursor=cursor)
            found += page.templates
            cursor = page.next_cursor
            if cursor is None:
                break
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
    if as_json:
        print_json(removed)
    else:
        typer.echo(f"removed; the person has {removed.num_left} templates left")


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


@subjects_app.command("merge", epilog=EXIT_CODES)
def merge_subjects(
    subject_id: SubjectArgument,
    into: Annotated[str, typer.Argument(help="Id of the person who stays.")],
    dry_run: DryRunOption = False,
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give all templates of one person to another, and delete the one; cannot be undone."""
    with client_for(data_folder, key) as client:
        merged = client.merge_subjects(gallery, subject_id, into=into, dry_run=dry_run)
    if as_json:
        print_json(merged)
        return
    similarity = "none" if merged.similarity is None else f"{merged.similarity:.3f}"
    typer.echo(
        f"{'would merge' if dry_run else 'merged'} {merged.num_templates} templates, the nearest "
        f"two at similarity {similarity}; {len(merged.dropped_template_ids)} dropped beyond the "
        f"gallery's limit"
    )


@look_alikes_app.command("list", epilog=EXIT_CODES)
def list_look_alikes(
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the declared pairs by their ids."""
    pairs: list[tuple[str, str]] = []
    cursor: str | None = None
    with client_for(data_folder, key) as client:
        while True:
            page = client.look_alikes(gallery, limit=PAGE, cursor=cursor)
            pairs += page.pairs
            cursor = page.next_cursor
            if cursor is None:
                break
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
    if as_json:
        print_json(answer)
    else:
        typer.echo("declared" if answer.changed else "they were declared already")


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
    if as_json:
        print_json(answer)
    else:
        typer.echo("withdrawn" if answer.changed else "they were not declared")


@galleries_app.command("show", epilog=EXIT_CODES)
def show_gallery(
    name: Annotated[str, typer.Argument(help="Name of the gallery.")],
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
    name: Annotated[str, typer.Argument(help="Name of the gallery.")],
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
