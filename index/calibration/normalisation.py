"""Score normalisation against a cohort: a similarity less half of what the probe is to others.

Some probes, soft ones above all, are close to everybody. How close a probe is to the ten people
of a cohort who are most like it says so, and half of that is taken off its similarities, as the
probe's half of cross-domain similarity local scaling does (CSLS; Conneau et al. 2018, section
2.3, with the paper's ten neighbours):

    figure = similarity - (closeness of the probe - centre) / 2

``centre`` is the mean closeness of the cohort's own people, so that figures lie where
similarities do. A figure is no similarity and never shown as one. Within one search it rises with
similarity, so who is first never changes: a threshold for figures is a threshold for similarities
that each probe has of its own.

The cohort is nobody who is enrolled, and used for nothing else.

Shapes: P probes, D embedding dimension, C people of the cohort.
"""

import hashlib
import io
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embedding.errors import RequestInvalid, StoreCorrupt
from index.calibration.mated import Mated
from index.calibration.searches import NonMated
from index.calibration.strangers import Strangers

NUM_NEIGHBOURS: Final = 10
MIN_COHORT: Final = 100
"""People: ten neighbours are the closest tenth then. Of fewer they are anybody."""

MAX_COHORT: Final = 1_000
"""People: 2 MB that every process of a service holds."""

_ROWS_AT_A_TIME: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CohortNormalisation:
    """A cohort, one embedding a person.

    Attributes:
        vectors_CD: float32, unit length, in the model's own space.
        centre: mean closeness of the cohort's people to the others of it.
    """

    vectors_CD: NDArray[np.float32]
    centre: float

    @classmethod
    def of_vectors(cls, vectors_CD: NDArray[np.float32]) -> "CohortNormalisation":
        """Take a cohort.

        Args:
            vectors_CD: one a person.

        Raises:
            RequestInvalid: fewer than 100 people.
        """
        if len(vectors_CD) < MIN_COHORT:
            raise RequestInvalid(
                f"a cohort has at least {MIN_COHORT} people, not {len(vectors_CD)}"
            )
        similarities_CC = vectors_CD @ vectors_CD.T
        np.fill_diagonal(similarities_CC, -1.0)
        return cls(vectors_CD=vectors_CD, centre=float(_closeness(similarities_CC).mean()))

    @classmethod
    def of_cohort(cls, cohort: Strangers) -> "CohortNormalisation":
        """Take the first probe of each person, of a thousand people at most.

        Raises:
            RequestInvalid: fewer than 100 people.
        """
        _, first_C = np.unique(cohort.person_P, return_index=True)
        return cls.of_vectors(np.ascontiguousarray(cohort.vectors_PD[first_C[:MAX_COHORT]]))

    def shifts(self, probes_PD: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what is taken off each probe's similarities (P,); may be below 0."""
        shift_P = np.empty(len(probes_PD))
        for start in range(0, len(probes_PD), _ROWS_AT_A_TIME):
            rows = slice(start, start + _ROWS_AT_A_TIME)
            shift_P[rows] = _closeness(probes_PD[rows] @ self.vectors_CD.T)
        return (shift_P - self.centre) / 2

    def figures(self, probes_PD: NDArray[np.float32], values: ArrayLike) -> NDArray[np.float64]:
        """Return the figures of similarities, one or a row for each probe."""
        found = np.asarray(values, np.float64)
        shape = (len(probes_PD),) + (1,) * (found.ndim - 1)
        figures: NDArray[np.float64] = found - self.shifts(probes_PD).reshape(shape)
        return figures

    def shift(self, probe_D: NDArray[np.float32]) -> float:
        """Return what is taken off one probe's similarities.

        A figure plus this is the similarity at which the probe has the figure; it may exceed 1.
        """
        # 0.15 ms. BLAS would wake a thread for it, which takes 3 ms where the cores are busy.
        similarities_C = np.einsum("cd,d->c", self.vectors_CD, np.asarray(probe_D, np.float32))
        return float((_closeness(similarities_C[np.newaxis])[0] - self.centre) / 2)

    def of_strangers(self, searches: NonMated, probes_PD: NDArray[np.float32]) -> NonMated:
        """Return the same searches with figures for similarities."""
        quarters_PQ = searches.quarters_PQ
        return replace(
            searches,
            best_P=self.figures(probes_PD, searches.best_P),
            quarters_PQ=None if quarters_PQ is None else self.figures(probes_PD, quarters_PQ),
        )

    def of_mated(self, mated: Mated, probes_PD: NDArray[np.float32]) -> Mated:
        """Return the same searches with figures for similarities."""
        return replace(
            mated,
            own_M=self.figures(probes_PD, mated.own_M),
            other_M=self.figures(probes_PD, mated.other_M),
        )

    def to_bytes(self) -> bytes:
        """Return it as it is kept: faces, so sealed on their way to the disk."""
        file = io.BytesIO()
        np.save(file, self.vectors_CD.astype("<f4"), allow_pickle=False)
        return file.getvalue()


def normalisation_of_bytes(content: bytes | None, *, digest: str) -> CohortNormalisation:
    """Return what `CohortNormalisation.to_bytes` wrote.

    Args:
        content: as kept; None where there is nothing.
        digest: that `digest_of` gave for it.

    Raises:
        StoreCorrupt: anything else.
    """
    if content is None or digest_of(content) != digest:
        raise StoreCorrupt(
            "the cohort of the gallery's calibration is missing or damaged; calibrate it again"
        )
    return CohortNormalisation.of_vectors(np.load(io.BytesIO(content), allow_pickle=False))


def digest_of(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _closeness(similarities_PC: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean similarity of each row to its closest ten."""
    places = similarities_PC.shape[1] - NUM_NEIGHBOURS
    closest_PK = np.partition(similarities_PC, places, axis=1)[:, places:]
    closeness_P: NDArray[np.float64] = closest_PK.mean(axis=1, dtype=np.float64)
    return closeness_P
