"""How the templates of a subject become one similarity, as a calibration computes it.

Shapes: P probes, T templates, N templates of one subject, S subjects, D embedding dimension.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from index.calibration.templates import GalleryTemplates


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


class OneSubjectFusion(Protocol):
    """Fuses the similarities of one probe to the templates of one subject."""

    @property
    def name(self) -> str:
        """As `ManyProbesFusion.name`."""

    def fuse(
        self,
        probe_D: NDArray[np.float32],
        templates_ND: NDArray[np.float32],
        qualities_N: NDArray[np.float64],
    ) -> float:
        """Return the subject's similarity in [-1, 1]."""


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


class SubjectBySubject:
    """Any rule for one subject, asked for every probe and subject: right, and slow."""

    def __init__(self, rule: OneSubjectFusion) -> None:
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
