"""Who is missed and who is mistaken among strangers: our models and `face_recognition`, on LFW.

Of the team's aligned LFW crops, the people with at least four images are enrolled with three, the
rest of theirs are searched for, and the people with one image are strangers: the protocol of
``python -m training evaluate --lfw``. All systems see the same images in one run, under the same
two fusions. The peer is measured twice: as it is used, finding the face itself (a missed face is
a miss), and its network alone, on the crop moved to where it wants the eyes. Needs `make bench`'s
peer packages and ../shared/data; ``--ours`` leaves the peer out.

Shape legend: B images, R searches, S subjects, T templates, D numbers of a vector.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import add_peers, peer_network
from benchmarks.report import print_report
from embedding.error_rates import IdentificationRates, RateAtThreshold, smallest_threshold
from embedding.model import (
    EMBEDDING_DIMENSION,
    ModelCard,
    ModelDirectory,
    default_model,
    find_model,
    shipped_models,
)
from embedding.runtime import EmbeddingNet
from training.data.opening import open_store
from training.data.split import Selection, select_all
from training.dlib_teacher import chip_of_crop
from training.evaluation.open_set import OpenSet, plan_open_set
from training.evaluation.points import FPIRS, rates_at
from training.evaluation.searches import FUSIONS, Fusion, Searches, search_all, search_by
from training.protocols import CHUNK, NUM_TEMPLATES

LFW = Path(__file__).parents[2] / "shared" / "data" / "lfw" / "aligned"
# The peer detects faces with surroundings; a tight crop gets a frame of this many pixels.
FRAME_PX = 40
DEFAULT_MARK = " (default)"
# What a card's thresholds for match and review stand for.
CARD_FPIRS = (0.01, 0.05)
# Minus the distance of a search without a face, or to somebody without a template: farther than
# any two descriptors of the peer, and still above what stands for no search at all.
NO_FACE = np.float32(-1.99)

Vector = NDArray[np.float32]
# What a system finds under a fusion.
Search = Callable[[Fusion], Searches]


def _peer_on_crop(crop_HWC: NDArray[np.uint8]) -> Vector | None:
    return np.array(peer_network().compute_face_descriptor(chip_of_crop(crop_HWC)), np.float32)


def _peer_as_used(crop_HWC: NDArray[np.uint8]) -> Vector | None:
    add_peers()
    import face_recognition

    framed_HWC = np.pad(crop_HWC, ((FRAME_PX, FRAME_PX), (FRAME_PX, FRAME_PX), (0, 0)))
    found = face_recognition.face_encodings(framed_HWC)
    return np.asarray(found[0], np.float32) if found else None


def peer_vectors(
    embed: Callable[[NDArray[np.uint8]], Vector | None], people: Selection, open_set: OpenSet
) -> dict[int, Vector]:
    """The peer's vectors by image; one without a face has none."""
    images = used_images(open_set)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(embed, (people.crop(one) for one in images), chunksize=16)
        return {
            image: vector
            for image, vector in zip(images, found, strict=True)
            if vector is not None
        }


def nearness(probes_RD: Vector, references_SD: Vector) -> NDArray[np.float32]:
    """Minus the Euclidean distance, which is how the peer compares."""
    squares_RS = (
        (probes_RD**2).sum(axis=1)[:, None]
        + (references_SD**2).sum(axis=1)
        - 2 * probes_RD @ references_SD.T
    )
    nearness_RS: NDArray[np.float32] = -np.sqrt(np.maximum(squares_RS, 0.0))
    return nearness_RS


def _centroid(vectors_TD: list[Vector]) -> Vector:
    """The mean direction, as long as its vectors are on average."""
    mean_D = np.mean(vectors_TD, axis=0)
    length = np.mean([np.linalg.norm(one) for one in vectors_TD])
    centroid_D: Vector = mean_D * (length / np.linalg.norm(mean_D))
    return centroid_D


def search_peer(vectors: dict[int, Vector], open_set: OpenSet, fusion: Fusion) -> Searches:
    """What the peer finds; whoever has no face, or no template with one, is found by nobody."""
    references: list[list[Vector]] = []
    for images_T in open_set.templates_ST.tolist():
        seen = [vectors[image] for image in images_T if image in vectors]
        references.append([_centroid(seen)] if seen and fusion == "centroid" else seen)

    def similarities_of(probes_R: NDArray[np.int64]) -> NDArray[np.float32]:
        similarities_RS = np.full((len(probes_R), len(references)), NO_FACE)
        seen = [place for place, image in enumerate(probes_R.tolist()) if image in vectors]
        probes_RD = np.stack([vectors[int(probes_R[place])] for place in seen])
        for subject, templates in enumerate(references):
            if templates:
                near_RT = nearness(probes_RD, np.stack(templates))
                similarities_RS[seen, subject] = np.maximum(near_RT.max(axis=1), NO_FACE)
        return similarities_RS

    return search_by(similarities_of, open_set)


def _rates(open_set: OpenSet, searches: Searches) -> list[IdentificationRates]:
    """FNIR, FPIR and rank-1 at the smallest threshold for each wanted FPIR."""
    strangers_N = searches.best_other_R[open_set.is_stranger_R]
    return [rates_at(open_set, searches, smallest_threshold(strangers_N, one)) for one in FPIRS]


def search_ours(unit_BD: NDArray[np.float32], open_set: OpenSet, fusion: Fusion) -> Searches:
    """What one of our models finds."""
    return search_all(unit_BD, open_set, fusion=fusion)


def peers(people: Selection, open_set: OpenSet) -> dict[str, tuple[int, Search]]:
    """Images without a face, and the search, of the peer in both ways."""
    num_images = len(used_images(open_set))
    systems: dict[str, tuple[int, Search]] = {}
    for name, embed in (("as used", _peer_as_used), ("on the crop", _peer_on_crop)):
        vectors = peer_vectors(embed, people, open_set)
        search = partial(search_peer, vectors, open_set)
        systems[f"face_recognition, {name}"] = (num_images - len(vectors), search)
    return systems


def ours(people: Selection, open_set: OpenSet) -> dict[str, tuple[int, Search]]:
    """The same of the shipped models, in the served mode."""
    images = used_images(open_set)
    systems: dict[str, tuple[int, Search]] = {}
    for name, folder in shipped_models().items():
        mark = DEFAULT_MARK if name == default_model() else ""
        net = EmbeddingNet(ModelDirectory.open(folder))
        unit_BD = np.zeros((len(people), EMBEDDING_DIMENSION), np.float32)
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            unit_BD[chunk] = net.embed(people.crops(chunk)).vectors
        systems[f"{name}{mark}"] = (0, partial(search_ours, unit_BD, open_set))
    return systems


def used_images(open_set: OpenSet) -> list[int]:
    """Images that are enrolled or search."""
    return sorted({*open_set.templates_ST.ravel().tolist(), *open_set.probes_R.tolist()})


def _text(rate: RateAtThreshold) -> str:
    return f"{rate.rate:.1%} ({rate.num_errors} of {rate.num_trials})"


def _figures(no_face: int, rates: list[IdentificationRates]) -> dict[str, object]:
    """Of one system under one fusion, for the last line."""
    at = {
        f"fnir_at_fpir_{fpir:g}": {
            "fnir": round(one.fnir.rate, 4),
            "low": round(one.fnir.low, 4),
            "high": round(one.fnir.high, 4),
            "false_positives": f"{one.fpir.num_errors} of {one.fpir.num_trials}",
        }
        for fpir, one in zip(FPIRS, rates, strict=True)
    }
    return {"no_face": no_face, "rank1": round(rates[0].rank1.rate, 4), **at}


def _shares_at(card: ModelCard, open_set: OpenSet, searches: Searches) -> dict[str, object]:
    """What the thresholds of a card mean among these people, for their number."""
    shares: dict[str, object] = {}
    for fpir in CARD_FPIRS:
        threshold = card.threshold(fpir=fpir, num_subjects=open_set.num_subjects).value
        rates = rates_at(open_set, searches, threshold)
        shares[f"card_fpir_{fpir:g}"] = {
            "threshold": round(threshold, 4),
            "named": _text(rates.fpir),
            "missed": _text(rates.fnir),
        }
    return shares


def main() -> None:
    """Measures every system and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", action="store_true", help="leave the peer out")
    only_ours = parser.parse_args().ours
    if not LFW.is_dir():
        raise SystemExit(f"needs the team's face data in {LFW}")
    people = select_all(open_store(LFW))
    open_set = plan_open_set(
        people.labels_N, num_templates=NUM_TEMPLATES, stranger_max_images=1, name="LFW"
    )
    systems = ({} if only_ours else peers(people, open_set)) | ours(people, open_set)
    rows, figures = [], {}
    for name, (no_face, search) in systems.items():
        for fusion in FUSIONS:
            searches = search(fusion)
            rates = _rates(open_set, searches)
            fnirs = [_text(one.fnir) for one in rates]
            rows.append((name, fusion, no_face, _text(rates[0].rank1), *fnirs))
            figures[f"{name}, {fusion}"] = _figures(no_face, rates)
            if fusion == "maximum" and name.endswith(DEFAULT_MARK):
                card = ModelDirectory.open(find_model(None)).card
                figures["at the card's thresholds"] = _shares_at(card, open_set, searches)
    print_report(
        "open_set",
        ("system", "fusion", "no face", "rank-1", *(f"FNIR at FPIR {one:.1%}" for one in FPIRS)),
        rows,
        {
            "num_subjects": open_set.num_subjects,
            "num_mated": int(open_set.is_mated_R.sum()),
            "num_strangers": int(open_set.is_stranger_R.sum()),
            **figures,
        },
    )


if __name__ == "__main__":
    main()
