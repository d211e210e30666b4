"""Templates, and what became of them, as they are answered."""

import numpy as np
from numpy.typing import NDArray

from index.galleries import Galleries
from index.moves import MergedSubjects, MovedTemplates, TemplatePage
from index.receipts import Erasure
from index.records import Template
from service import schemas
from service.answers.subjects import receipt_answer, subject_answer


def template_answer(
    template: Template, embedding: NDArray[np.float32] | None = None
) -> schemas.TemplateAnswer:
    """A template; with its vector (D,) only where that is given."""
    left, top, right, bottom = template.box
    width, height = template.photo_size
    return schemas.TemplateAnswer(
        id=template.id,
        subject_id=template.subject_id,
        box=schemas.BoxAnswer(left=left, top=top, right=right, bottom=bottom),
        width=width,
        height=height,
        quality=template.quality,
        confidence=template.confidence,
        fingerprint=template.fingerprint,
        created_at=template.created_at,
        embedding=None if embedding is None else embedding.tolist(),
    )


def templates_answer(page: TemplatePage) -> schemas.TemplatesAnswer:
    """A page of templates."""
    return schemas.TemplatesAnswer(
        templates=[template_answer(each) for each in page.templates],
        next_cursor=page.next_cursor,
    )


def erased_template_answer(
    erasure: Erasure, galleries: Galleries, *, num_left: int
) -> schemas.ErasedTemplateAnswer:
    """A template's removal, with its receipt."""
    return schemas.ErasedTemplateAnswer(
        num_templates=erasure.num_templates,
        receipt=receipt_answer(galleries.receipt(erasure)),
        subject_id=erasure.subject_id,
        num_left=num_left,
    )


def move_answer(moved: MovedTemplates, *, dry_run: bool) -> schemas.MoveAnswer:
    """What a move did."""
    return schemas.MoveAnswer(
        subject_id=moved.subject_id,
        created=moved.created,
        dry_run=dry_run,
        moved=[
            schemas.MovedTemplateAnswer(template_id=template_id, similarity=similarity)
            for template_id, similarity in zip(moved.template_ids, moved.similarities, strict=True)
        ],
        num_left=moved.num_left,
        dropped_template_ids=list(moved.dropped_ids),
    )


def merge_answer(merged: MergedSubjects, *, dry_run: bool) -> schemas.MergeAnswer:
    """What a merge did."""
    return schemas.MergeAnswer(
        subject=subject_answer(merged.subject),
        merged_id=merged.merged_id,
        dry_run=dry_run,
        num_templates=len(merged.template_ids),
        similarity=merged.similarity,
        dropped_template_ids=list(merged.dropped_ids),
        lost_name=merged.lost_name,
        lost_external_id=merged.lost_external_id,
        num_look_alikes=merged.num_look_alikes,
    )
