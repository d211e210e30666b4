"""All templates of a gallery, as a calibration compares with them.

Shapes: T templates, S subjects, D embedding dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.store.gallery_store import GalleryStore

_ATTEMPTS = 3
"""One person who is read under two ids would look like two who cannot be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GalleryTemplates:
    """Templates in the model's own space, subject by subject.

    Attributes:
        vectors_TD: float32, unit length; the templates of one subject lie together.
        starts_S: place of each subject's first template, ascending from 0.
        qualities_T: quality figure of each template, in [0, 1].
    """

    vectors_TD: NDArray[np.float32]
    starts_S: NDArray[np.int64]
    qualities_T: NDArray[np.float32]

    @classmethod
    def of_subjects(
        cls,
        subjects: Sequence[object],
        vectors_TD: NDArray[np.float32],
        qualities_T: NDArray[np.float32] | None = None,
    ) -> "GalleryTemplates":
        """Sort templates by their subjects.

        Args:
            subjects: whose each template is, ids or numbers.
            vectors_TD: in the same order.
            qualities_T: in the same order; all 1 when left out.

        Raises:
            RequestInvalid: no templates.
        """
        if not len(subjects):
            raise RequestInvalid("the gallery is empty; enroll people before it is calibrated")
        _, number_T = np.unique(np.asarray(subjects), return_inverse=True)
        order_T = np.argsort(number_T, kind="stable")
        _, starts_S = np.unique(number_T[order_T], return_index=True)
        if qualities_T is None:
            qualities_T = np.ones(len(subjects), np.float32)
        return cls(
            vectors_TD=np.ascontiguousarray(vectors_TD[order_T], np.float32),
            starts_S=starts_S.astype(np.int64),
            qualities_T=qualities_T[order_T],
        )

    @property
    def num_subjects(self) -> int:
        """Gallery size N: subjects with at least one template."""
        return len(self.starts_S)

    def owners(self) -> NDArray[np.int64]:
        """Return the number (T,) of each template's subject."""
        sizes_S = np.diff(np.append(self.starts_S, len(self.vectors_TD)))
        return np.repeat(np.arange(self.num_subjects), sizes_S)


def read_templates(store: GalleryStore) -> GalleryTemplates:
    """Return the templates of a gallery; those that belong to nobody are left out.

    Searches and changes go on meanwhile. Takes twice the memory of the vectors.

    Raises:
        RequestInvalid: the gallery is empty.
        StoreCorrupt: a template does not fit its checksum.
        SealKeyMissing: one is sealed with a key that is not at hand.
    """
    for _ in range(_ATTEMPTS):
        before = store.state().sequence
        rows = [
            (each.subject_id, each.embedding, each.quality)
            for each in store.export()
            if each.subject_id is not None
        ]
        if not store.moved_since(before):
            break
    if not rows:
        raise RequestInvalid("the gallery is empty; enroll people before it is calibrated")
    # Sorted here, where a vector is a view of its page: else all would be copied once more.
    rows.sort(key=lambda row: row[0])
    owners, vectors, qualities = zip(*rows, strict=True)
    return GalleryTemplates(
        vectors_TD=np.stack(vectors),
        starts_S=np.unique(owners, return_index=True)[1].astype(np.int64),
        qualities_T=np.array(qualities, np.float32),
    )
