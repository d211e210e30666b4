"""``python -m index identify``: the command, and what it prints."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from embedding.errors import RequestInvalid
from embedding.model import CARD_FILE, read_card
from index.audit.entries import DONE, AuditEvent
from index.batch.identify import Identified, IdentifyOptions, identify
from index.batch.models import fingerprint_of, installed_models, model_of_gallery, open_model
from index.batch.options import (
    AlignedOption,
    FolderOption,
    GalleryOption,
    MadeByOption,
    ModelOption,
    ModelsFolderOption,
    NamesOption,
    OutsideOption,
    RootOption,
    SourceArgument,
    TurnsOption,
    WorkersOption,
)
from index.batch.progress import shown_progress
from index.batch.sources.embeddings import ReadyEmbeddings
from index.batch.sources.opening import open_source
from index.batch.sources.source import SourceRules
from index.batch.stages import FaceRules
from index.batch.tally import Tally
from index.calibration.in_force import ThresholdsInForce, thresholds_in_force
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
from index.gallery import Gallery

FPIR = 0.01
REVIEW_FPIR = 0.05
"""As the service's own."""

ThresholdOption = Annotated[
    float | None,
    typer.Option("--threshold", min=-1, max=1, help="Smallest similarity of a match."),
]
ReviewThresholdOption = Annotated[
    float | None,
    typer.Option("--review-threshold", min=-1, max=1, help="Smallest similarity of a review."),
]


def identify_command(
    source: SourceArgument,
    gallery: GalleryOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="New .csv or .parquet file.")],
    data_folder: FolderOption = DATA_FOLDER,
    fpir: Annotated[
        float, typer.Option("--fpir", help="Wanted rate of strangers who are matched.")
    ] = FPIR,
    review_fpir: Annotated[
        float, typer.Option("--review-fpir", help="The same for matches and reviews together.")
    ] = REVIEW_FPIR,
    threshold: ThresholdOption = None,
    review_threshold: ReviewThresholdOption = None,
    aligned: AlignedOption = False,
    turns: TurnsOption = True,
    root: RootOption = None,
    names: NamesOption = None,
    made_by: MadeByOption = None,
    outside: OutsideOption = False,
    workers: WorkersOption = None,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write who is in the photos of a source to a new file; run again, it goes on."""
    photos = open_source(
        source,
        rules=SourceRules(outside=outside, without_subjects=True),
        root=root,
        names=names,
        fingerprint=fingerprint_of(made_by, models_folder),
    )
    with ExitStack() as stack:
        galleries = stack.enter_context(opened_galleries(place_of(data_folder, key_file, ledger)))
        target = galleries.get(gallery)
        is_ready = isinstance(photos, ReadyEmbeddings)
        path: Path | None = None
        if threshold is None or not is_ready:
            candidates = installed_models(model, models_folder)
            path = model_of_gallery(target.fingerprint, candidates=candidates)
        in_force = None
        if threshold is None and path is not None:
            in_force = _in_force(path, target, fpir, review_fpir)
            if in_force.normalisation is not None and review_threshold is not None:
                raise RequestInvalid(
                    "this gallery's calibration gives each face thresholds of its own: give "
                    "--threshold with --review-threshold, or neither"
                )
            threshold = in_force.match.value
            if review_threshold is None:
                review_threshold = in_force.review.value
        match = 1.0 if threshold is None else threshold
        # Before the first answer: whatever happens then, the log tells that somebody began.
        event = AuditEvent(action="identify.batch", outcome="begun", gallery_id=target.id)
        galleries.audit.record(event)
        tally = Tally()
        with shown_progress(photos, tally, console=Console(stderr=True)):
            found = identify(
                photos,
                target,
                embedder=None if is_ready or path is None else open_model(path),
                secret=galleries.secret("service"),
                target=out,
                options=IdentifyOptions(
                    match_threshold=match,
                    review_threshold=match if review_threshold is None else review_threshold,
                    faces=FaceRules(aligned=aligned, turns=turns, choice=None, force=True),
                    num_workers=workers,
                ),
                thresholds=None
                if in_force is None or in_force.normalisation is None
                else in_force,
                tally=tally,
            )
        facts = {f"num_{kind}": num for kind, num in sorted(found.decisions.items())}
        galleries.audit.record(replace(event, outcome=DONE, facts=facts))
    show(
        _answer(found, match, in_force),
        as_json=as_json,
        lines=_lines(found, match, out) + [f"stale: {each}" for each in _stale(in_force)],
    )
    if found.failures:
        raise typer.Exit(EXIT_WRONG)


def _in_force(path: Path, gallery: Gallery, fpir: float, review_fpir: float) -> ThresholdsInForce:
    """Those of the gallery's calibration or its model's card, for its size and rule."""
    card = read_card(path / CARD_FILE)
    return thresholds_in_force(gallery, card=card, fpir=fpir, review_fpir=review_fpir)


def _stale(in_force: ThresholdsInForce | None) -> list[str]:
    """Why the gallery should be calibrated."""
    return [] if in_force is None else list(in_force.reasons)


def _answer(
    found: Identified, threshold: float, in_force: ThresholdsInForce | None
) -> dict[str, object]:
    return {
        "num_photos": found.num_photos,
        "num_faces": found.num_faces,
        "decisions": dict(sorted(found.decisions.items())),
        "num_without_face": found.num_without_face,
        "failures": dict(sorted(found.failures.items())),
        "threshold": round(threshold, 6),
        "threshold_of": None if in_force is None else in_force.source,
        "stale": _stale(in_force),
        "seconds": round(found.seconds, 3),
    }


def _lines(found: Identified, threshold: float, out: Path) -> list[str]:
    num = found.decisions
    lines = [
        f"{found.num_photos} photos, {found.num_faces} faces at threshold {threshold:.4f}: "
        f"{num['match']} match, {num['review']} review, {num['unknown']} unknown; in {out}"
    ]
    if found.num_without_face:
        lines.append(f"{found.num_without_face} without a face")
    lines += [f"{count} failed: {error}" for error, count in sorted(found.failures.items())]
    return lines
