"""``facegallery identify``."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import BaseModel

from service import schemas
from service.client import Client
from service.commands.asking import client_for
from service.commands.options import (
    EXIT_CODES,
    GALLERY,
    DataFolderOption,
    JsonOption,
    KeyOption,
    leave,
)
from service.commands.photos import (
    OF_ONE_PHOTO,
    Failure,
    box_or,
    failure_of,
    read_photo,
    shown,
)
from service.commands.printing import add_row, new_table, print_json, print_table, progress_bar
from service.identifying import FacesChoice

Answer = schemas.IdentifyAnswer | schemas.IdentifyAcrossAnswer


class IdentifiedPhoto(BaseModel):
    """What became of one photo on identify."""

    photo: str
    answer: Answer | None = None
    failure: Failure | None = None


class IdentifyReport(BaseModel):
    """What ``identify --json`` prints."""

    num_failed: int
    photos: list[IdentifiedPhoto]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked about each photo."""

    galleries: Sequence[str]
    turns: bool
    num_candidates: int
    face: FacesChoice
    fpir: float | None
    threshold: float | None

    def asked_of(self, client: Client, photo: bytes) -> Answer:
        """The answer about one photo: of one gallery, or of several."""
        if len(self.galleries) == 1:
            return client.identify(
                photo,
                gallery=self.galleries[0],
                turns=self.turns,
                num_candidates=self.num_candidates,
                face=self.face,
                fpir=self.fpir,
                threshold=self.threshold,
            )
        return client.identify_across(
            photo,
            galleries=self.galleries,
            turns=self.turns,
            num_candidates=self.num_candidates,
            face=self.face,
            fpir=self.fpir,
            threshold=self.threshold,
        )


def identify(
    photos: Annotated[list[Path], typer.Argument(help="Photos to look at.", show_default=False)],
    galleries: Annotated[
        list[str] | None,
        typer.Option(
            "--gallery", "-g", help="Name of the gallery (default); again for several at once."
        ),
    ] = None,
    turns: Annotated[
        bool,
        typer.Option(
            "--turns", help="Try quarter turns when no face is found, or none surely upright."
        ),
    ] = False,
    num_candidates: Annotated[
        int, typer.Option(min=1, max=100, help="Candidates for each face, in the JSON.")
    ] = 5,
    face: Annotated[
        Literal["all", "only", "largest"],
        typer.Option(help="Which faces: all, the only one, or the largest."),
    ] = "all",
    box: Annotated[
        str | None, typer.Option(help="Or the face at left,top,right,bottom in pixels.")
    ] = None,
    fpir: Annotated[
        float | None, typer.Option(help="Rate that a match is to stand for, in each gallery.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Or the smallest similarity of a match.")
    ] = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell who is in photos: a match, one to review, or unknown. Nothing is saved."""
    question = _Question(
        galleries=galleries or [GALLERY],
        turns=turns,
        num_candidates=num_candidates,
        face=box_or(face, box),
        fpir=fpir,
        threshold=threshold,
    )
    with client_for(data_folder, key) as client, progress_bar(quiet=as_json) as progress:
        done = [
            _identify_one(client, path, question)
            for path in progress.track(photos, description="identify")
        ]
    num_failed = sum(row.failure is not None for row in done)
    if as_json:
        print_json(IdentifyReport(num_failed=num_failed, photos=done))
    else:
        _print_identified(done, several=len(question.galleries) > 1)
    leave(num_failed)


def _identify_one(client: Client, path: Path, question: _Question) -> IdentifiedPhoto:
    row = IdentifiedPhoto(photo=shown(path))
    try:
        row.answer = question.asked_of(client, read_photo(path))
    except OF_ONE_PHOTO as error:
        row.failure = failure_of(error)
    return row


def _print_identified(rows: Sequence[IdentifiedPhoto], *, several: bool) -> None:
    last = "gallery" if several else "threshold"
    table = new_table("photo", "face", "decision", "subject", "similarity", last)
    for row in rows:
        if row.answer is None:
            add_row(table, row.photo, None, row.failure and row.failure.detail, None, None, None)
        elif not row.answer.faces:
            add_row(table, row.photo, None, "no face", None, None, None)
        else:
            for cells in _cells(row.answer):
                add_row(table, row.photo, *cells)
    print_table(table)
    _print_notes(rows)


def _cells(answer: Answer) -> Iterator[tuple[object, ...]]:
    """What a face's row shows beside the photo."""
    for face in answer.faces:
        box = face.box
        if isinstance(answer, schemas.IdentifyAnswer) and isinstance(face, schemas.IdentifiedFace):
            last: str | None = f"{face.match_threshold or answer.match.value:.3f}"
        else:
            last = face.gallery if isinstance(face, schemas.AcrossFace) else None
        yield (
            f"{box.left:.0f},{box.top:.0f},{box.right:.0f},{box.bottom:.0f}",
            face.decision + (f" ({', '.join(face.reasons)})" if face.reasons else ""),
            face.subject and (face.subject.name or face.subject.id),
            None if face.similarity is None else f"{face.similarity:.3f}",
            last,
        )


def _print_notes(rows: Iterable[IdentifiedPhoto]) -> None:
    """Says once of each gallery why it should be calibrated again, and what several add up to."""
    notes = set()
    for row in rows:
        answer = row.answer
        if isinstance(answer, schemas.IdentifyAcrossAnswer):
            notes.add(
                f"asked of {len(answer.galleries)} galleries: at most {answer.fpir:.2%} of "
                "strangers are named in any of them"
            )
        searched: Sequence[schemas.IdentifyAnswer | schemas.SearchedGalleryAnswer] = (
            answer.galleries
            if isinstance(answer, schemas.IdentifyAcrossAnswer)
            else [answer]
            if answer is not None
            else []
        )
        notes |= {
            f"gallery {each.gallery}: its calibration is stale: {reason}"
            for each in searched
            if each.calibration is not None
            for reason in each.calibration.reasons
        }
    for note in sorted(notes):
        typer.echo(note, err=True)


def add_to(app: typer.Typer) -> None:
    """Adds this command."""
    app.command(epilog=EXIT_CODES)(identify)
