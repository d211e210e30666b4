"""Non-mated searches: what strangers reach in a gallery.

Shapes: P probes, S subjects, T templates, D embedding dimension, Q quarters of the gallery.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.calibration.rules import ManyProbesFusion
from index.calibration.strangers import Strangers
from index.calibration.templates import GalleryTemplates

MIN_SUBJECTS = 2
"""A gallery that searches itself needs somebody else in it."""

NUM_QUARTERS = 4
MIN_SUBJECTS_FOR_QUARTERS = 8
"""Two to a quarter: when the probe's own subject is left out, one is left."""

_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NonMated:
    """Searches of people who are not in the gallery that they search.

    Attributes:
        best_P: float64, the best fused similarity of each search.
        person_P: whose search it is. Two people of a gallery that searches itself who are each
            other's nearest count as one: the same pair of faces speaks in both searches.
        quarters_PQ: the best similarity in each quarter of the subjects, drawn at random; None
            for a gallery too small to be quartered.
        num_subjects: size of the gallery that each search met.
    """

    best_P: NDArray[np.float64]
    person_P: NDArray[np.int64]
    quarters_PQ: NDArray[np.float64] | None
    num_subjects: int

    @property
    def num_probes(self) -> int:
        """Searches."""
        return len(self.best_P)

    def of_people(self, people: NDArray[np.int64]) -> "NonMated":
        """Return the searches of these people alone."""
        own_P = np.isin(self.person_P, people)
        quarters_PQ = self.quarters_PQ
        return replace(
            self,
            best_P=self.best_P[own_P],
            person_P=self.person_P[own_P],
            quarters_PQ=None if quarters_PQ is None else quarters_PQ[own_P],
        )

    @property
    def num_people(self) -> int:
        """People, pairs that speak together counted once."""
        return len(np.unique(self.person_P))


def search_strangers(
    strangers: Strangers, gallery: GalleryTemplates, *, rule: ManyProbesFusion, seed: int = 0
) -> NonMated:
    """Search a gallery for people who are not in it.

    Args:
        strangers: at least one probe.
        gallery: the whole one.
        rule: fuses a subject's templates.
        seed: of the quarters.
    """
    best_P, _, quarters_PQ = _search(
        strangers.vectors_PD, None, gallery, rule=rule, rng=np.random.default_rng(seed)
    )
    return NonMated(
        best_P=best_P,
        person_P=strangers.person_P,
        quarters_PQ=quarters_PQ,
        num_subjects=gallery.num_subjects,
    )


def search_itself(
    gallery: GalleryTemplates, *, rule: ManyProbesFusion, max_probes: int, seed: int = 0
) -> NonMated:
    """Search a gallery for each of its templates, each time without that template's subject.

    Args:
        gallery: at least two subjects.
        rule: fuses a subject's templates.
        max_probes: of more templates, those of so many people drawn at random are searched for.
        seed: of the draw and the quarters.

    Raises:
        RequestInvalid: fewer than two subjects.
    """
    if gallery.num_subjects < MIN_SUBJECTS:
        raise RequestInvalid(
            f"a gallery that calibrates itself needs at least {MIN_SUBJECTS} people, but this one "
            f"has {gallery.num_subjects}; calibrate it with strangers"
        )
    rng = np.random.default_rng(seed)
    subject_T = gallery.owners()
    place_P = np.arange(len(subject_T))
    if len(place_P) > max_probes:
        rank_S = rng.permutation(gallery.num_subjects)
        place_P = np.sort(np.argsort(rank_S[subject_T], kind="stable")[:max_probes])
    own_P = subject_T[place_P]
    best_P, nearest_P, quarters_PQ = _search(
        gallery.vectors_TD[place_P], own_P, gallery, rule=rule, rng=rng
    )
    return NonMated(
        best_P=best_P,
        person_P=_joined(own_P, best_P, nearest_P, num_subjects=gallery.num_subjects),
        quarters_PQ=quarters_PQ,
        num_subjects=gallery.num_subjects - 1,
    )


def _joined(
    own_P: NDArray[np.int64],
    best_P: NDArray[np.float64],
    nearest_P: NDArray[np.int64],
    *,
    num_subjects: int,
) -> NDArray[np.int64]:
    """The person of each probe, those who are each other's nearest joined."""
    nearest_S = np.full(num_subjects, -1)
    ascending_P = np.argsort(best_P, kind="stable")
    # Of several probes of a subject the closest is written last and stays.
    nearest_S[own_P[ascending_P]] = nearest_P[ascending_P]
    numbers_S = np.arange(num_subjects)
    is_mutual_S = (nearest_S >= 0) & (nearest_S[nearest_S] == numbers_S)
    joined_S = np.where(is_mutual_S, np.minimum(numbers_S, nearest_S), numbers_S)
    person_P: NDArray[np.int64] = joined_S[own_P]
    return person_P


def _search(
    probes_PD: NDArray[np.float32],
    own_P: NDArray[np.int64] | None,
    gallery: GalleryTemplates,
    *,
    rule: ManyProbesFusion,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64] | None]:
    """Best similarity, its subject, and the best of each quarter; own columns left out."""
    num_probes = len(probes_PD)
    best_P = np.empty(num_probes)
    nearest_P = np.empty(num_probes, np.int64)
    quarters = []
    if gallery.num_subjects >= MIN_SUBJECTS_FOR_QUARTERS:
        quarters = np.array_split(rng.permutation(gallery.num_subjects), NUM_QUARTERS)
    quarters_PQ = np.empty((num_probes, len(quarters)))
    rows = max(1, _BLOCK_BYTES // (4 * len(gallery.vectors_TD)))
    for start in range(0, num_probes, rows):
        block = slice(start, start + rows)
        similarities_PS = rule.similarities(probes_PD[block], gallery)
        if own_P is not None:
            similarities_PS[np.arange(len(similarities_PS)), own_P[block]] = -np.inf
        nearest_P[block] = similarities_PS.argmax(axis=1)
        best_P[block] = similarities_PS.max(axis=1)
        for number, columns_S in enumerate(quarters):
            quarters_PQ[block, number] = similarities_PS[:, columns_S].max(axis=1)
    return best_P, nearest_P, quarters_PQ if quarters else None
