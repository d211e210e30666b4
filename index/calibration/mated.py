"""Mated searches: what enrolled people reach with their own subject, and what others reach.

A gallery holds no second photo of its people, so a template searches the gallery without itself.
Its subject has one template less then than in a real search: the misses are counted a little
too high.

Shapes: M mated searches, T templates, S subjects.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.calibration.rules import ManyProbesFusion
from index.calibration.templates import GalleryTemplates

MAX_ROUNDS = 3
"""Each looks through the gallery again; so many templates of a person at most are searched for."""

_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mated:
    """Searches of enrolled people, each without the template that is searched for.

    Attributes:
        own_M: float64, fused similarity to the person's own subject.
        other_M: float64, the best of all others.
        subject_M: whose search it is.
        template_M: place of the probe among the gallery's vectors.
    """

    own_M: NDArray[np.float64]
    other_M: NDArray[np.float64]
    subject_M: NDArray[np.int64]
    template_M: NDArray[np.int64]

    def missed(self, threshold: float) -> NDArray[np.bool_]:
        """Whether each search (M,) misses: below the threshold, or somebody else is closer."""
        missed_M: NDArray[np.bool_] = (self.own_M < threshold) | (self.own_M < self.other_M)
        return missed_M


def search_mated(
    gallery: GalleryTemplates, *, rule: ManyProbesFusion, max_probes: int, seed: int = 0
) -> Mated | None:
    """Search for templates of people who have several; None where nobody has.

    Args:
        gallery: the whole one.
        rule: fuses a subject's templates.
        max_probes: of more people, so many drawn at random are searched for in each round.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    owner_T = gallery.owners()
    order_T = rng.permutation(len(owner_T))
    # The place of each template among those of its subject, in random order.
    sorted_T = order_T[np.argsort(owner_T[order_T], kind="stable")]
    rank_T = np.empty(len(owner_T), np.int64)
    rank_T[sorted_T] = np.arange(len(owner_T)) - gallery.starts_S[owner_T[sorted_T]]
    has_several_T = np.bincount(owner_T)[owner_T] > 1
    rounds = []
    for number in range(min(MAX_ROUNDS, int(rank_T.max()) + 1)):
        probe_M = np.flatnonzero(has_several_T & (rank_T == number))
        if len(probe_M):
            probe_M = np.sort(rng.permutation(probe_M)[:max_probes])
            rounds.append(_without(probe_M, owner_T, gallery, rule=rule))
    if not rounds:
        return None
    return Mated(
        own_M=np.concatenate([each.own_M for each in rounds]),
        other_M=np.concatenate([each.other_M for each in rounds]),
        subject_M=np.concatenate([each.subject_M for each in rounds]),
        template_M=np.concatenate([each.template_M for each in rounds]),
    )


def _without(
    probe_M: NDArray[np.int64],
    owner_T: NDArray[np.int64],
    gallery: GalleryTemplates,
    *,
    rule: ManyProbesFusion,
) -> Mated:
    """Search the gallery without these templates, at most one of each subject, for them."""
    kept_T = np.ones(len(owner_T), bool)
    kept_T[probe_M] = False
    rest = GalleryTemplates.of_subjects(
        owner_T[kept_T].tolist(), gallery.vectors_TD[kept_T], gallery.qualities_T[kept_T]
    )
    own_M, other_M = np.empty(len(probe_M)), np.full(len(probe_M), -1.0)
    rows = max(1, _BLOCK_BYTES // (4 * len(rest.vectors_TD)))
    for start in range(0, len(probe_M), rows):
        block = slice(start, start + rows)
        probes = probe_M[block]
        similarities_PS = rule.similarities(gallery.vectors_TD[probes], rest)
        at = np.arange(len(probes)), owner_T[probes]
        own_M[block] = similarities_PS[at]
        similarities_PS[at] = -1.0
        other_M[block] = similarities_PS.max(axis=1)
    return Mated(own_M=own_M, other_M=other_M, subject_M=owner_T[probe_M], template_M=probe_M)
