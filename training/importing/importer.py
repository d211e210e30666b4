"""Wraps, checks, calibrates and describes a foreign network.

Shape legend: B images.
"""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedding.embedder import FaceEmbedder
from embedding.errors import DataInvalid
from embedding.model import MODEL_FILE, NO_LIVENESS, ModelCard, ModelDirectory, write_card
from embedding.runtime import EmbeddingNet, OnnxRuntimeNet
from training.calibration import Calibration, calibrate
from training.data.opening import open_store
from training.data.split import Selection
from training.importing.checks import (
    Engines,
    check_batches,
    check_dimension,
    check_embeddings,
    check_half,
    load_engines,
)
from training.importing.foreign_file import ForeignNet, Layout, read_foreign
from training.importing.graph import wrap
from training.importing.guessing import Guess, candidates, guess
from training.importing.people import calibration_people, guessing_people
from training.importing.preprocessing import (
    PIXELS,
    SERVED,
    Channels,
    Color,
    Preprocessing,
    check_numbers,
)
from training.model_folder import (
    NORM_FLOOR_QUANTILE,
    bare_card,
    check_is_new,
    holdout_table,
    lfw_figures,
    sharp_norms,
    unfinished_folder,
)

logger = logging.getLogger(__name__)

NUM_CHECKED_CROPS = 50
MAX_NAME = 100  # characters, of a card
MAX_LICENCE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came out of an import.

    Attributes:
        directory: the model directory.
        preprocessing: what was put in front of the network.
        guess: what was tried to find it; None if it was given.
    """

    directory: ModelDirectory
    preprocessing: Preprocessing
    guess: Guess | None


def import_model(
    file: Path,
    out: Path,
    *,
    data: Path,
    licence: str,
    name: str | None = None,
    description: str = "",
    color: Color | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    layout: Layout | None = None,
    output: str | None = None,
    mirrored: bool = True,
    half: bool = False,
    lfw: Path | None = None,
) -> Imported:
    """Writes a model directory from a foreign face network.

    Args:
        file: the network, ONNX: crops of 112x112 pixels in, 512 numbers each out.
        out: new or empty folder.
        data: people of the user's own, of aligned crops; see `training.data.opening`. They set
            the thresholds, and choose what of colour, mean and std is not given.
        licence: terms of the weights.
        name: on the card; the name of `out` if absent.
        description: on the card, what is known of the network.
        color: order of the channels that it takes; None to find out.
        mean: subtracted from values in 0..255, in the order of the channels; None to find out.
        std: what the difference is divided by; given together with `mean`.
        layout: of the input, where its shape does not tell.
        output: name of the embedding, where there are several outputs.
        mirrored: serve with the mirror image added.
        half: store large weights as float16.
        lfw: measured for the card, if given.

    Raises:
        DataInvalid: an option that is missing or does not fit, or too few people.
        ModelInvalid: a network that cannot be imported; the message says why and what to do.
    """
    name = out.name if name is None else name
    numbers = _check_options(out, name=name, licence=licence, mean=mean, std=std)
    net = read_foreign(file, output=output, layout=layout)
    if net.takes_pixels and numbers is not None:
        raise DataInvalid(
            "the network takes uint8 pixels and does the arithmetic itself: leave --mean and "
            "--std out"
        )
    check_dimension(OnnxRuntimeNet(wrap(net, SERVED, is_raw=True)), fixed_batch=net.fixed_batch)
    people = calibration_people(open_store(data))
    tries = candidates(color=color, numbers=numbers, takes_pixels=net.takes_pixels)
    chosen, guessed, engines = _prepared(net, tries, people)
    crops = people.crops(_spread(people))
    model = wrap(net, chosen, half=half)
    if half:
        whole, engines = engines, load_engines(model, fixed_batch=net.fixed_batch)
        check_half(whole.openvino, engines.openvino, SERVED.images(crops, after=SERVED))
    training = {
        "description": description or "trained elsewhere; imported from ONNX",
        "imported": _origin(file, net, chosen, guessed, half=half),
    }
    with unfinished_folder(out) as folder:
        (folder / MODEL_FILE).write_bytes(model)
        card = bare_card(model, name=name, licence=licence, training=training, mirrored=mirrored)
        write_card(folder, card)
        directory = ModelDirectory.open(folder)
        logger.info("%s", check_embeddings(directory, engines, crops))
        served = EmbeddingNet(directory, engine=engines.openvino)
        write_card(folder, _measured(card, served, people, guessed=guessed, lfw=lfw))
        FaceEmbedder.open(folder)
    return Imported(directory=ModelDirectory.open(out), preprocessing=chosen, guess=guessed)


def _measured(
    card: ModelCard,
    served: EmbeddingNet,
    people: Selection,
    *,
    guessed: Guess | None,
    lfw: Path | None,
) -> ModelCard:
    """The card with what is measured on the user's own people, and on LFW if given."""
    table, norms_B = holdout_table(served, people)
    calibration = calibrate(table, people.sharp)
    floor, floor_note = _norm_floor(people, norms_B)
    notes = [NO_LIVENESS, _notes(people, calibration), floor_note, _guess_note(guessed)]
    return replace(
        card,
        thresholds=calibration.thresholds,
        norm_floor=floor,
        notes=" ".join(note for note in notes if note),
        accuracy=({} if lfw is None else lfw_figures(served, lfw))
        | {"calibration": calibration.as_json()},
    )


def _check_options(
    out: Path, *, name: str, licence: str, mean: Channels | None, std: Channels | None
) -> tuple[Channels, Channels] | None:
    """The mean and the standard deviation, if they are given; checked before anything is long."""
    check_is_new(out)
    if not licence.strip() or len(licence) > MAX_LICENCE:
        raise DataInvalid(
            f"the licence is a text of 1 to {MAX_LICENCE} characters: say with --licence under "
            "which terms the weights may be used"
        )
    if not name.strip() or len(name) > MAX_NAME:
        raise DataInvalid(f"--name is a text of 1 to {MAX_NAME} characters")
    if (mean is None) != (std is None):
        raise DataInvalid("--mean and --std belong together: give both, or none to find them out")
    if mean is None or std is None:
        return None
    check_numbers(mean, std)
    return mean, std


def _prepared(
    net: ForeignNet, tries: list[Preprocessing], people: Selection
) -> tuple[Preprocessing, Guess | None, Engines]:
    """The one preprocessing, or the best of several, and the network wrapped with it."""
    neutral = PIXELS if net.takes_pixels else SERVED
    first = tries[0] if len(tries) == 1 else neutral
    engines = load_engines(wrap(net, first), fixed_batch=net.fixed_batch)
    few = SERVED.images(people.crops(range(5)), after=SERVED)
    check_batches(engines, few, fixed_batch=net.fixed_batch)
    if len(tries) == 1:
        return first, None, engines
    some = guessing_people(people)
    found = guess(
        engines.openvino, some.crops(range(len(some))), some.labels_N, tries, after=neutral
    )
    if found.best != neutral:
        engines = load_engines(wrap(net, found.best), fixed_batch=net.fixed_batch)
    return found.best, found, engines


def _spread(people: Selection) -> NDArray[np.int64]:
    """Some images of many people."""
    count = min(len(people), NUM_CHECKED_CROPS)
    return np.linspace(0, len(people) - 1, count).astype(np.int64)


def _origin(
    file: Path, net: ForeignNet, chosen: Preprocessing, guessed: Guess | None, *, half: bool
) -> dict[str, Any]:
    """Where the network came from and what was done to it, for the card."""
    return {
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "input": net.input_name,
        "output": net.output_name,
        "layout": net.layout,
        "fixed_batch": net.fixed_batch,
        "color": chosen.color,
        "mean": list(chosen.mean),
        "std": list(chosen.std),
        "float16_weights": half,
        "guessed": guessed is not None,
        "tried": [one.as_json() for one in guessed.trials] if guessed else [],
    }


def _norm_floor(people: Selection, norms_B: NDArray[np.float32]) -> tuple[float, str]:
    """The length below which an embedding is of no use, and a note where there is none."""
    if float(np.std(norms_B)) < 1e-4 * float(np.mean(norms_B)):
        # Rounding alone would put half of all faces below it.
        return 0.0, "All embeddings have the same length, so it says nothing about quality."
    floor = float(np.quantile(sharp_norms(people, norms_B), NORM_FLOOR_QUANTILE))
    return float(f"{floor:.4g}"), ""


def _notes(people: Selection, calibration: Calibration) -> str:
    """How the thresholds of the card were measured, in words."""
    return (
        f"{people.num_identities} people of the importer's own, of whom it is not known here "
        "whether the network was trained on any; if so, the thresholds are too low. "
        f"{calibration.in_words()}"
    )


def _guess_note(guessed: Guess | None) -> str:
    if guessed is None:
        return ""
    close = "; ".join(map(str, guessed.rivals))
    return f"Colour order, mean and std were guessed on the same people: {guessed.best}." + (
        f" It was a close race with: {close}." if close else ""
    )
