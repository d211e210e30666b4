"""How the templates of a subject become one similarity, as a calibration computes it.

Shapes: P probes, T templates, N templates of one subject, S subjects, D embedding dimension.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from index.calibration.templates import GalleryTemplates
from index.fusion import NO_DIRECTION, VOTERS, FusionRule, fusion_rule

_SUBJECTS_AT_A_TIME = 4096


class ManyProbesFusion(Protocol):
    """Fuses the similarities of many probes to all subjects of a gallery."""

    @property
    def name(self) -> str:
        """Kept with every calibration; one name, one rule."""

    def similarities(
        self, probes_PD: NDArray[np.float32], gallery: GalleryTemplates
    ) -> NDArray[np.float32]:
        """Return each probe's fused similarity (P, S) to each subject.

        A subject's similarity must depend on its own templates alone: a search in the gallery
        without a subject then is a search in the whole gallery that leaves its column out.
        """


class MaxFusion:
    """A subject's similarity is that of its closest template; see `index.decision.fuse_max`."""

    name = "maximum"

    def similarities(
        self, probes_PD: NDArray[np.float32], gallery: GalleryTemplates
    ) -> NDArray[np.float32]:
        """Return the maximum over each subject's templates, in [-1, 1]."""
        similarities_PT = probes_PD @ gallery.vectors_TD.T
        fused_PS = np.maximum.reduceat(similarities_PT, gallery.starts_S, axis=1)
        return np.clip(fused_PS, -1.0, 1.0)


Combine = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""From similarities (P, S, N) to all templates and (P, S) to centroids to fused ones (P, S)."""


def _best_two(similarities_PSN: NDArray[np.float32]) -> NDArray[np.float32]:
    best: NDArray[np.float32] = np.sort(similarities_PSN, axis=2)[:, :, -2:].mean(
        axis=2, dtype=np.float32
    )
    return best


def _vote(similarities_PSN: NDArray[np.float32]) -> NDArray[np.float32]:
    num = similarities_PSN.shape[2]
    place = num - 1 - min(VOTERS, num) // 2
    voters: NDArray[np.float32] = np.sort(similarities_PSN, axis=2)[:, :, place]
    return voters


_COMBINED: dict[str, Combine] = {
    "mean": lambda similarities_PSN, _: similarities_PSN.mean(axis=2, dtype=np.float32),
    "best-two": lambda similarities_PSN, _: _best_two(similarities_PSN),
    "centroid": lambda _, centroids_PS: centroids_PS,
    "centroid-best-two": lambda similarities_PSN, centroids_PS: (
        np.float32(0.5) * (centroids_PS + _best_two(similarities_PSN))
    ),
    "vote": lambda similarities_PSN, _: _vote(similarities_PSN),
}


class SizeBySize:
    """A rule of `index.fusion`, for all subjects with equally many templates at once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._combine = _COMBINED[name]
        self._known: tuple[GalleryTemplates, NDArray[np.float32]] | None = None

    @property
    def name(self) -> str:
        """Of the rule."""
        return self._name

    def similarities(
        self, probes_PD: NDArray[np.float32], gallery: GalleryTemplates
    ) -> NDArray[np.float32]:
        """Return what the rule says of each probe and subject."""
        similarities_PT = np.clip(probes_PD @ gallery.vectors_TD.T, -1.0, 1.0)
        centroids_PS = np.clip(probes_PD @ self._directions(gallery).T, -1.0, 1.0)
        sizes_S = np.diff(np.append(gallery.starts_S, len(gallery.vectors_TD)))
        fused_PS = np.empty(centroids_PS.shape, np.float32)
        for size in np.unique(sizes_S):
            columns_S = np.flatnonzero(sizes_S == size)
            places_SN = gallery.starts_S[columns_S][:, np.newaxis] + np.arange(size)
            fused_PS[:, columns_S] = self._combine(
                similarities_PT[:, places_SN], centroids_PS[:, columns_S]
            )
        return fused_PS

    def _directions(self, gallery: GalleryTemplates) -> NDArray[np.float32]:
        """The direction (S, D) of each subject's weighted mean; kept, as blocks of probes come."""
        if self._known is None or self._known[0] is not gallery:
            self._known = gallery, _centroids(gallery)
        return self._known[1]


def _centroids(gallery: GalleryTemplates) -> NDArray[np.float32]:
    """See `index.fusion.Centroid`; a subject without a direction gets zeros."""
    ends_S = np.append(gallery.starts_S[1:], len(gallery.vectors_TD))
    centroids_SD = np.zeros((gallery.num_subjects, gallery.vectors_TD.shape[1]), np.float32)
    for first in range(0, gallery.num_subjects, _SUBJECTS_AT_A_TIME):
        some = slice(first, first + _SUBJECTS_AT_A_TIME)
        starts, end = gallery.starts_S[some], int(ends_S[some][-1])
        places = slice(int(starts[0]), end)
        weights_T = gallery.qualities_T[places].astype(np.float64)
        offsets_S = starts - starts[0]
        totals_S = np.add.reduceat(weights_T, offsets_S)
        sizes_S = ends_S[some] - starts
        weights_T = np.where(
            np.repeat(totals_S > 0.0, sizes_S),
            weights_T / np.repeat(np.where(totals_S > 0.0, totals_S, 1.0), sizes_S),
            1.0 / np.repeat(sizes_S, sizes_S),
        )
        means_SD = np.add.reduceat(
            weights_T[:, np.newaxis] * gallery.vectors_TD[places], offsets_S, axis=0
        )
        lengths_S = np.linalg.norm(means_SD, axis=1)
        has_one_S = lengths_S >= NO_DIRECTION
        centroids_SD[some][has_one_S] = means_SD[has_one_S] / lengths_S[has_one_S][:, np.newaxis]
    return centroids_SD


def rule_for_many(name: str) -> ManyProbesFusion:
    """Return the rule of `index.fusion` with this name, for a calibration.

    Raises:
        RequestInvalid: there is none; the message names those there are.
    """
    fusion_rule(name)
    return MaxFusion() if name == MaxFusion.name else SizeBySize(name)


class SubjectBySubject:
    """Any rule for one subject, asked for every probe and subject: right, and slow."""

    def __init__(self, rule: FusionRule) -> None:
        self._rule = rule

    @property
    def name(self) -> str:
        """Of the rule."""
        return self._rule.name

    def similarities(
        self, probes_PD: NDArray[np.float32], gallery: GalleryTemplates
    ) -> NDArray[np.float32]:
        """Return what the rule says of each probe and subject."""
        ends_S = np.append(gallery.starts_S[1:], len(gallery.vectors_TD))
        fused_PS = np.empty((len(probes_PD), gallery.num_subjects), np.float32)
        for subject, (start, end) in enumerate(zip(gallery.starts_S, ends_S, strict=True)):
            templates_ND = gallery.vectors_TD[start:end]
            qualities_N = gallery.qualities_T[start:end].astype(np.float64)
            for place, probe_D in enumerate(probes_PD):
                fused_PS[place, subject] = self._rule.fuse(probe_D, templates_ND, qualities_N)
        return fused_PS
