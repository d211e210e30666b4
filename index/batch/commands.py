"""``python -m index build``: the command, and what it prints."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from embedding.errors import GalleryNotFound
from index.batch.build import LOT_SIZE, BuildOptions, Built, build, state_path
from index.batch.dedupe_command import dedupe_command
from index.batch.failures import failure_lines, write_failures
from index.batch.identify_command import identify_command
from index.batch.models import (
    fingerprint_of,
    installed_models,
    model_of_gallery,
    named_model,
    open_model,
)
from index.batch.options import (
    EXIT_CODES,
    AlignedOption,
    FaceOption,
    FolderOption,
    MadeByOption,
    ModelOption,
    ModelsFolderOption,
    NamesOption,
    OutsideOption,
    RootOption,
    SourceArgument,
    SubjectsAre,
    TurnsOption,
    WorkersOption,
)
from index.batch.progress import shown_progress
from index.batch.reembed_command import reembed_command
from index.batch.sources.embeddings import ReadyEmbeddings
from index.batch.sources.opening import open_source
from index.batch.sources.source import Source, SourceRules
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
from index.galleries import Galleries
from index.gallery import Gallery
from index.store.batch_state import BatchState


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    app.command("build", epilog=EXIT_CODES)(build_command)
    app.command("identify", epilog=EXIT_CODES)(identify_command)
    app.command("dedupe", epilog=EXIT_CODES)(dedupe_command)
    app.command("re-embed", epilog=EXIT_CODES)(reembed_command)


def build_command(
    source: SourceArgument,
    gallery: Annotated[
        str, typer.Option("--gallery", "-g", help="Name of the gallery; made when it is missing.")
    ],
    data_folder: FolderOption = DATA_FOLDER,
    aligned: AlignedOption = False,
    face: Annotated[
        FaceOption, typer.Option("--face", help="Which face of several to take.")
    ] = FaceOption.ONLY,
    force: Annotated[
        bool, typer.Option("--force", help="Take faces of poor quality too.")
    ] = False,
    turns: TurnsOption = True,
    subjects_are: Annotated[
        SubjectsAre, typer.Option("--subjects-are", help="What the names of folders are.")
    ] = SubjectsAre.NAME,
    root: RootOption = None,
    names: NamesOption = None,
    made_by: MadeByOption = None,
    outside: OutsideOption = False,
    metadata: Annotated[
        bool,
        typer.Option(
            "--metadata/--no-metadata", help="Keep what a manifest says of people besides."
        ),
    ] = True,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Only try those photos again that failed.")
    ] = False,
    failures: Annotated[
        Path | None, typer.Option("--failures", help="New CSV file for all photos that failed.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="File of what is done; default: in the data.")
    ] = None,
    lot_size: Annotated[
        int, typer.Option("--lot-size", min=1, max=5000, help="Photos in one commit.")
    ] = LOT_SIZE,
    workers: WorkersOption = None,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put all photos of a source into a gallery; run again, it goes on where it was."""
    photos = open_source(
        source,
        rules=SourceRules(subjects_are=subjects_are.value, outside=outside, metadata=metadata),
        root=root,
        names=names,
        fingerprint=fingerprint_of(made_by, models_folder),
    )
    options = BuildOptions(
        faces=FaceRules(aligned=aligned, turns=turns, choice=face.value, force=force),
        lot_size=lot_size,
        retry_failed=retry_failed,
        num_workers=workers,
    )
    with ExitStack() as stack:
        galleries = stack.enter_context(opened_galleries(place_of(data_folder, key_file, ledger)))
        target = _gallery(galleries, gallery, photos, model, models_folder)
        embedder = None
        if not isinstance(photos, ReadyEmbeddings):
            candidates = installed_models(model, models_folder)
            embedder = open_model(model_of_gallery(target.fingerprint, candidates=candidates))
        path = state or state_path(data_folder, target)
        known = stack.enter_context(BatchState(path, gallery_id=target.id))
        tally = Tally()
        with shown_progress(photos, tally, console=Console(stderr=True)):
            built = build(
                photos,
                target,
                embedder=embedder,
                state=known,
                secret=galleries.secret("service"),
                options=options,
                tally=tally,
            )
        if failures is not None:
            write_failures(failures, known.failed(built.source_id, run=built.run))
        lines = [
            *_lines(built, target),
            *failure_lines(known.failed(built.source_id, run=built.run)),
        ]
    show(_answer(built), as_json=as_json, lines=lines)
    if tally.num_failed or tally.num_failed_before:
        raise typer.Exit(EXIT_WRONG)


def _gallery(
    galleries: Galleries,
    name: str,
    source: Source,
    model: str | None,
    models_folder: Path | None,
) -> Gallery:
    """The gallery; where it is missing, made of the source's, the named or default model."""
    try:
        return galleries.get(name)
    except GalleryNotFound:
        if isinstance(source, ReadyEmbeddings):
            return galleries.create(name, fingerprint=source.fingerprint)
        embedder = open_model(named_model(model, models_folder))
        return galleries.create(name, fingerprint=embedder.fingerprint)


def _answer(built: Built) -> dict[str, object]:
    tally = built.tally
    return {
        "num_met": tally.num_met,
        "num_indexed": tally.num_indexed,
        "num_known": tally.num_known,
        "num_duplicates": tally.num_duplicates,
        "num_replaced": tally.num_replaced,
        "num_new_subjects": tally.num_new_subjects,
        "num_failed": tally.num_failed,
        "num_failed_before": tally.num_failed_before,
        "num_retracted": tally.num_retracted,
        "failures": dict(sorted(tally.failures.items())),
        "seconds": round(built.seconds, 3),
    }


def _lines(built: Built, gallery: Gallery) -> list[str]:
    tally = built.tally
    rate = tally.num_indexed / built.seconds if built.seconds else 0.0
    lines = [
        f"indexed {tally.num_indexed} photos, {tally.num_new_subjects} new subjects, in "
        f"{built.seconds:.1f} s ({rate:.1f} photos/s); the gallery has {gallery.num_subjects} "
        f"subjects and {gallery.num_templates} templates"
    ]
    for num, what in (
        (tally.num_known, "were done before"),
        (tally.num_duplicates, "are copies of others of the same subject"),
        (tally.num_replaced, "had changed; their old templates are removed"),
        (tally.num_retracted, "were removed from the gallery and stay out"),
        (tally.num_failed_before, "failed before; --retry-failed tries them again"),
    ):
        if num:
            lines.append(f"{num} {what}")
    lines += [f"{num} failed: {error}" for error, num in sorted(tally.failures.items())]
    return lines
