"""Whether a calibration keeps what it promises: galleries and strangers of LFW, split by person.

A test of the method alone: nothing that ships is chosen by it. People with at least four images
are enrolled with three; people with one image are strangers.

1. Half of the strangers, drawn at random, calibrate the whole gallery to FPIR 3 %; the FPIR of
   the other half must lie in the promised prediction interval. Twice: by the searches alone, and
   as shipped, where the model card's threshold is the floor below 3,000 searches.
2. Galleries of 10 and 50 people, drawn from those with at least three images, calibrate
   themselves to 1 %, 3 % and 5 %; the real FPIR is that of all strangers.
3. A quarter of the strangers as a cohort, half of them calibrating FPIR 1 %, 3 % and 5 %, the last
   quarter measured: the misses with normalised figures and without, and the real FPIR of both.

Needs ../shared/data.

Shapes: B crops, S subjects, P probes, D embedding dimension.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lfw_embeddings import EmbeddedCrops, lfw_embeddings
from benchmarks.report import print_report, print_table
from embedding.error_rates import rate_with_interval, smallest_threshold
from embedding.model import ModelCard, Threshold
from index.calibration.calibrating import Wanted, calibrate
from index.calibration.measuring import calibrated_points
from index.calibration.normalisation import MAX_COHORT, CohortNormalisation
from index.calibration.rules import MaxFusion
from index.calibration.searches import NonMated, search_strangers
from index.calibration.strangers import Strangers
from index.calibration.templates import GalleryTemplates

NUM_SPLITS = 200
NUM_TEMPLATES = 3
STRANGERS_FPIR = 0.03
OWN_FPIRS = (0.01, 0.03, 0.05)
OWN_SIZES = (10, 50)
NORMALISED = "normalised against a cohort"
PROMISED_SHARE, SAFE_SHARE = 0.90, 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """Who plays which part; nobody plays two.

    Attributes:
        enrolled: the crops of each person that can be enrolled, three or more.
        strangers: one crop of each person that has no other.
    """

    enrolled: tuple[NDArray[np.int64], ...]
    strangers: NDArray[np.int64]


def parts(crops: EmbeddedCrops) -> People:
    """Sort people by their number of images."""
    starts_S = np.flatnonzero(np.diff(crops.person_B, prepend=-1))
    images = np.split(np.arange(len(crops.person_B)), starts_S[1:])
    return People(
        enrolled=tuple(each for each in images if len(each) >= NUM_TEMPLATES),
        strangers=np.concatenate([each for each in images if len(each) == 1]),
    )


def gallery_of(people: list[NDArray[np.int64]], crops: EmbeddedCrops) -> GalleryTemplates:
    """A gallery of the first three images of each of these people."""
    chosen = np.stack([each[:NUM_TEMPLATES] for each in people])
    numbers = np.repeat(np.arange(len(people)), NUM_TEMPLATES)
    return GalleryTemplates.of_subjects(list(numbers), crops.vectors_BD[chosen.ravel()])


def mated_similarities(
    people: list[NDArray[np.int64]], gallery: GalleryTemplates, crops: EmbeddedCrops
) -> NDArray[np.float32]:
    """What the images that are not enrolled reach with their own subjects; -1 if not first."""
    own_P = np.repeat(np.arange(len(people)), [len(each) - NUM_TEMPLATES for each in people])
    probes = np.concatenate([each[NUM_TEMPLATES:] for each in people])
    similarities_PS = MaxFusion().similarities(crops.vectors_BD[probes], gallery)
    reached_P: NDArray[np.float32] = similarities_PS[np.arange(len(probes)), own_P]
    return np.where(similarities_PS.argmax(axis=1) == own_P, reached_P, np.float32(-1.0))


def strangers_of(images: NDArray[np.int64], crops: EmbeddedCrops) -> Strangers:
    """Strangers with these images."""
    return Strangers(vectors_PD=crops.vectors_BD[images], person_P=crops.person_B[images])


def without_floor(card: ModelCard) -> ModelCard:
    """The same card with thresholds that never raise anything."""
    lowest = tuple(
        Threshold(
            value=-1.0,
            low=-1.0,
            high=-1.0,
            fpir=each.fpir,
            num_subjects=each.num_subjects,
            num_probes=each.num_probes,
            extrapolated=False,
        )
        for each in card.thresholds
    )
    return replace(card, thresholds=lowest)


def promised(
    searches: NonMated, card: ModelCard, *, num_splits: int, seed: int
) -> dict[str, object]:
    """How often the FPIR of the other half lies in the interval that the first half promised."""
    rng = np.random.default_rng(seed)
    people = np.unique(searches.person_P)
    inside, above, rates, widths, of_threshold = 0, 0, [], [], 0
    everybody = calibrated_points(
        searches, card=card, fpirs=[STRANGERS_FPIR], num_subjects=searches.num_subjects
    )[0]
    for _ in range(num_splits):
        half = rng.permutation(people)[: len(people) // 2]
        first_P = np.isin(searches.person_P, half)
        calibrating = replace(
            searches,
            best_P=searches.best_P[first_P],
            person_P=searches.person_P[first_P],
            quarters_PQ=None,
        )
        measured_P = searches.best_P[~first_P]
        point = calibrated_points(
            calibrating,
            card=card,
            fpirs=[STRANGERS_FPIR],
            num_subjects=searches.num_subjects,
            num_future=len(measured_P),
        )[0]
        rate = float((measured_P >= point.value).mean())
        inside += point.predicted_low <= rate <= point.predicted_high
        above += rate > STRANGERS_FPIR
        of_threshold += point.low <= everybody.measured <= point.high
        rates.append(rate)
        widths.append(point.predicted_high - point.predicted_low)
    return {
        "inside": inside / num_splits,
        "threshold_inside": of_threshold / num_splits,
        "above_wanted": above / num_splits,
        "rate_median": float(np.median(rates)),
        "rate_5_to_95": [round(float(each), 4) for each in np.quantile(rates, [0.05, 0.95])],
        "width_median": float(np.median(widths)),
        "num_calibrating": len(people) // 2,
    }


def by_themselves(
    crops: EmbeddedCrops, people: People, card: ModelCard, *, size: int, num_splits: int, seed: int
) -> dict[float, dict[str, object]]:
    """What strangers really reach in small galleries that calibrated themselves."""
    rng = np.random.default_rng([seed, size])
    strangers = strangers_of(people.strangers, crops)
    rates: dict[float, list[float]] = {fpir: [] for fpir in OWN_FPIRS}
    misses: dict[float, list[float]] = {fpir: [] for fpir in OWN_FPIRS}
    inside = dict.fromkeys(OWN_FPIRS, 0)
    for _ in range(num_splits):
        drawn = rng.permutation(len(people.enrolled))[:size]
        gallery = gallery_of([people.enrolled[each] for each in drawn], crops)
        made = calibrate(
            gallery,
            card=card,
            fingerprint=card.fingerprint,
            wanted=Wanted(fpirs=OWN_FPIRS, num_future=len(people.strangers)),
        )
        best_P = search_strangers(strangers, gallery, rule=MaxFusion()).best_P
        mated_P = mated_similarities([people.enrolled[each] for each in drawn], gallery, crops)
        for point in made.points:
            misses[point.fpir].append(float((mated_P < point.value).mean()))
            rate = float((best_P >= point.value).mean())
            rates[point.fpir].append(rate)
            inside[point.fpir] += point.predicted_low <= rate <= point.predicted_high
    return {
        fpir: {
            "not_above": float(np.mean([rate <= fpir for rate in found])),
            "inside": inside[fpir] / num_splits,
            "median": float(np.median(found)),
            "highest": float(np.max(found)),
            "fnir_median": float(np.median(misses[fpir])),
        }
        for fpir, found in rates.items()
    }


def normalised(
    crops: EmbeddedCrops,
    people: People,
    gallery: GalleryTemplates,
    mated: tuple[NDArray[np.float64], NDArray[np.float32]],
    *,
    num_splits: int,
    seed: int,
) -> dict[float, dict[str, object]]:
    """What a cohort does to the misses at an equal FPIR, on people used for nothing else.

    Args:
        crops: all of them.
        people: whose strangers are split.
        gallery: that is searched.
        mated: what the images that are not enrolled reach, and their embeddings.
        num_splits: random ones.
        seed: of them.
    """
    rng = np.random.default_rng([seed, 3])
    reached_P, probes_PD = mated
    strangers = strangers_of(people.strangers, crops)
    best_P = search_strangers(strangers, gallery, rule=MaxFusion()).best_P
    found: dict[float, list[tuple[float, ...]]] = {fpir: [] for fpir in OWN_FPIRS}
    for _ in range(num_splits):
        order = rng.permutation(len(best_P))
        cohort, measured, first = np.split(order, [len(order) // 4, len(order) // 2])
        made = CohortNormalisation.of_vectors(strangers.vectors_PD[cohort[:MAX_COHORT]])
        figure_P = made.figures(strangers.vectors_PD, best_P)
        own_figure_P = made.figures(probes_PD, reached_P)
        for fpir, rows in found.items():
            row = []
            for searches, own in ((best_P, reached_P), (figure_P, own_figure_P)):
                threshold = smallest_threshold(searches[first], fpir)
                is_missed_P = (own < threshold) | (reached_P <= -1.0)
                row += [is_missed_P.mean(), (searches[measured] >= threshold).mean()]
            rows.append(tuple(float(each) for each in row))
    answer: dict[float, dict[str, object]] = {}
    for fpir, rows in found.items():
        columns = np.array(rows)
        gain = columns[:, 2] - columns[:, 0]
        answer[fpir] = {
            "fnir_plain": float(np.median(columns[:, 0])),
            "fnir_normalised": float(np.median(columns[:, 2])),
            "difference_2.5_to_97.5": [
                round(float(each), 4) for each in np.quantile(gain, [0.025, 0.975])
            ],
            "fpir_plain": float(np.median(columns[:, 1])),
            "fpir_normalised": float(np.median(columns[:, 3])),
        }
    return answer


def measure(*, num_splits: int = NUM_SPLITS, seed: int = 0) -> dict[str, Any]:
    """All figures of the two questions, for the last line of a benchmark."""
    crops = lfw_embeddings()
    people = parts(crops)
    enrolled = [each for each in people.enrolled if len(each) > NUM_TEMPLATES]
    gallery = gallery_of(enrolled, crops)
    searches = search_strangers(strangers_of(people.strangers, crops), gallery, rule=MaxFusion())
    bare = without_floor(crops.card)
    figures: dict[str, Any] = {
        "num_splits": num_splits,
        "num_subjects": gallery.num_subjects,
        "num_strangers": len(people.strangers),
        "num_people_for_small_galleries": len(people.enrolled),
        "fpir": STRANGERS_FPIR,
        "searches alone": promised(searches, bare, num_splits=num_splits, seed=seed),
        "as shipped": promised(searches, crops.card, num_splits=num_splits, seed=seed),
    }
    for size in OWN_SIZES:
        for name, card in (("as shipped", crops.card), ("without the card", bare)):
            figures[f"{size} people, {name}"] = by_themselves(
                crops, people, card, size=size, num_splits=num_splits, seed=seed
            )
    mated = mated_similarities(enrolled, gallery, crops).astype(np.float64)
    probes = np.concatenate([each[NUM_TEMPLATES:] for each in enrolled])
    figures[NORMALISED] = normalised(
        crops,
        people,
        gallery,
        (mated, crops.vectors_BD[probes]),
        num_splits=num_splits,
        seed=seed,
    )
    figures["met"] = _met(figures)
    return figures


def _met(figures: Mapping[str, Any]) -> dict[str, bool]:
    """Whether what is asked of calibrations holds."""
    return {
        "inside the prediction in 90 % of splits": all(
            figures[name]["inside"] >= PROMISED_SHARE for name in ("searches alone", "as shipped")
        ),
        "small galleries not above the wanted FPIR in 95 % of splits": all(
            each["not_above"] >= SAFE_SHARE
            for size in OWN_SIZES
            for each in figures[f"{size} people, as shipped"].values()
        ),
    }


def _rows(figures: Mapping[str, object]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, values in figures.items():
        if not isinstance(values, dict) or name in (NORMALISED, "met"):
            continue
        if "inside" in values:
            rows.append((f"other half, {name}", f"{STRANGERS_FPIR:.0%}", *_shares(values)))
        else:
            rows += [(name, f"{fpir:.0%}", *_shares(each)) for fpir, each in values.items()]
    return rows


def _shares(values: Mapping[str, float]) -> tuple[str, ...]:
    not_above = values.get("not_above", 1.0 - values.get("above_wanted", 0.0))
    median = values.get("median", values.get("rate_median", 0.0))
    missed = values.get("fnir_median")
    return (
        f"{values['inside']:.1%}",
        f"{not_above:.1%}",
        f"{median:.2%}",
        "" if missed is None else f"{missed:.1%}",
    )


_SHOWN = ("fnir_plain", "fnir_normalised", "fpir_plain", "fpir_normalised")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=NUM_SPLITS)
    figures = measure(num_splits=parser.parse_args().splits)
    num_splits = int(str(figures["num_splits"]))
    interval = rate_with_interval(round(PROMISED_SHARE * num_splits), num_splits)
    print_table(
        "the same threshold rate, plain and normalised, median over splits",
        ("wanted FPIR", "FNIR plain", "FNIR normalised", "FPIR plain", "FPIR normalised"),
        [
            (f"{fpir:.0%}", *(f"{each[name]:.2%}" for name in _SHOWN))
            for fpir, each in figures[NORMALISED].items()
        ],
    )
    print_report(
        "calibration_splits",
        ("what", "wanted FPIR", "inside the interval", "not above", "median FPIR", "FNIR"),
        _rows(figures),
        {**figures, "noise_of_a_share_of_0.9": [round(interval.low, 3), round(interval.high, 3)]},
    )


if __name__ == "__main__":
    main()
