"""``python -m index re-embed``: the command, and what it prints."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from index.batch.build import LOT_SIZE, BuildOptions
from index.batch.models import named_model, open_model
from index.batch.options import (
    AlignedOption,
    FolderOption,
    GalleryOption,
    ModelsFolderOption,
    OutsideOption,
    RootOption,
    SourceArgument,
    TurnsOption,
    WorkersOption,
)
from index.batch.progress import shown_progress
from index.batch.reembed import ReEmbedded, ReEmbedOptions, reembed
from index.batch.sources.opening import open_source
from index.batch.sources.source import SourceRules
from index.batch.stages import FaceRules
from index.batch.tally import Tally
from index.cli.options import (
    DATA_FOLDER,
    EXIT_WRONG,
    JsonOption,
    KeyFileOption,
    LedgerOption,
    opened_galleries,
    place_of,
    show,
)

_SHOWN = 20


def reembed_command(
    source: SourceArgument,
    gallery: GalleryOption,
    model: Annotated[
        str, typer.Option("--model", help="Name or folder of the model that is to be used.")
    ],
    data_folder: FolderOption = DATA_FOLDER,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Switch over even if templates are missing.")
    ] = False,
    switch: Annotated[
        bool, typer.Option("--switch/--no-switch", help="Switch over at the end.")
    ] = True,
    delete_old: Annotated[
        bool, typer.Option("--delete-old", help="Delete the old gallery after the switch.")
    ] = False,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", help="New CSV file for the old and new ids of subjects."),
    ] = None,
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Delete what was filled so far, and do no more.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Only try those photos again that failed.")
    ] = False,
    aligned: AlignedOption = False,
    turns: TurnsOption = True,
    root: RootOption = None,
    outside: OutsideOption = False,
    old_state: Annotated[
        Path | None,
        typer.Option(
            "--old-state", help="State file that builds of the gallery were given with --state."
        ),
    ] = None,
    lot_size: Annotated[
        int, typer.Option("--lot-size", min=1, max=5000, help="Photos in one commit.")
    ] = LOT_SIZE,
    workers: WorkersOption = None,
    models_folder: ModelsFolderOption = None,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a gallery anew with another model, of its photos, and switch over at the end."""
    if abandon:
        with opened_galleries(place_of(data_folder, key_file, ledger)) as galleries:
            galleries.get(gallery)
            num = galleries.abandon(gallery)
        show(
            {"num_abandoned": num}, as_json=as_json, lines=[f"deleted {num} unfinished galleries"]
        )
        return
    photos = open_source(
        source, rules=SourceRules(outside=outside, without_subjects=True), root=root
    )
    faces = FaceRules(aligned=aligned, turns=turns, choice="only", force=True)
    options = ReEmbedOptions(
        build=BuildOptions(
            faces=faces, lot_size=lot_size, retry_failed=retry_failed, num_workers=workers
        ),
        allow_missing=allow_missing,
        switch=switch,
        delete_old=delete_old,
        mapping=mapping,
    )
    embedder = open_model(named_model(model, models_folder))
    tally = Tally()
    with (
        opened_galleries(place_of(data_folder, key_file, ledger)) as galleries,
        shown_progress(photos, tally, console=Console(stderr=True)),
    ):
        done = reembed(
            photos,
            galleries,
            gallery,
            embedder=embedder,
            options=options,
            old_state=old_state,
            tally=tally,
        )
    show(_answer(done), as_json=as_json, lines=_lines(done, gallery))
    if done.missing or tally.num_failed:
        raise typer.Exit(EXIT_WRONG)


def _answer(done: ReEmbedded) -> dict[str, object]:
    return {
        "switched": done.switched,
        "new_gallery": done.new_name,
        "old_gallery": done.old_name,
        "num_templates": done.num_templates,
        "num_indexed": done.built.tally.num_indexed,
        "num_removed": done.num_removed,
        "missing": list(done.missing),
        "failures": dict(sorted(done.built.tally.failures.items())),
        "seconds": round(done.built.seconds, 3),
    }


def _lines(done: ReEmbedded, gallery: str) -> list[str]:
    num_missing = len(done.missing)
    lines = [
        f"{done.num_templates - num_missing} of {done.num_templates} templates are made anew, "
        f"{done.built.tally.num_indexed} of them now"
    ]
    if num_missing:
        lines.append(f"{num_missing} have no photo in the source, or no face where theirs was:")
        lines += [f"  {each}" for each in done.missing[:_SHOWN]]
    if done.old_name is None:
        lines.append(f"{gallery} is the new gallery; the old one was deleted")
    elif done.switched:
        lines.append(f"{gallery} is the new gallery; the old one is {done.old_name}, delete it")
    else:
        lines.append(f"{gallery} is the old gallery still; the new one is {done.new_name}")
    failures = sorted(done.built.tally.failures.items())
    return [*lines, *(f"{num} failed: {error}" for error, num in failures)]
