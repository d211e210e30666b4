"""The closest subjects by maximum, scored again under another rule with all their templates.

Shapes: D embedding dimension, N templates of all these subjects.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.decision import TemplateHit
from index.fusion import FusionRule, template_similarities
from index.matrix.vectors import VectorMatrix
from index.records import OwnedTemplate
from index.store.gallery_reads import GalleryReads

_MORE: Final = 2
_SPARE: Final = 38


def num_rescored(num_subjects: int) -> int:
    """Return how many subjects are rescored where so many are asked for: 48 for 5."""
    return _MORE * num_subjects + _SPARE


def rescored(
    embedding: NDArray[np.float32],
    subject_ids: Iterable[str],
    *,
    matrix: VectorMatrix,
    store: GalleryReads,
    rule: FusionRule,
) -> list[TemplateHit]:
    """Return a hit a subject with its similarity under the rule, best first.

    All templates of a subject count that are both in SQL and in memory now. A subject that has
    none any more is left out.

    Args:
        embedding: (D,) float32, unit length.
        subject_ids: whom to score.
        matrix: the vectors.
        store: the same gallery in SQL.
        rule: gives the similarities.
    """
    owned = store.owned_templates(subject_ids)
    ids_N, vectors_ND = matrix.vectors_of(each.row_id for each in owned)
    rows = {row_id: row for row, row_id in enumerate(ids_N.tolist())}
    by_subject: defaultdict[str, list[OwnedTemplate]] = defaultdict(list)
    for each in owned:
        if each.row_id in rows:
            by_subject[each.subject_id].append(each)
    hits = [
        fused_hit(
            embedding, vectors_ND[[rows[each.row_id] for each in templates]], templates, rule=rule
        )
        for templates in by_subject.values()
    ]
    return sorted(hits, key=lambda hit: (-hit.similarity, -hit.quality, hit.sequence))


def fused_hit(
    embedding: NDArray[np.float32],
    vectors_ND: NDArray[np.float32],
    templates: Sequence[OwnedTemplate],
    *,
    rule: FusionRule,
) -> TemplateHit:
    """Return one subject's hit: its similarity under the rule, and its closest template.

    Args:
        embedding: (D,) float32, unit length.
        vectors_ND: (N, D) float32 of the templates.
        templates: of one subject, at least one.
        rule: gives the similarity.
    """
    similarities_N = template_similarities(embedding, vectors_ND)
    closest = min(
        zip(similarities_N.tolist(), templates, strict=True),
        key=lambda pair: (-pair[0], -pair[1].quality, pair[1].sequence),
    )[1]
    qualities_N = np.array([each.quality for each in templates])
    return TemplateHit(
        template_id=closest.template_id,
        subject_id=closest.subject_id,
        similarity=rule.fuse(embedding, vectors_ND, qualities_N),
        quality=closest.quality,
        sequence=closest.sequence,
    )
