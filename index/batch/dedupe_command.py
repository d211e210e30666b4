"""``python -m index dedupe``: the command, and what it prints."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from embedding.model import CARD_FILE, ModelCard, read_card
from index.batch.models import installed_models, model_of_gallery
from index.batch.options import FolderOption, GalleryOption, ModelOption, ModelsFolderOption
from index.batch.progress import shown_share
from index.cli.options import (
    DATA_FOLDER,
    JsonOption,
    KeyFileOption,
    LedgerOption,
    opened_galleries,
    place_of,
    show,
)
from index.dedupe import MAX_PAIRS, MIN_LEAD, Duplicates, find_duplicates
from index.exchange.tables import check_table_file, write_table
from index.gallery import Gallery
from index.records import Subject

FPIR = 0.01
SURE_FPIR = 0.001
_SHOWN = 20
_COLUMNS: dict[str, type] = {
    "cluster": int,
    "similarity": float,
    "lead": float,
    "subject_id": str,
    "name": str,
    "external_id": str,
    "num_templates": int,
    "other_subject_id": str,
    "other_name": str,
    "other_external_id": str,
    "other_num_templates": int,
}


def dedupe_command(
    gallery: GalleryOption,
    data_folder: FolderOption = DATA_FOLDER,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New .csv or .parquet file for all pairs.")
    ] = None,
    fpir: Annotated[
        float, typer.Option("--fpir", help="Rate of the model's card that gives the threshold.")
    ] = FPIR,
    sure_fpir: Annotated[
        float, typer.Option("--sure-fpir", help="The same for pairs that need no lead.")
    ] = SURE_FPIR,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=-1, max=1, help="Smallest similarity of a pair."),
    ] = None,
    sure: Annotated[
        float | None,
        typer.Option("--sure", min=-1, max=1, help="Similarity from which no lead is needed."),
    ] = None,
    lead: Annotated[
        float,
        typer.Option("--lead", help="How much more alike than with those who come next."),
    ] = MIN_LEAD,
    max_pairs: Annotated[
        int, typer.Option("--max-pairs", min=1, help="So many of the most similar are kept.")
    ] = MAX_PAIRS,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List subjects that look like one person; nothing is changed."""
    if out is not None:
        check_table_file(out)
    with opened_galleries(place_of(data_folder, key_file, ledger)) as galleries:
        target = galleries.get(gallery)
        if threshold is None or sure is None:
            candidates = installed_models(model, models_folder)
            path = model_of_gallery(target.fingerprint, candidates=candidates)
            low, high = card_thresholds(
                read_card(path / CARD_FILE), target, fpir=fpir, sure_fpir=sure_fpir
            )
            threshold = low if threshold is None else threshold
            sure = max(high, threshold) if sure is None else sure
        with shown_share("comparing subjects", console=Console(stderr=True)) as progress:
            found = find_duplicates(
                target,
                threshold=threshold,
                sure=sure,
                min_lead=lead,
                max_pairs=max_pairs,
                progress=progress,
            )
    if out is not None:
        write_table(out, _rows(found), _COLUMNS)
    show(_answer(found), as_json=as_json, lines=list(_lines(found)))


def card_thresholds(
    card: ModelCard, gallery: Gallery, *, fpir: float, sure_fpir: float
) -> tuple[float, float]:
    """Return from which similarity on a pair counts, with a lead and without one.

    With a lead: the card's for the gallery's size, up to the largest that was measured; what
    larger ones need beyond it the lead sees to.
    """
    num_subjects = gallery.num_subjects
    measured = [each.num_subjects for each in card.thresholds if each.fpir == fpir]
    low = card.threshold(fpir=fpir, num_subjects=min(num_subjects, max(measured, default=1)))
    high = card.threshold(fpir=sure_fpir, num_subjects=num_subjects)
    return low.value, max(high.value, low.value)


def _rows(found: Duplicates) -> Iterator[dict[str, Any]]:
    clusters = {
        each.id: number for number, cluster in enumerate(found.clusters, 1) for each in cluster
    }
    for pair in found.pairs:
        yield {
            "cluster": clusters[pair.first.id],
            "similarity": round(pair.similarity, 6),
            "lead": round(pair.lead, 6),
            **_columns(pair.first, ""),
            **_columns(pair.second, "other_"),
        }


def _columns(subject: Subject, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}subject_id": subject.id,
        f"{prefix}name": subject.name,
        f"{prefix}external_id": subject.external_id,
        f"{prefix}num_templates": subject.num_templates,
    }


def _answer(found: Duplicates) -> dict[str, Any]:
    return {
        "num_subjects": found.num_subjects,
        "threshold": round(found.threshold, 6),
        "num_pairs": found.num_pairs,
        "pairs": [
            {
                "similarity": round(pair.similarity, 6),
                "lead": round(pair.lead, 6),
                "subject_ids": [pair.first.id, pair.second.id],
            }
            for pair in found.pairs
        ],
        "clusters": [[each.id for each in cluster] for cluster in found.clusters],
        "seconds": round(found.seconds, 3),
    }


def _lines(found: Duplicates) -> Iterator[str]:
    yield (
        f"{found.num_pairs} pairs in {len(found.clusters)} clusters among {found.num_subjects} "
        f"subjects, at similarity {found.threshold:.4f} and above"
    )
    for pair in found.pairs[:_SHOWN]:
        yield f"  {pair.similarity:.4f}  {_called(pair.first)}  {_called(pair.second)}"
    if len(found.pairs) > _SHOWN:
        yield "  ... and more; --out FILE writes them all"
    if found.num_pairs > len(found.pairs):
        yield f"only the {len(found.pairs)} most similar are kept; raise the threshold"


def _called(subject: Subject) -> str:
    return subject.name or subject.external_id or subject.id
