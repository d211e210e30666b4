"""How often the check at enroll tells right photos, and wrong ones.

Shape legend: S subjects, T templates, M mated searches.
"""

from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.face_features import Features
from embedding.model import ModelDirectory, find_model
from index.conflicts import photo_groups
from training.evaluation.open_set import OpenSet

FPIR = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Shares of what is told, under the maximum.

    Attributes:
        threshold: of two photos, the model card's at one subject.
        right_split: subjects whose templates fall into several groups.
        wrong_alone: subjects with one photo of somebody else, which stands in a group alone.
        right_stranger: further photos of a subject that are told not to be the subject's.
        wrong_stranger: photos of somebody else that are told so.
        num_subjects: S.
        num_photos: M.
    """

    threshold: float
    right_split: float
    wrong_alone: float
    right_stranger: float
    wrong_stranger: float
    num_subjects: int
    num_photos: int


def told(features: Features, open_set: OpenSet) -> dict[str, float]:
    """What is told of right photos, and of those of others drawn at random."""
    card = ModelDirectory.open(find_model(None)).card
    threshold = card.threshold(fpir=FPIR, num_subjects=1).value
    rng = np.random.default_rng(0)
    unit_BD, templates_ST = features.unit_BD, open_set.templates_ST
    num_subjects, last = templates_ST.shape[0], templates_ST.shape[1] - 1

    def groups_of(images_T: np.ndarray) -> tuple[tuple[int, ...], ...]:
        return photo_groups(unit_BD[images_T] @ unit_BD[images_T].T >= threshold)

    shifts_S = rng.integers(1, num_subjects, num_subjects)
    others_S = (np.arange(num_subjects) + shifts_S) % num_subjects
    split, alone = 0, 0
    for images_T, other_T in zip(templates_ST, templates_ST[others_S], strict=True):
        split += len(groups_of(images_T)) > 1
        alone += (last,) in groups_of(np.append(images_T[:last], other_T[:1]))
    own_M = open_set.own_R[open_set.is_mated_R]
    probes_M = open_set.probes_R[open_set.is_mated_R]
    wrong_M = (own_M + rng.integers(1, num_subjects, len(own_M))) % num_subjects
    right, wrong = (
        np.einsum("md,mtd->mt", unit_BD[probes_M], unit_BD[templates_ST[one_M]]).max(axis=1)
        < threshold
        for one_M in (own_M, wrong_M)
    )
    return asdict(
        Told(
            threshold=round(threshold, 4),
            right_split=round(split / num_subjects, 4),
            wrong_alone=round(alone / num_subjects, 4),
            right_stranger=round(float(right.mean()), 4),
            wrong_stranger=round(float(wrong.mean()), 4),
            num_subjects=num_subjects,
            num_photos=len(own_M),
        )
    )
