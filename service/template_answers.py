"""Answers about templates, look-alikes and single galleries, made of what was found out."""

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.calibration.in_force import ThresholdsInForce, thresholds_in_force
from index.galleries import Galleries
from index.gallery import Gallery
from index.moves import MergedSubjects, MovedTemplates, TemplatePage
from index.receipts import Erasure
from index.records import Template
from service import answers, schemas
from service.embedders import Embedders
from service.settings import Settings


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
        receipt=answers.receipt_answer(galleries.receipt(erasure)),
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
        subject=answers.subject_answer(merged.subject),
        merged_id=merged.merged_id,
        dry_run=dry_run,
        num_templates=len(merged.template_ids),
        similarity=merged.similarity,
        dropped_template_ids=list(merged.dropped_ids),
        lost_name=merged.lost_name,
        lost_external_id=merged.lost_external_id,
        num_look_alikes=merged.num_look_alikes,
    )


def gallery_details(
    gallery: Gallery, embedders: Embedders, *, settings: Settings
) -> schemas.GalleryDetailsAnswer:
    """A gallery with its rules and thresholds, as far as they can be told."""
    rules = gallery.rules()
    thresholds = _thresholds(gallery, embedders, settings=settings)
    return schemas.GalleryDetailsAnswer(
        **answers.gallery_answer(gallery, embedders).model_dump(),
        rules=schemas.RulesAnswer(
            fusion=rules.fusion,
            max_templates=rules.max_templates,
            smallest_lead=rules.smallest_lead,
        ),
        match=None if thresholds is None else answers.threshold_answer(thresholds.match),
        review=None if thresholds is None else answers.threshold_answer(thresholds.review),
        calibration=None if thresholds is None else answers.calibration_answer(thresholds),
    )


def _thresholds(
    gallery: Gallery, embedders: Embedders, *, settings: Settings
) -> ThresholdsInForce | None:
    """The thresholds that decide; None where an identification would be refused."""
    cards = {model.card.fingerprint: model.card for model in embedders.installed()}
    card = cards.get(gallery.fingerprint)
    if card is None:
        return None
    try:
        return thresholds_in_force(
            gallery, card=card, fpir=settings.fpir, review_fpir=settings.review_fpir
        )
    except RequestInvalid:
        # Neither card nor calibration has these rates.
        return None
