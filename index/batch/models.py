"""Which model a batch works with: the gallery's."""

import re
from collections.abc import Iterator
from pathlib import Path

from embedding.cores import num_cores
from embedding.embedder import FaceEmbedder
from embedding.errors import ModelNotFound
from embedding.model import CARD_FILE, find_model, read_card, shipped_models

_FINGERPRINT = re.compile("[0-9a-f]{64}")


def model_of_gallery(fingerprint: str, *, candidates: Iterator[Path]) -> Path:
    """Return the directory of the model that made a gallery's templates.

    Raises:
        ModelInvalid: a directory's card is damaged.
        ModelNotFound: none of them is that model.
    """
    for path in candidates:
        if read_card(path / CARD_FILE).fingerprint == fingerprint:
            return path
    raise ModelNotFound(
        f"the gallery was made with model {fingerprint[:12]}, which is not installed; give its "
        "directory with --model, or the folder it is in (FACEGALLERY_MODELS_FOLDER)"
    )


def installed_models(named: str | None, models_folder: Path | None) -> Iterator[Path]:
    """Yield the directories of models: the one that is named first, then all there are.

    Raises:
        ModelNotFound: the one that is named is not there.
    """
    if named is not None:
        yield named_model(named, models_folder)
    yield from shipped_models().values()
    if models_folder is not None:
        yield from sorted(card.parent for card in models_folder.glob(f"*/{CARD_FILE}"))


def named_model(named: str | None, models_folder: Path | None) -> Path:
    """Return the directory of a model by name or path; the shipped default for None.

    Raises:
        ModelNotFound: no such model.
    """
    if named is not None and models_folder is not None:
        for card in sorted(models_folder.glob(f"*/{CARD_FILE}")):
            if read_card(card).name == named:
                return card.parent
    return find_model(named)


def open_model(path: Path) -> FaceEmbedder:
    """Return the model with the built-in detector, its net in as many streams as there are cores.

    Raises:
        ModelInvalid: its files do not fit each other, or it was made with another detector.
    """
    return FaceEmbedder.open(path, num_streams=num_cores())


def fingerprint_of(made_by: str | None, models_folder: Path | None) -> str | None:
    """Return the fingerprint that is given, or that of the model of this name or path.

    Raises:
        ModelNotFound: no such model.
    """
    if made_by is None or _FINGERPRINT.fullmatch(made_by):
        return made_by
    return read_card(named_model(made_by, models_folder) / CARD_FILE).fingerprint
