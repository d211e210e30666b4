"""The closest subjects of a probe: vectors in memory, then what SQL knows of them.

Shapes: K results, D embedding dimension.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from index.decision import Candidate, TemplateHit, fuse_max
from index.fusion import MAXIMUM, FusionRule
from index.matrix.vectors import NO_ID, VectorMatrix
from index.rescoring import num_rescored, rescored
from index.store.gallery_reads import GalleryReads

Store = TypeVar("Store", bound=GalleryReads)

_TEMPLATES_A_SUBJECT = 4
"""First guess at how many templates a subject has among the closest."""

_SPARE = 16
_WIDER = 4


@contextmanager
def best_candidates(
    embedding: NDArray[np.float32],
    *,
    matrix: VectorMatrix,
    store: Store,
    num_candidates: int,
    rule: FusionRule = MAXIMUM,
) -> Iterator[tuple[list[Candidate], Store]]:
    """The closest subjects, each once, and the reading of SQL that they are from, still open.

    The reading begins after the vectors were searched, so that whoever was removed by then is
    left out, and no change waits for a search.

    Under the maximum this is exact. Under another rule the closest subjects by maximum are
    rescored with all their templates, more of them than are asked for (`num_rescored`): one
    query more. Who comes closest under the rule and is not among these is missed.

    Args:
        embedding: (D,) float32, unit length, in the gallery's space.
        matrix: the vectors.
        store: the same gallery in SQL.
        num_candidates: at most so many.
        rule: how the templates of a subject become one similarity.

    Raises:
        EmbeddingInvalid: NaN, zero, not of unit length, or of another dimension.
    """
    is_maximum = rule == MAXIMUM
    num_subjects = num_candidates if is_maximum else num_rescored(num_candidates)
    # A subject may have many templates, so the search widens until enough subjects are found and
    # nothing outside it can tie with the last of them.
    num = _TEMPLATES_A_SUBJECT * num_subjects + _SPARE
    asked_again = False
    while True:
        found = _closest(embedding, matrix=matrix, num=num)
        with store.reading() as reading:
            best = fuse_max(reading.hits(found))[:num_subjects]
            if len(found) < num or (
                len(best) == num_subjects and min(found.values()) < best[-1].similarity
            ):
                if not is_maximum:
                    ids = [hit.subject_id for hit in best if hit.subject_id]
                    best = rescored(embedding, ids, matrix=matrix, store=reading, rule=rule)
                best = best[:num_candidates]
                candidates = _candidates(best, reading)
                if len(candidates) < len(best) and not asked_again:
                    # Somebody was removed, or merged into a subject that is to be named then,
                    # between two statements.
                    asked_again = True
                    continue
                yield candidates, reading
                return
        num *= _WIDER


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
    embedding: NDArray[np.float32], *, matrix: VectorMatrix, num: int
) -> dict[int, float]:
    """Return the similarities of the closest templates, by the matrix's id; at most so many."""
    similarities_1K, ids_1K = matrix.search(np.asarray(embedding)[np.newaxis], num)
    found = dict(zip(ids_1K[0].tolist(), similarities_1K[0].tolist(), strict=True))
    found.pop(NO_ID, None)
    return found
