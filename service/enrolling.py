"""Requests that make something, done once however often they come with the same key."""

from collections.abc import Callable

from embedding.errors import SubjectNotFound
from index.audit.entries import AuditEvent
from index.repeats import Repeatable
from index.store.stored_gallery import StoredGallery
from service import schemas
from service.answers.enrolling import enroll_answer
from service.answers.galleries import new_gallery_answer
from service.assembly import Parts
from service.bodies.faces import EnrollBody
from service.bodies.galleries import GalleryBody
from service.bodies.subjects import details_of
from service.choosing import SubjectChoice, box_of
from service.repeats import Asked
from service.results import Enrollment


def enroll_once(
    parts: Parts,
    body: EnrollBody,
    *,
    caller: str,
    key: str | None,
    check: Callable[[], None],
) -> tuple[schemas.EnrollAnswer, bool]:
    """What the enroll did, and whether it was done before. A dry run is never remembered.

    Args:
        parts: of the service.
        body: of the request.
        caller: id of the API key.
        key: the request's idempotency key; None without one.
        check: see `Recognizer.enroll`.

    Raises:
        As `Recognizer.enroll` and `Repeats.once`.
    """

    def do(repeatable: Repeatable[Enrollment] | None) -> schemas.EnrollAnswer:
        result = parts.recognizer.enroll(
            body.photos,
            gallery=body.gallery,
            subject=SubjectChoice(
                subject_id=body.subject_id, name=body.subject, external_id=body.external_id
            ),
            face=body.face if body.box is None else box_of(body.box),
            force=body.force,
            dry_run=body.dry_run,
            details=details_of(body),
            repeatable=repeatable,
            check=check,
        )
        return enroll_answer(result, gallery=body.gallery)

    return parts.repeats.once(
        Asked(
            route="enroll",
            caller=caller,
            key=None if body.dry_run else key,
            gallery=body.gallery,
            body=body,
            do=do,
            kept=lambda result: _without_names(enroll_answer(result, gallery="")),
            again=lambda kept: _enrolled_before(kept, parts, name=body.gallery),
        )
    )


def create_gallery_once(
    parts: Parts, body: GalleryBody, *, caller: str, key: str | None
) -> tuple[schemas.GalleryAnswer, bool]:
    """The new gallery, and whether it was made before.

    Raises:
        As `Parts.create_gallery` and `Repeats.once`.
    """

    def do(repeatable: Repeatable[StoredGallery] | None) -> schemas.GalleryAnswer:
        gallery = parts.create_gallery(
            body.name, model=body.model, space=body.space, repeatable=repeatable
        )
        return new_gallery_answer(gallery.stored, parts.embedders)

    return parts.repeats.once(
        Asked(
            route="galleries",
            caller=caller,
            key=key,
            gallery=body.name,
            body=body,
            do=do,
            kept=lambda made: new_gallery_answer(made, parts.embedders).model_dump_json(),
            again=schemas.GalleryAnswer.model_validate_json,
        )
    )


def _without_names(answer: schemas.EnrollAnswer) -> str:
    """What is kept: ids stay, but no name, which would outlive a person who is erased."""
    conflicts = [each.model_copy(update={"name": None}) for each in answer.conflicts]
    return answer.model_copy(update={"conflicts": conflicts}).model_dump_json()


def _enrolled_before(kept: str, parts: Parts, *, name: str) -> schemas.EnrollAnswer:
    """The answer again, with people as they are called now; who was erased is left out."""
    answer = schemas.EnrollAnswer.model_validate_json(kept)
    gallery = parts.galleries.get(name)
    names: dict[str, str | None] = {}
    for subject_id in {each.subject_id for each in answer.conflicts}:
        try:
            names[subject_id] = gallery.subject(subject_id).name
        except SubjectNotFound:
            continue
    conflicts = [
        each.model_copy(update={"name": names[each.subject_id]})
        for each in answer.conflicts
        if each.subject_id in names
    ]
    whom = () if answer.subject_id is None else (answer.subject_id,)
    parts.galleries.audit.note(
        AuditEvent(action="enroll.repeat", gallery_id=gallery.id, subject_ids=whom)
    )
    return answer.model_copy(update={"gallery": name, "conflicts": conflicts})
