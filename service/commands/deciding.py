"""``facegallery verify``, ``facegallery calibrate`` and ``facegallery threshold``."""

from pathlib import Path
from typing import Annotated

import typer

from service import schemas
from service.commands.asking import client_for
from service.commands.options import (
    EXIT_CODES,
    BoxOption,
    DataFolderOption,
    FaceOption,
    GalleryArgument,
    JsonOption,
    KeyOption,
)
from service.commands.photos import box_or, read_photo
from service.commands.printing import add_row, new_table, print_json, print_table


def verify(
    photo: Annotated[Path, typer.Argument(help="A photo.", show_default=False)],
    other: Annotated[
        Path | None, typer.Argument(help="Another one; none with a subject.", show_default=False)
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", "-s", help="Name of whom to compare with.")
    ] = None,
    subject_id: Annotated[str | None, typer.Option(help="Or the subject's id.")] = None,
    gallery: Annotated[
        str | None, typer.Option("--gallery", "-g", help="Of the subject (default).")
    ] = None,
    face: FaceOption = "only",
    box: BoxOption = None,
    far: Annotated[
        float | None, typer.Option(help="False accept rate that a match is to stand for.")
    ] = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whether two photos, or a photo and a subject, are one person. Nothing is saved."""
    paths = [photo] if other is None else [photo, other]
    with client_for(data_folder, key) as client:
        answer = client.verify(
            [read_photo(each) for each in paths],
            gallery=gallery,
            subject=subject,
            subject_id=subject_id,
            face=box_or(face, box),
            far=far,
        )
    if as_json:
        print_json(answer)
        return
    table = new_table("decision", "similarity", "match from", "review from", "FAR", "subject")
    add_row(
        table,
        answer.decision,
        f"{answer.similarity:.3f}",
        f"{answer.match.value:.3f}",
        f"{answer.review.value:.3f}",
        f"{answer.match.far:g}" + (" (extrapolated)" if answer.match.extrapolated else ""),
        answer.subject and (answer.subject.name or answer.subject.id),
    )
    print_table(table)


def calibrate(
    gallery: GalleryArgument,
    fpirs: Annotated[
        list[float] | None,
        typer.Option("--fpir", help="Wanted rate beside those in use; may be given again."),
    ] = None,
    max_probes: Annotated[
        int | None,
        typer.Option("--max-probes", help="At most so many searches of the gallery by itself."),
    ] = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a gallery's thresholds on itself, and keep them: they decide from then on."""
    with client_for(data_folder, key) as client:
        answer = client.calibrate(gallery, fpirs=fpirs or (), max_probes=max_probes)
    _show(answer, as_json=as_json)


def threshold(
    gallery: GalleryArgument,
    fpir: Annotated[
        float | None, typer.Option("--fpir", help="Wanted rate; the one in use if absent.")
    ] = None,
    data_folder: DataFolderOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell the threshold for a wanted FPIR, and what it was measured on."""
    with client_for(data_folder, key) as client:
        answer = client.threshold(gallery, fpir=fpir)
    _show(answer, as_json=as_json)


def _show(answer: schemas.GalleryThresholdAnswer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    table = new_table("decision", "from", "interval", "FPIR", "at N", "measured on")
    for decision, each in (("match", answer.match), ("review", answer.review)):
        add_row(
            table,
            decision,
            f"{each.value:.3f}",
            f"{each.low:.3f} to {each.high:.3f}",
            f"{each.fpir:g}" + (" (extrapolated)" if each.extrapolated else ""),
            answer.num_subjects,
            _source(answer),
        )
    print_table(table)
    for reason in answer.reasons:
        typer.echo(f"gallery {answer.gallery}: {reason}", err=True)


def _source(answer: schemas.GalleryThresholdAnswer) -> str:
    if answer.source == "card" or answer.calibration is None:
        return f"other people, by model {answer.model.name}"
    made = answer.calibration
    return f"{made.num_probes} searches, {made.made_at:%Y-%m-%d}"


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (verify, calibrate, threshold):
        app.command(epilog=EXIT_CODES)(command)
