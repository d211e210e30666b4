"""The aligned LFW crops as the shipped default model sees them, computed once and kept.

Embedding 7,701 crops takes minutes on two cores, so they are kept in ``runs/``, which git
ignores, under the model's fingerprint. They are faces: delete them like the photos.

Shapes: B crops, D embedding dimension.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.model import EMBEDDING_DIMENSION, ModelCard, ModelDirectory, find_model
from embedding.photo import decode_photo
from embedding.runtime import EmbeddingNet

LFW = Path(__file__).parents[2] / "shared" / "data" / "lfw" / "aligned"
KEPT = Path(__file__).parents[1] / "runs"
_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddedCrops:
    """All crops, person by person in the order of their names.

    Attributes:
        vectors_BD: float32, unit length.
        norms_B: before normalisation.
        person_B: number of the person, ascending.
        card: of the model.
    """

    vectors_BD: NDArray[np.float32]
    norms_B: NDArray[np.float32]
    person_B: NDArray[np.int64]
    card: ModelCard


def lfw_embeddings() -> EmbeddedCrops:
    """Return every crop's embedding by the default model.

    Raises:
        SystemExit: the team's face data is missing.
    """
    if not LFW.is_dir():
        raise SystemExit(f"needs the team's face data in {LFW}")
    people = sorted(path for path in LFW.iterdir() if path.is_dir())
    files = [(number, file) for number, person in enumerate(people) for file in _files(person)]
    directory = ModelDirectory.open(find_model(None))
    kept = KEPT / f"lfw-{directory.card.fingerprint[:16]}.npz"
    if not kept.is_file():
        vectors_BD, norms_B = _embed(directory, [file for _, file in files])
        KEPT.mkdir(exist_ok=True)
        partial = kept.with_name(f"partial-{kept.name}")
        np.savez(partial, vectors=vectors_BD, norms=norms_B)
        partial.replace(kept)
    with np.load(kept, allow_pickle=False) as content:
        vectors_BD, norms_B = content["vectors"], content["norms"]
    if len(vectors_BD) != len(files):
        raise SystemExit(f"{kept} is of other crops; delete it")
    person_B = np.array([number for number, _ in files], dtype=np.int64)
    return EmbeddedCrops(
        vectors_BD=vectors_BD, norms_B=norms_B, person_B=person_B, card=directory.card
    )


def _files(person: Path) -> list[Path]:
    return sorted(person.glob("*.jpg"))


def _embed(
    directory: ModelDirectory, files: list[Path]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    net = EmbeddingNet(directory)
    vectors_BD = np.empty((len(files), EMBEDDING_DIMENSION), np.float32)
    norms_B = np.empty(len(files), np.float32)
    for start in range(0, len(files), _CHUNK):
        chunk = files[start : start + _CHUNK]
        found = net.embed(np.stack([decode_photo(file.read_bytes()) for file in chunk]))
        vectors_BD[start : start + len(chunk)] = found.vectors
        norms_B[start : start + len(chunk)] = found.norms
    return vectors_BD, norms_B
