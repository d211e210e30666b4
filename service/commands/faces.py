"""``facegallery enroll``."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from embedding.choosing import FaceChoice
from embedding.detect import Box
from service import schemas
from service.commands.asking import client_for
from service.commands.options import (
    EXIT_CODES,
    GALLERY,
    BoxOption,
    DataFolderOption,
    FaceOption,
    GalleryOption,
    JsonOption,
    KeyOption,
    leave,
)
from service.commands.people import (
    ConsentOption,
    DaysOption,
    ExpiresOption,
    MetadataOption,
    PurposeOption,
    person_of,
)
from service.commands.photos import (
    OF_ONE_PHOTO,
    Failure,
    failure_of,
    parse_box,
    photos_of_people,
    read_photo,
    shown,
)
from service.commands.printing import add_row, new_table, print_json, print_table, progress_bar


class EnrolledPhoto(BaseModel):
    """What became of one photo on enroll."""

    photo: str
    subject: str
    answer: schemas.EnrollAnswer | None = None
    failure: Failure | None = None


class EnrollReport(BaseModel):
    """What ``enroll --json`` prints."""

    num_enrolled: int
    num_failed: int
    photos: list[EnrolledPhoto]


def enroll(
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True, help="One subfolder a person; with --subject a folder or file of photos."
        ),
    ],
    subject: Annotated[
        str | None, typer.Option("--subject", "-s", help="Whom all the photos show.")
    ] = None,
    gallery: GalleryOption = GALLERY,
    face: FaceOption = "only",
    box: BoxOption = None,
    force: Annotated[bool, typer.Option("--force", help="Take poor faces too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Save nothing.")] = False,
    metadata: MetadataOption = None,
    purpose: PurposeOption = None,
    consent_reference: ConsentOption = None,
    expires_at: ExpiresOption = None,
    expires_in_days: DaysOption = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enroll people from folders of photos; each photo becomes one template."""
    photos = photos_of_people(folder, subject=subject)
    choice: FaceChoice = face
    if box is not None:
        if len(photos) != 1:
            raise typer.BadParameter(f"a box goes with one photo, but {len(photos)} were found")
        left, top, right, bottom = parse_box(box)
        choice = Box(left=left, top=top, right=right, bottom=bottom)
    person = person_of(metadata, purpose, consent_reference, expires_at, expires_in_days)
    done: list[EnrolledPhoto] = []
    try:
        with client_for(data_folder, key) as client, progress_bar(quiet=as_json) as progress:
            for each in progress.track(photos, description="enroll"):
                row = EnrolledPhoto(photo=shown(each.path), subject=shown(each.subject))
                try:
                    row.answer = client.enroll(
                        [read_photo(each.path)],
                        gallery=gallery,
                        subject=each.subject,
                        face=choice,
                        force=force,
                        dry_run=dry_run,
                        person=person,
                    )
                except OF_ONE_PHOTO as error:
                    row.failure = failure_of(error)
                done.append(row)
    finally:
        # After an error too: what was saved until then is saved.
        num_failed = _report_enrolled(done, dry_run=dry_run, as_json=as_json)
    leave(num_failed)


def _report_enrolled(done: list[EnrolledPhoto], *, dry_run: bool, as_json: bool) -> int:
    """Prints what became of the photos, if any was tried; returns how many failed."""
    num_failed = sum(row.failure is not None for row in done)
    report = EnrollReport(
        num_enrolled=0 if dry_run else len(done) - num_failed, num_failed=num_failed, photos=done
    )
    if done and as_json:
        print_json(report)
    elif done:
        _print_enrolled(report, dry_run=dry_run)
    return num_failed


def _print_enrolled(report: EnrollReport, *, dry_run: bool) -> None:
    table = new_table("photo", "subject", "result", "quality", "looks also like")
    for row in report.photos:
        if row.answer is None:
            add_row(table, row.photo, row.subject, row.failure and row.failure.detail, None, None)
            continue
        conflicts = ", ".join(
            [
                *(
                    f"{each.name or each.subject_id} ({each.similarity:.3f})"
                    for each in row.answer.conflicts
                ),
                *(
                    f"not like the subject ({each.similarity:.3f})"
                    for each in row.answer.not_the_subject
                ),
            ]
        )
        quality = ", ".join(f"{face.quality.figure:.2f}" for face in row.answer.faces)
        result = "would be enrolled" if dry_run else "enrolled"
        add_row(table, row.photo, row.subject, result, quality, conflicts)
    print_table(table)
    typer.echo(f"{report.num_enrolled} photos enrolled, {report.num_failed} failed")


def add_to(app: typer.Typer) -> None:
    """Adds this command."""
    app.command(epilog=EXIT_CODES)(enroll)
