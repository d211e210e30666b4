"""What the shipped models and dlib's network reach on the people held out of the training folder.

The 150 sharp and 300 soft people of the preset ``shipped``, who trained no model of ours: misses
and first places among the sharp ones, what the threshold for one gallery size would be for them
and for everybody, the false matches to look at, and whether our reading of dlib's network gives
what dlib gives. Needs ../shared/data and `make bench`'s peer packages; takes minutes.

Shape legend: B images, D numbers of a vector, P probes, S subjects.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.open_set import nearness
from benchmarks.peers import add_peers, peer_network
from benchmarks.report import print_report
from embedding.error_rates import IdentificationRates, RateAtThreshold, threshold_by_size
from embedding.model import ModelDirectory, default_model, shipped_models
from embedding.runtime import EmbeddingNet
from training.data.opening import open_store
from training.data.split import Selection, split_store
from training.dlib_teacher import chip_of_crop, dlib_file, dlib_teacher
from training.presets import preset
from training.protocols import (
    NUM_TEMPLATES,
    OpenSetTable,
    embed_selection,
    open_set_rates,
    open_set_table,
)

DATA = Path(__file__).parents[2] / "shared" / "data" / "train"
FPIR, NUM_SUBJECTS = 0.01, 80
NUM_WORST, NUM_COMPARED = 16, 64

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def held_out() -> Selection:
    """The people whom the run behind the shipped model held out."""
    config = preset("shipped", data=DATA, run_folder=Path("unused")).data
    return split_store(open_store(DATA), config).holdout.without_unreadable()


def sharp_rates(table: OpenSetTable, people: Selection) -> IdentificationRates:
    """Misses and first places among the sharp people alone."""
    return open_set_rates(table.of_subjects(np.flatnonzero(people.sharp)), fpir=FPIR)


def thresholds(table: OpenSetTable, people: Selection) -> dict[str, float]:
    """The threshold at one gallery size, for the sharp people and for everybody."""
    sharp = table.of_subjects(np.flatnonzero(people.sharp))
    return {
        name: round(
            threshold_by_size(
                one.similarities_PS, one.own_subject_P, fpir=FPIR, num_subjects=NUM_SUBJECTS
            ).value,
            4,
        )
        for name, one in (("sharp", sharp), ("everybody", table))
    }


def worst_pairs(
    unit_BD: NDArray[np.float32], table: OpenSetTable, people: Selection
) -> list[tuple[str, str, float]]:
    """The pairs of people whom a stranger's search confuses most: image, template, similarity."""
    probes = np.arange(len(table.own_subject_P))
    others_PS = table.similarities_PS.copy()
    others_PS[probes, table.own_subject_P] = -np.inf
    pairs: dict[frozenset[int], tuple[str, str, float]] = {}
    for probe in np.argsort(-others_PS.max(axis=1), kind="stable").tolist():
        own, other = int(table.own_subject_P[probe]), int(others_PS[probe].argmax())
        templates = np.flatnonzero(people.labels_N == other)[:NUM_TEMPLATES]
        nearest = int(templates[(unit_BD[templates] @ unit_BD[probe]).argmax()])
        found = (people.key(probe), people.key(nearest), round(float(others_PS[probe, other]), 3))
        pairs.setdefault(frozenset((own, other)), found)
        if len(pairs) == NUM_WORST:
            break
    return list(pairs.values())


def largest_difference(ours: Embed, people: Selection) -> float:
    """Between our descriptors and those of dlib itself, of the same chips and their mirrors."""
    crops = people.crops(np.linspace(0, len(people) - 1, NUM_COMPARED).astype(np.int64))
    theirs = []
    for chip_HWC in map(chip_of_crop, crops):
        mirrored_HWC = np.ascontiguousarray(chip_HWC[:, ::-1])
        both = [peer_network().compute_face_descriptor(one) for one in (chip_HWC, mirrored_HWC)]
        theirs.append(np.mean(np.array(both), axis=0))
    return float(np.abs(np.stack(theirs) - ours(crops)).max())


def shipped_model(folder: Path) -> Embed:
    """One of our models, in the served mode."""
    net = EmbeddingNet(ModelDirectory.open(folder))
    return lambda crops_BHWC: net.embed(crops_BHWC).vectors


def _text(rate: RateAtThreshold) -> str:
    return f"{rate.rate:.1%} ({rate.num_errors} of {rate.num_trials})"


def _rows(
    rates: dict[str, IdentificationRates],
    limits: dict[str, dict[str, float]],
    worst: list[tuple[str, str, float]],
    difference: float,
) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, one in rates.items():
        rows.append((f"{name}: FNIR at FPIR {FPIR:.0%}", _text(one.fnir)))
        rows.append((f"{name}: rank-1", _text(one.rank1)))
    for name, values in limits.items():
        for group, value in values.items():
            rows.append((f"{name}: threshold at {NUM_SUBJECTS} people, {group}", value))
    rows.append(("dlib and our reading of it differ by at most", difference))
    for number, (one_key, other_key, similarity) in enumerate(worst, 1):
        pair = f"{one_key}, {other_key}: {similarity}"
        rows.append((f"{default_model()}: false match {number}", pair))
    return rows


def main() -> None:
    """Measures and prints."""
    if not DATA.is_dir():
        raise SystemExit(f"needs the team's face data in {DATA}")
    add_peers()
    people = held_out()
    dlib = dlib_teacher(dlib_file())
    descriptors_BD = embed_selection(dlib, people)
    table = open_set_table(descriptors_BD, people.labels_N, similarity=nearness)
    rates = {"dlib's network, on our crop": sharp_rates(table, people)}
    limits: dict[str, dict[str, float]] = {}
    worst: list[tuple[str, str, float]] = []
    for name, folder in shipped_models().items():
        unit_BD = embed_selection(shipped_model(folder), people)
        table = open_set_table(unit_BD, people.labels_N)
        rates[name], limits[name] = sharp_rates(table, people), thresholds(table, people)
        if name == default_model():
            worst = worst_pairs(unit_BD, table, people)
    difference = largest_difference(dlib, people)
    figures = {
        name: {
            f"fnir_at_fpir_{FPIR:g}": round(one.fnir.rate, 4),
            "rank1": round(one.rank1.rate, 4),
            f"threshold_at_{NUM_SUBJECTS}": limits.get(name),
        }
        for name, one in rates.items()
    }
    print_report(
        "holdout",
        ("what", "measured"),
        _rows(rates, limits, worst, difference),
        {
            "num_people": people.num_identities,
            "num_sharp": sum(people.sharp),
            "num_images": len(people),
            **figures,
            "dlib_difference": difference,
            "false_matches": worst,
        },
    )


if __name__ == "__main__":
    main()
