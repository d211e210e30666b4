"""A subject's stored templates with their vectors, as whoever compares photos needs them.

Shapes: N templates, D embedding dimension.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.matrix.vectors import VectorMatrix
from index.records import OwnedTemplate
from index.space import GallerySpace
from index.store.gallery_reads import GalleryReads


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class References:
    """The templates of one subject, oldest first.

    Attributes:
        templates: none where the subject has none left.
        vectors_ND: (N, D) float32, unit length, as the model made them, whatever space the
            gallery stores them in: comparable with any embedding of that model. They are faces.
    """

    templates: tuple[OwnedTemplate, ...]
    vectors_ND: NDArray[np.float32]

    @property
    def qualities(self) -> NDArray[np.float64]:
        """(N,) quality figures in [0, 1]."""
        return np.array([each.quality for each in self.templates], np.float64)

    @property
    def sequences(self) -> NDArray[np.int64]:
        """(N,) places in the gallery's change log, rising."""
        return np.array([each.sequence for each in self.templates], np.int64)


def references_of(
    subject_id: str, *, matrix: VectorMatrix, store: GalleryReads, space: GallerySpace | None
) -> References:
    """Return the templates that are both in SQL and in memory now.

    Args:
        subject_id: whose; an unknown one has none.
        matrix: the vectors.
        store: the same gallery in SQL.
        space: that the vectors are stored in; None without one.
    """
    owned = store.owned_templates([subject_id])
    ids_N, vectors_ND = matrix.vectors_of(each.row_id for each in owned)
    rows = {row_id: row for row, row_id in enumerate(ids_N.tolist())}
    templates = tuple(each for each in owned if each.row_id in rows)
    vectors_ND = vectors_ND[[rows[each.row_id] for each in templates]]
    return References(
        templates=templates,
        vectors_ND=vectors_ND if space is None else space.unrotate(vectors_ND),
    )
