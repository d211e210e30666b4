"""Who is missed and who is mistaken among strangers: our models and `face_recognition`, on LFW.

Of the team's aligned LFW crops, the people with at least four images are enrolled with three, the
rest of theirs are searched for, and the people with one image are strangers. All systems see the
same images in one run, under the same two fusions. The peer is measured twice: as it is used,
finding the face itself (a missed face is a miss), and its network alone, on the crop moved to
where it wants the eyes. Needs `make bench`'s peer packages and ../shared/data.

Shape legend: P probes, S subjects, D numbers of a vector.
"""

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.peers import PEER_PACKAGES
from benchmarks.report import print_report
from embedding.error_rates import (
    IdentificationRates,
    RateAtThreshold,
    identification_rates,
    smallest_threshold,
)
from embedding.model import ModelDirectory, default_model, shipped_models
from embedding.runtime import EmbeddingNet
from training.dlib_teacher import chip_of_crop

LFW = Path(__file__).parents[2] / "shared" / "data" / "lfw" / "aligned"
NUM_TEMPLATES, MIN_ENROLLED_IMAGES = 3, 4
FPIRS = (0.01, 0.001)
CHUNK = 64
# The peer detects faces with surroundings; a tight crop gets a frame of this many pixels.
FRAME_PX = 40

Vectors = dict[Path, NDArray[np.float32]]
# (P, D) probes and (S, D) references -> (P, S) similarities.
Similarity = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSet:
    """Images of the protocol; a subject is a position in `enrolled`."""

    enrolled: tuple[tuple[Path, ...], ...]
    mated: tuple[tuple[int, Path], ...]
    strangers: tuple[Path, ...]

    @property
    def images(self) -> list[Path]:
        """All of them."""
        templates = [file for files in self.enrolled for file in files]
        return [*templates, *(file for _, file in self.mated), *self.strangers]


def read_protocol(folder: Path) -> OpenSet:
    """The protocol over a folder with one subfolder a person."""
    enrolled: list[tuple[Path, ...]] = []
    mated: list[tuple[int, Path]] = []
    strangers: list[Path] = []
    for person in sorted(folder.iterdir()):
        files = sorted(person.glob("*.jpg"))
        if len(files) >= MIN_ENROLLED_IMAGES:
            mated += [(len(enrolled), file) for file in files[NUM_TEMPLATES:]]
            enrolled.append(tuple(files[:NUM_TEMPLATES]))
        elif len(files) == 1:
            strangers += files
    return OpenSet(enrolled=tuple(enrolled), mated=tuple(mated), strangers=tuple(strangers))


def _pixels(file: Path) -> NDArray[np.uint8]:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def our_vectors(net: EmbeddingNet, files: list[Path]) -> Vectors:
    """Unit embeddings in the served mode."""
    vectors: Vectors = {}
    for start in range(0, len(files), CHUNK):
        chunk = files[start : start + CHUNK]
        crops_BHWC = np.stack([_pixels(file) for file in chunk])
        vectors |= zip(chunk, net.embed(crops_BHWC).vectors, strict=True)
    return vectors


@cache
def _peer_network() -> Any:  # noqa: ANN401 (the library is untyped)
    sys.path.insert(0, str(PEER_PACKAGES))
    import dlib
    import face_recognition_models

    return dlib.face_recognition_model_v1(
        face_recognition_models.face_recognition_model_location()
    )


def _peer_on_crop(file: Path) -> NDArray[np.float32] | None:
    chip_HWC = chip_of_crop(_pixels(file))
    return np.array(_peer_network().compute_face_descriptor(chip_HWC), np.float32)


def _peer_as_used(file: Path) -> NDArray[np.float32] | None:
    sys.path.insert(0, str(PEER_PACKAGES))
    import face_recognition

    framed_HWC = np.pad(_pixels(file), ((FRAME_PX, FRAME_PX), (FRAME_PX, FRAME_PX), (0, 0)))
    found = face_recognition.face_encodings(framed_HWC)
    return np.asarray(found[0], np.float32) if found else None


def peer_vectors(
    embed: Callable[[Path], NDArray[np.float32] | None], files: list[Path]
) -> Vectors:
    """The peer's vectors; a file without a face has none."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(embed, files, chunksize=16)
        return {
            file: vector for file, vector in zip(files, found, strict=True) if vector is not None
        }


def cosine(
    probes_PD: NDArray[np.float32], references_SD: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Similarity of unit vectors."""
    similarities_PS: NDArray[np.float32] = probes_PD @ references_SD.T
    return similarities_PS


def nearness(
    probes_PD: NDArray[np.float32], references_SD: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Minus the Euclidean distance, which is how the peer compares."""
    squares_PS = (
        (probes_PD**2).sum(axis=1)[:, None]
        + (references_SD**2).sum(axis=1)
        - 2 * probes_PD @ references_SD.T
    )
    nearness_PS: NDArray[np.float32] = -np.sqrt(np.maximum(squares_PS, 0.0))
    return nearness_PS


def _centroid(vectors_D: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The mean direction, as long as its vectors are on average."""
    mean_D = np.mean(vectors_D, axis=0)
    length = np.mean([np.linalg.norm(one) for one in vectors_D])
    centroid_D: NDArray[np.float32] = mean_D * (length / np.linalg.norm(mean_D))
    return centroid_D


def fused(
    protocol: OpenSet,
    vectors: Vectors,
    probes_PD: NDArray[np.float32],
    *,
    fusion: str,
    similarity: Similarity,
) -> NDArray[np.float32]:
    """(P, S) similarities of probes to subjects; -inf where no template has a face."""
    columns = []
    for files in protocol.enrolled:
        templates = [vectors[file] for file in files if file in vectors]
        if not templates:
            columns.append(np.full(len(probes_PD), -np.inf, np.float32))
        elif fusion == "maximum":
            columns.append(similarity(probes_PD, np.stack(templates)).max(axis=1))
        else:
            columns.append(similarity(probes_PD, _centroid(templates)[None])[:, 0])
    return np.stack(columns, axis=1)


# What a search without a face, or for somebody without a template, scores: below everything.
LOWEST = -1e6


def rates(
    protocol: OpenSet, vectors: Vectors, *, fusion: str, similarity: Similarity
) -> list[IdentificationRates]:
    """FNIR, FPIR and rank-1 at the smallest threshold for each wanted FPIR."""

    def table(files: Iterable[Path]) -> NDArray[np.float32]:
        seen = [vectors.get(file) for file in files]
        length = len(next(iter(vectors.values())))
        probes_PD = np.stack([np.zeros(length, np.float32) if v is None else v for v in seen])
        found_PS = fused(protocol, vectors, probes_PD, fusion=fusion, similarity=similarity)
        found_PS[[v is None for v in seen]] = LOWEST
        return np.maximum(found_PS, LOWEST)

    mated_PS = table(file for _, file in protocol.mated)
    best_stranger_P = table(protocol.strangers).max(axis=1)
    own_P = np.array([subject for subject, _ in protocol.mated])
    rows = np.arange(len(own_P))
    similarity_P = mated_PS[rows, own_P]
    mated_PS[rows, own_P] = -np.inf
    return [
        identification_rates(
            mated_similarity_M=similarity_P,
            mated_is_first_M=similarity_P > np.maximum(mated_PS.max(axis=1), LOWEST),
            best_non_mated_N=best_stranger_P,
            threshold=smallest_threshold(best_stranger_P, fpir),
            num_subjects=len(protocol.enrolled),
        )
        for fpir in FPIRS
    ]


def _text(rate: RateAtThreshold) -> str:
    return f"{rate.rate:.1%} ({rate.num_errors} of {rate.num_trials})"


def main() -> None:
    """Measures every system and prints."""
    if not LFW.is_dir():
        raise SystemExit(f"needs the team's face data in {LFW}")
    if not PEER_PACKAGES.is_dir():
        raise SystemExit("the peer's packages are missing; run make bench, which fetches them")
    protocol = read_protocol(LFW)
    files = protocol.images
    systems: dict[str, tuple[Vectors, Similarity]] = {
        "face_recognition, as used": (peer_vectors(_peer_as_used, files), nearness),
        "face_recognition, on the crop": (peer_vectors(_peer_on_crop, files), nearness),
    }
    for name, folder in shipped_models().items():
        mark = " (default)" if name == default_model() else ""
        net = EmbeddingNet(ModelDirectory.open(folder))
        systems[f"{name}{mark}"] = (our_vectors(net, files), cosine)
    rows, figures = [], {}
    for name, (vectors, similarity) in systems.items():
        for fusion in ("maximum", "centroid"):
            at = rates(protocol, vectors, fusion=fusion, similarity=similarity)
            rows.append(
                (
                    name,
                    fusion,
                    len(files) - len(vectors),
                    _text(at[0].rank1),
                    *(_text(one.fnir) for one in at),
                )
            )
            figures[f"{name}, {fusion}"] = {
                "no_face": len(files) - len(vectors),
                "rank1": round(at[0].rank1.rate, 4),
                **{
                    f"fnir_at_fpir_{fpir:g}": {
                        "fnir": round(one.fnir.rate, 4),
                        "low": round(one.fnir.low, 4),
                        "high": round(one.fnir.high, 4),
                        "false_positives": f"{one.fpir.num_errors} of {one.fpir.num_trials}",
                    }
                    for fpir, one in zip(FPIRS, at, strict=True)
                },
            }
    print_report(
        "open_set",
        ("system", "fusion", "no face", "rank-1", *(f"FNIR at FPIR {one:.1%}" for one in FPIRS)),
        rows,
        {
            "num_subjects": len(protocol.enrolled),
            "num_mated": len(protocol.mated),
            "num_strangers": len(protocol.strangers),
            **figures,
        },
    )


if __name__ == "__main__":
    main()
