"""The closest subjects of a probe: vectors in memory, then what SQL knows of them.

Shapes: K results, D embedding dimension.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from index.decision import Candidate, TemplateHit, fuse_max
from index.fusion import MAXIMUM, FusionRule
from index.matrix.vectors import NO_ID, VectorMatrix
from index.rescoring import num_rescored, rescored
from index.store.gallery_reads import GalleryReads

_TEMPLATES_A_SUBJECT = 4
"""First guess at how many templates a subject has among the closest."""

_SPARE = 16
_WIDER = 4


def best_candidates(
    embedding: NDArray[np.float32],
    *,
    matrix: VectorMatrix,
    store: GalleryReads,
    num_candidates: int,
    rule: FusionRule = MAXIMUM,
) -> list[Candidate]:
    """Return the closest subjects, each once; one that is removed meanwhile is left out.

    Args:
        embedding: (D,) float32, unit length, in the gallery's space.
        matrix: the vectors.
        store: the same gallery in SQL.
        num_candidates: at most so many.
        rule: how the templates of a subject become one similarity; see `best_subjects`.
    """
    best = best_subjects(
        embedding, matrix=matrix, store=store, num_subjects=num_candidates, rule=rule
    )
    return _candidates(best, store)


def candidates_of(
    subject_ids: Iterable[str],
    embedding: NDArray[np.float32],
    *,
    matrix: VectorMatrix,
    store: GalleryReads,
    rule: FusionRule,
) -> list[Candidate]:
    """Return some subjects, best first, wherever they rank; who has no template is left out.

    Args:
        subject_ids: whom to compare with.
        embedding: (D,) float32, unit length, in the gallery's space.
        matrix: the vectors.
        store: the same gallery in SQL.
        rule: how the templates of a subject become one similarity.
    """
    hits = rescored(embedding, subject_ids, matrix=matrix, store=store, rule=rule)
    return _candidates(hits, store)


def best_subjects(
    embedding: NDArray[np.float32],
    *,
    matrix: VectorMatrix,
    store: GalleryReads,
    num_subjects: int,
    rule: FusionRule = MAXIMUM,
) -> list[TemplateHit]:
    """Return the closest subjects under a rule, best first; what SQL no longer holds is left out.

    Under the maximum this is exact. Under another rule the closest subjects by maximum are
    rescored with all their templates, more of them than are asked for (`num_rescored`): one
    query more. Who comes closest under the rule and is not among these is missed.

    Args:
        embedding: (D,) float32, unit length.
        matrix: the vectors.
        store: the same gallery in SQL.
        num_subjects: at most so many.
        rule: how the templates of a subject become one similarity.

    Returns:
        One hit a subject, with the subject's similarity under the rule; template, quality and
        sequence are those of its closest template.

    Raises:
        EmbeddingInvalid: NaN, zero, not of unit length, or of another dimension.
    """
    if rule == MAXIMUM:
        return _closest(embedding, matrix=matrix, store=store, num_subjects=num_subjects)
    closest = _closest(
        embedding, matrix=matrix, store=store, num_subjects=num_rescored(num_subjects)
    )
    ids = [hit.subject_id for hit in closest if hit.subject_id]
    return rescored(embedding, ids, matrix=matrix, store=store, rule=rule)[:num_subjects]


def _candidates(hits: Sequence[TemplateHit], store: GalleryReads) -> list[Candidate]:
    """The subjects of hits, in their order."""
    subjects = store.subjects_by_id([hit.subject_id for hit in hits if hit.subject_id])
    return [
        Candidate(
            subject=subjects[hit.subject_id],
            similarity=hit.similarity,
            template_id=hit.template_id,
        )
        for hit in hits
        if hit.subject_id in subjects
    ]


def _closest(
    embedding: NDArray[np.float32],
    *,
    matrix: VectorMatrix,
    store: GalleryReads,
    num_subjects: int,
) -> list[TemplateHit]:
    """Return the best hit of each of the closest subjects, as if all templates were compared.

    A subject may have many templates, so the search widens until enough subjects are found and
    nothing outside it can tie with the last of them.
    """
    queries_1D = np.asarray(embedding)[np.newaxis]
    num = _TEMPLATES_A_SUBJECT * num_subjects + _SPARE
    while True:
        similarities_1K, ids_1K = matrix.search(queries_1D, num)
        found = dict(zip(ids_1K[0].tolist(), similarities_1K[0].tolist(), strict=True))
        found.pop(NO_ID, None)
        best = fuse_max(store.hits(found))[:num_subjects]
        if len(found) < num:
            return best
        if len(best) == num_subjects and min(found.values()) < best[-1].similarity:
            return best
        num *= _WIDER
