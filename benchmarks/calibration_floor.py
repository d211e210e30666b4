"""Whether the model card's thresholds hold in small galleries of other photographs.

The rule of `index.calibration.floor`, that a gallery whose searches support no rate takes the
card's next stricter one, was decided by this: 40 people on photographs that are in neither
training nor LFW. Ten of them, drawn at random, are enrolled with three photos; the largest face
of each photo of the others is searched for.

Needs ../shared/data.

Shapes: P photos, D embedding dimension.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import DATA
from benchmarks.report import print_report
from embedding.embedder import FaceEmbedder
from embedding.model import ModelCard
from index.calibration.floor import card_fpirs
from index.calibration.rules import MaxFusion
from index.calibration.templates import GalleryTemplates

NUM_DRAWS = 200
NUM_ENROLLED = 10
NUM_TEMPLATES = 3


def largest_faces(embedder: FaceEmbedder) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings (P, D) of the largest face of each photo that has one, and whose (P,)."""
    vectors, owners = [], []
    people = sorted(path for path in (DATA / "photos").iterdir() if path.is_dir())
    for number, person in enumerate(people):
        for file in sorted(person.glob("*.jpg")):
            faces = embedder.analyze(file.read_bytes()).faces
            if faces:
                vectors.append(faces[0].embedding)
                owners.append(number)
    return np.stack(vectors), np.array(owners)


def rates(
    vectors_PD: NDArray[np.float32],
    person_P: NDArray[np.int64],
    *,
    card: ModelCard,
    num_draws: int,
    seed: int,
) -> dict[float, NDArray[np.float64]]:
    """The FPIR of each draw at the card's threshold, by the FPIR that it stands for."""
    rng = np.random.default_rng(seed)
    thresholds = {
        fpir: card.threshold(fpir=fpir, num_subjects=NUM_ENROLLED).value
        for fpir in card_fpirs(card)
    }
    found: dict[float, list[float]] = {fpir: [] for fpir in thresholds}
    for _ in range(num_draws):
        enrolled = rng.permutation(person_P.max() + 1)[:NUM_ENROLLED]
        places = [np.flatnonzero(person_P == each)[:NUM_TEMPLATES] for each in enrolled]
        owners = [number for number, own in enumerate(places) for _ in own]
        gallery = GalleryTemplates.of_subjects(owners, vectors_PD[np.concatenate(places)])
        strangers_P = ~np.isin(person_P, enrolled)
        best_P = MaxFusion().similarities(vectors_PD[strangers_P], gallery).max(axis=1)
        for fpir, threshold in thresholds.items():
            found[fpir].append(float((best_P >= threshold).mean()))
    return {fpir: np.array(each) for fpir, each in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=NUM_DRAWS, help="galleries")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    embedder = FaceEmbedder.open()
    vectors_PD, person_P = largest_faces(embedder)
    measured = rates(
        vectors_PD, person_P, card=embedder.card, num_draws=arguments.draws, seed=arguments.seed
    )
    figures = {
        f"{fpir:g}": {
            "median": float(np.median(each)),
            "95th percentile": float(np.quantile(each, 0.95)),
        }
        for fpir, each in measured.items()
    }
    print_report(
        "calibration floor",
        ("the card's FPIR", "in galleries of ten"),
        [
            (fpir, f"median {each['median']:.1%}, 95th percentile {each['95th percentile']:.1%}")
            for fpir, each in figures.items()
        ],
        {"num_photos": len(vectors_PD), "fpir": figures},
    )


if __name__ == "__main__":
    main()
