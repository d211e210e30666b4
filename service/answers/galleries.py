"""Galleries and models, as they are answered."""

from collections.abc import Sequence

from embedding.errors import RequestInvalid
from index.calibration.in_force import ThresholdsInForce, thresholds_in_force
from index.gallery import Gallery
from index.store.stored_gallery import StoredGallery
from index.transfer import Transferred
from service import schemas
from service.answers.thresholds import calibration_answer, threshold_answer
from service.embedders import Embedders, InstalledModel
from service.settings import Settings

_MAX_IDS = 1000
"""Of templates that an import left out."""


def new_gallery_answer(made: StoredGallery, embedders: Embedders) -> schemas.GalleryAnswer:
    """A gallery as it is when it is made."""
    names = {model.card.fingerprint: model.card.name for model in embedders.installed()}
    return schemas.GalleryAnswer(
        id=made.id,
        name=made.name,
        num_subjects=0,
        num_templates=0,
        model=names.get(made.fingerprint),
        fingerprint=made.fingerprint,
        created_at=made.created_at,
        space=made.space_id is not None,
    )


def gallery_answer(gallery: Gallery, embedders: Embedders) -> schemas.GalleryAnswer:
    """A gallery, with its model's name where that is installed."""
    names = {model.card.fingerprint: model.card.name for model in embedders.installed()}
    return schemas.GalleryAnswer(
        id=gallery.id,
        name=gallery.name,
        num_subjects=gallery.num_subjects,
        num_templates=gallery.num_templates,
        model=names.get(gallery.fingerprint),
        fingerprint=gallery.fingerprint,
        created_at=gallery.created_at,
        space=gallery.space_id is not None,
    )


def galleries_answer(
    galleries: Sequence[Gallery], next_cursor: str | None, *, embedders: Embedders
) -> schemas.GalleriesAnswer:
    """A page of galleries."""
    return schemas.GalleriesAnswer(
        galleries=[gallery_answer(each, embedders) for each in galleries],
        next_cursor=next_cursor,
    )


def models_answer(models: tuple[InstalledModel, ...]) -> schemas.ModelsAnswer:
    """The installed models."""
    return schemas.ModelsAnswer(
        models=[
            schemas.ModelAnswer(
                name=model.card.name,
                fingerprint=model.card.fingerprint,
                default=model.default,
                licence=model.card.licence,
                accuracy=dict(model.card.accuracy),
            )
            for model in models
        ]
    )


def import_answer(done: Transferred, *, has_ledger: bool) -> schemas.ImportAnswer:
    """What an import did."""
    return schemas.ImportAnswer(
        num_templates=done.imported.num_templates,
        num_subjects=done.imported.num_subjects,
        num_present=done.imported.num_present,
        num_look_alikes=done.imported.num_look_alikes,
        num_merged=done.imported.num_merged,
        num_dropped=done.imported.num_dropped,
        rules_taken_over=done.imported.rules_taken_over,
        num_left_out=len(done.left_out),
        left_out=list(done.left_out[:_MAX_IDS]),
        has_ledger=has_ledger,
    )


def gallery_details(
    gallery: Gallery, embedders: Embedders, *, settings: Settings
) -> schemas.GalleryDetailsAnswer:
    """A gallery with its rules and thresholds, as far as they can be told."""
    rules = gallery.rules()
    thresholds = _thresholds(gallery, embedders, settings=settings)
    return schemas.GalleryDetailsAnswer(
        **gallery_answer(gallery, embedders).model_dump(),
        rules=schemas.RulesAnswer(
            fusion=rules.fusion,
            max_templates=rules.max_templates,
            smallest_lead=rules.smallest_lead,
        ),
        match=None if thresholds is None else threshold_answer(thresholds.match),
        review=None if thresholds is None else threshold_answer(thresholds.review),
        calibration=None if thresholds is None else calibration_answer(thresholds),
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
