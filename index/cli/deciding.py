"""``facegallery-index rules``, ``look-alikes`` and ``ageing``: how a gallery decides."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from embedding.errors import GalleryNotFound
from index.ageing import Ageing, due
from index.cli.options import (
    DATA_FOLDER,
    EXIT_CODES,
    DataFolderOption,
    JsonOption,
    KeyFileOption,
    LedgerOption,
    opened_galleries,
    place_of,
    show,
)
from index.fusion import FUSION_RULES
from index.rules import GalleryRules
from index.store.gallery_store import GalleryStore

look_alikes_app = typer.Typer(
    no_args_is_help=True, help="Subjects that a photo may not tell apart, such as twins."
)

GalleryArgument = Annotated[str, typer.Argument(help="Name of the gallery.")]
SubjectArgument = Annotated[str, typer.Argument(help="Id of a subject.")]


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    app.command("rules", epilog=EXIT_CODES)(rules_command)
    app.add_typer(look_alikes_app, name="look-alikes")
    app.command("ageing", epilog=EXIT_CODES)(ageing_command)


def rules_command(
    gallery: GalleryArgument,
    fusion: Annotated[
        str | None,
        typer.Option(
            help="How the templates of a subject become one similarity: "
            f"{', '.join(FUSION_RULES)}. Calibrate the gallery afterwards."
        ),
    ] = None,
    max_templates: Annotated[
        int | None,
        typer.Option(min=0, help="So many of a subject stay, those of best quality; 0 for all."),
    ] = None,
    smallest_lead: Annotated[
        float | None,
        typer.Option(help="By how much a match must lead over the second, or be reviewed."),
    ] = None,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a gallery decides, or choose it."""
    with _store_of(gallery, data_folder, key_file, ledger) as store:
        rules = store.rules()
        chosen = rules
        if fusion is not None:
            chosen = replace(chosen, fusion=fusion)
        if max_templates is not None:
            chosen = replace(chosen, max_templates=max_templates or None)
        if smallest_lead is not None:
            chosen = replace(chosen, smallest_lead=smallest_lead)
        store.set_rules(chosen)
    lines = [
        f"fusion: {chosen.fusion}",
        f"most templates of a subject: {chosen.max_templates or 'all'}",
        f"smallest lead of a match: {chosen.smallest_lead:g}",
    ]
    if chosen.fusion != GalleryRules().fusion:
        lines.append(
            "thresholds of a model's card are measured for the maximum: calibrate the gallery"
        )
    show(asdict(chosen), as_json=as_json, lines=lines)


@look_alikes_app.command("list", epilog=EXIT_CODES)
def list_command(
    gallery: GalleryArgument,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the pairs by their ids."""
    with _store_of(gallery, data_folder, key_file, ledger) as store:
        pairs = store.look_alikes()
    lines = [f"{one} {other}" for one, other in pairs] or ["none were declared"]
    show({"look_alikes": pairs}, as_json=as_json, lines=lines)


@look_alikes_app.command("add", epilog=EXIT_CODES)
def add_command(
    gallery: GalleryArgument,
    one: SubjectArgument,
    other: SubjectArgument,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Declare two subjects look-alikes: where both are close, a match becomes a review."""
    with _store_of(gallery, data_folder, key_file, ledger) as store:
        new = store.declare_look_alikes(one, other) is not None
    line = "declared" if new else "they were declared already"
    show({"declared": new}, as_json=as_json, lines=[line])


@look_alikes_app.command("remove", epilog=EXIT_CODES)
def remove_command(
    gallery: GalleryArgument,
    one: SubjectArgument,
    other: SubjectArgument,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a declaration back."""
    with _store_of(gallery, data_folder, key_file, ledger) as store:
        was_there = store.withdraw_look_alikes(one, other) is not None
    line = "withdrawn" if was_there else "they were not declared"
    show({"withdrawn": was_there}, as_json=as_json, lines=[line])


def ageing_command(
    gallery: GalleryArgument,
    older_than_days: Annotated[
        float, typer.Option(min=0, help="Ask for new photos when the newest is older.")
    ] = 1826,
    gap_over: Annotated[
        float,
        typer.Option(
            help="Or when older and newer photos are less alike, by this, than each among "
            "themselves."
        ),
    ] = 0.2,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the subjects of whom new photos should be enrolled."""
    with opened_galleries(place_of(data_folder, key_file, ledger), upkeep=False) as galleries:
        found = list(
            due(
                galleries.get(gallery),
                now=datetime.now(UTC),
                max_age=timedelta(days=older_than_days),
                max_gap=gap_over,
            )
        )
    lines = [_line(each) for each in found] or ["nobody's templates are due"]
    show({"due": [_fields(each) for each in found]}, as_json=as_json, lines=lines)


def _fields(ageing: Ageing) -> dict[str, object]:
    return {
        "subject_id": ageing.subject_id,
        "num_templates": ageing.num_templates,
        "oldest_days": _days(ageing.oldest),
        "newest_days": _days(ageing.newest),
        "mated": [round(each, 4) for each in ageing.mated],
        "gap": None if ageing.gap is None else round(ageing.gap, 4),
    }


def _days(age: timedelta | None) -> float | None:
    return None if age is None else round(age / timedelta(days=1), 2)


def _line(ageing: Ageing) -> str:
    gap = "" if ageing.gap is None else f", gap {ageing.gap:.3f}"
    return (
        f"{ageing.subject_id}: {ageing.num_templates} templates, the newest "
        f"{_days(ageing.newest)} days old{gap}"
    )


@contextmanager
def _store_of(
    name: str, data_folder: Path, key_file: Path | None, ledger: Path | None
) -> Iterator[GalleryStore]:
    """A gallery in SQL; no vectors are loaded."""
    with place_of(data_folder, key_file, ledger).opened() as store:
        for stored in store.galleries():
            if stored.name == name:
                yield store.gallery_store(stored)
                return
        raise GalleryNotFound("no gallery with this name; give the name of one that is there")
