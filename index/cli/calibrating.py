"""``facegallery-index calibrate``."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from embedding.embedder import FaceEmbedder
from embedding.errors import GalleryNotFound, ModelNotFound, RequestInvalid
from embedding.model import ModelCard
from index.calibration.calibrating import Wanted
from index.calibration.kept import (
    KeptCalibration,
    measure_gallery,
    model_of,
    read_calibration,
)
from index.calibration.plot import svg
from index.calibration.rules import rule_for_many
from index.calibration.strangers import (
    Strangers,
    Unit,
    strangers_of_crops,
    strangers_of_file,
    strangers_of_photos,
)
from index.calibration.words import of_kept
from index.cli.options import (
    DATA_FOLDER,
    EXIT_CODES,
    EXIT_WRONG,
    DataFolderOption,
    JsonOption,
    KeyFileOption,
    LedgerOption,
    place_of,
    show,
)
from index.store.gallery_store import GalleryStore
from index.store.store import Store


def add_to(app: typer.Typer) -> None:
    """Adds this command to the command line."""
    app.command("calibrate", epilog=EXIT_CODES)(calibrate_command)


def calibrate_command(
    gallery: Annotated[str, typer.Argument(help="Name of the gallery.")],
    fpir: Annotated[
        list[float] | None,
        typer.Option("--fpir", help="Wanted rate, between 0 and 1; may be given again."),
    ] = None,
    strangers: Annotated[
        Path | None,
        typer.Option(
            "--strangers",
            help="Folder of photos, or .npy file of embeddings, of people who are not in it.",
        ),
    ] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The photos are aligned crops of 112x112 pixels.")
    ] = False,
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", help="Of the model of an .npy file.")
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option("--people", help=".npy file: whose each embedding is, as whole numbers."),
    ] = None,
    tracks: Annotated[
        bool,
        typer.Option(
            "--tracks",
            help="One decision is made of a track: the photos of one folder are its frames.",
        ),
    ] = False,
    normalise: Annotated[
        bool,
        typer.Option(
            "--normalise",
            help="Try a normalisation against a cohort of the strangers; kept only if it misses "
            "fewer people.",
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="New SVG file: similarities, DET and thresholds."),
    ] = None,
    max_probes: Annotated[
        int | None,
        typer.Option("--max-probes", help="At most so many searches of the gallery by itself."),
    ] = None,
    num_future: Annotated[
        int | None,
        typer.Option("--new-searches", help="How many new searches the prediction is for."),
    ] = None,
    show_only: Annotated[
        bool,
        typer.Option("--show", help="Show the kept calibration; code 1 if it is stale or none."),
    ] = False,
    models_folder: Annotated[
        Path | None,
        typer.Option(
            "--models-folder",
            envvar="FACEGALLERY_MODELS_FOLDER",
            help="Folder of model directories beside the shipped ones.",
        ),
    ] = None,
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the threshold for a wanted FPIR at the gallery's size, and keep it with it."""
    wanted = Wanted(
        fpirs=Wanted().fpirs if fpir is None else fpir,
        normalise=normalise,
        max_probes=max_probes,
        num_future=num_future,
    )
    if plot is not None and (show_only or plot.exists()):
        raise RequestInvalid(
            "--plot goes with measuring, not with --show, and with a file that is not there yet"
        )
    unit: Unit = "track" if tracks else "photo"
    with place_of(data_folder, key_file, ledger).opened() as opened:
        store = _gallery(opened, gallery)
        fusion = store.rules().fusion
        wanted = replace(wanted, rule=rule_for_many(fusion))
        if not show_only:
            path, card = model_of(store.gallery.fingerprint, models_folder=models_folder)
            found = _strangers(
                strangers,
                aligned=aligned,
                fingerprint=fingerprint,
                people=people,
                unit=unit,
                model=path,
                expected=card.fingerprint,
            )
            measured = measure_gallery(store, card=card, strangers=found, wanted=wanted)
            if plot is not None:
                _write(plot, svg(measured))
        kept = read_calibration(store, rule=fusion, unit=unit)
        known = _card(store.gallery.fingerprint, models_folder)
    _print(kept, card=known, as_json=as_json)
    if kept is None or kept.stale:
        raise typer.Exit(EXIT_WRONG)


def _print(kept: KeptCalibration | None, *, card: ModelCard | None, as_json: bool) -> None:
    if kept is None:
        answer: dict[str, object] = {"calibrated": False}
        lines = ["this gallery was never calibrated; the model card's thresholds are in use"]
    else:
        values = asdict(kept.calibration)
        answer = {
            "calibrated": True,
            "stale": kept.stale,
            "reasons": list(kept.reasons),
            "num_subjects_now": kept.num_subjects,
            "num_templates_now": kept.num_templates,
            **values,
            "made_at": kept.calibration.made_at.isoformat(),
        }
        lines = of_kept(kept, card=card)
    show(answer, as_json=as_json, lines=lines)


def _write(file: Path, content: str) -> None:
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise RequestInvalid(
            f"calibrated and kept, but cannot write {file}: {error.strerror}"
        ) from error


def _gallery(store: Store, name: str) -> GalleryStore:
    for each in store.galleries():
        if each.name == name:
            return store.gallery_store(each)
    raise GalleryNotFound("no gallery with this name; give the name of one that is there")


def _card(fingerprint: str, models_folder: Path | None) -> ModelCard | None:
    """The card of a gallery's model; None where only looking at what is kept has to do."""
    try:
        return model_of(fingerprint, models_folder=models_folder)[1]
    except ModelNotFound:
        return None


def _strangers(
    source: Path | None,
    *,
    aligned: bool,
    fingerprint: str | None,
    people: Path | None,
    unit: Unit,
    model: Path,
    expected: str,
) -> Strangers | None:
    """Who is searched for; None for the gallery's own people."""
    is_file = source is not None and source.suffix == ".npy"
    if aligned and (source is None or is_file):
        raise RequestInvalid("--aligned goes with a folder of --strangers")
    if not is_file and (fingerprint is not None or people is not None):
        raise RequestInvalid("--fingerprint and --people go with an .npy file of --strangers")
    if source is None:
        if unit == "track":
            raise RequestInvalid("a gallery holds photos and no tracks: give --strangers")
        return None
    if is_file:
        if fingerprint is None:
            raise RequestInvalid(
                "embeddings do not say which model made them: give its --fingerprint, as its "
                "card.json says it"
            )
        return strangers_of_file(
            source, fingerprint=fingerprint, expected=expected, people=people, unit=unit
        )
    embedder = FaceEmbedder.open(model)
    return (strangers_of_crops if aligned else strangers_of_photos)(source, embedder, unit=unit)
