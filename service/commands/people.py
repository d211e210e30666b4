"""``facegallery subjects``: the people of a gallery."""

import enum
import json
from datetime import datetime
from typing import Annotated

import typer

from embedding.errors import RequestInvalid
from index.checks import MAX_PAGE
from index.details import given_metadata
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
from service.people_calls import Person

subjects_app = typer.Typer(no_args_is_help=True, help="The people of a gallery.")

MetadataOption = Annotated[
    str | None,
    typer.Option(help="JSON object, merged into what is there; null takes a key away."),
]
PurposeOption = Annotated[str | None, typer.Option(help="Why the person is in the gallery.")]
ConsentOption = Annotated[
    str | None, typer.Option(help="Where you keep the person's consent.", metavar="TEXT")
]
ExpiresOption = Annotated[
    str | None,
    typer.Option(help="When the person is erased, such as 2030-01-31T12:00:00Z."),
]
DaysOption = Annotated[
    int | None, typer.Option(min=1, max=36_500, help="Or so many days from now.")
]


class Erasable(enum.StrEnum):
    """What can be taken away of a person."""

    NAME = "name"
    EXTERNAL_ID = "external-id"
    METADATA = "metadata"
    PURPOSE = "purpose"
    CONSENT_REFERENCE = "consent-reference"
    EXPIRES_AT = "expires-at"


@subjects_app.command("list", epilog=EXIT_CODES)
def list_subjects(
    gallery: GalleryOption = GALLERY,
    name: Annotated[str | None, typer.Option(help="Only who is called exactly this.")] = None,
    external_id: Annotated[
        str | None, typer.Option(help="Only who has exactly this id of yours.")
    ] = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the people of a gallery, in the order of their enrollment, or find one."""
    with client_for(data_folder, key) as client:
        pages = all_pages(
            lambda cursor: client.subjects(
                gallery, limit=MAX_PAGE, cursor=cursor, name=name, external_id=external_id
            )
        )
        subjects = [each for page in pages for each in page.subjects]
    if as_json:
        print_json(schemas.SubjectsAnswer(subjects=subjects, next_cursor=None))
        return
    table = new_table("id", "name", "external id", "templates", "since", "until")
    for each in subjects:
        since = f"{each.created_at:%Y-%m-%d %H:%M}"
        until = None if each.expires_at is None else f"{each.expires_at:%Y-%m-%d %H:%M}"
        add_row(table, each.id, each.name, each.external_id, each.num_templates, since, until)
    print_table(table)


@subjects_app.command("show", epilog=EXIT_CODES)
def show_subject(
    subject_id: SubjectArgument,
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a person with all that is kept besides the templates."""
    with client_for(data_folder, key) as client:
        subject = client.subject(gallery, subject_id)
    _print_subject(subject, as_json=as_json)


@subjects_app.command("change", epilog=EXIT_CODES)
def change_subject(
    subject_id: SubjectArgument,
    gallery: GalleryOption = GALLERY,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Another id of yours.")] = None,
    metadata: MetadataOption = None,
    purpose: PurposeOption = None,
    consent_reference: ConsentOption = None,
    expires_at: ExpiresOption = None,
    erase: Annotated[
        list[Erasable] | None, typer.Option(help="What is taken away; may be repeated.")
    ] = None,
    only_version: Annotated[
        str | None,
        typer.Option(help="Only if this is still the person's version, as `show` tells it."),
    ] = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change what a person is called and what is kept besides; what is not given stays."""
    given: dict[str, object] = {
        "name": name,
        "external_id": external_id,
        "metadata": None if metadata is None else given_metadata(metadata),
        "purpose": purpose,
        "consent_reference": consent_reference,
        "expires_at": expires_at,
    }
    patch = {field: value for field, value in given.items() if value is not None}
    for field in erase or ():
        if patch.setdefault(field.replace("-", "_"), None) is not None:
            raise typer.BadParameter(f"{field.value} cannot be given and erased at once")
    if not patch:
        raise typer.BadParameter("say what is to be changed")
    with client_for(data_folder, key) as client:
        subject = client.change_subject(gallery, subject_id, patch, version=only_version)
    _print_subject(subject, as_json=as_json)


@subjects_app.command("remove", epilog=EXIT_CODES)
def remove_subject(
    subject_id: SubjectArgument,
    gallery: GalleryOption = GALLERY,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a person with all templates; never matched again from then on."""
    with client_for(data_folder, key) as client:
        removed = client.remove_subject(gallery, subject_id)
    print_line(removed, f"removed, with {removed.num_templates} templates", as_json=as_json)


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


def person_of(
    metadata: str | None,
    purpose: str | None,
    consent_reference: str | None,
    expires_at: str | None,
    expires_in_days: int | None,
) -> Person:
    """What the options of an enroll say of a person.

    Raises:
        RequestInvalid: metadata that are no JSON object, or an expiry that is no time.
    """
    person = Person()
    if metadata is not None:
        person["metadata"] = given_metadata(metadata)
    if purpose is not None:
        person["purpose"] = purpose
    if consent_reference is not None:
        person["consent_reference"] = consent_reference
    if expires_at is not None:
        try:
            person["expires_at"] = datetime.fromisoformat(expires_at)
        except ValueError:
            raise RequestInvalid(
                "the expiry must be a time with a time zone, such as 2030-01-31T12:00:00Z"
            ) from None
    if expires_in_days is not None:
        person["expires_in_days"] = expires_in_days
    return person


def _print_subject(subject: schemas.SubjectAnswer, *, as_json: bool) -> None:
    if as_json:
        print_json(subject)
        return
    table = new_table("field", "value")
    for field, value in subject.model_dump(mode="json").items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
        add_row(table, field.replace("_", " "), shown)
    print_table(table)
