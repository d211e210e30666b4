"""The templates of people: looked at, erased, and given to other people."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from embedding.errors import KeyForbidden
from index.audit.entries import AuditEvent
from service import schemas
from service.access import PartsOf, allowed, in_worker
from service.answers.subjects import receipt_answer
from service.answers.templates import (
    erased_template_answer,
    merge_answer,
    move_answer,
    template_answer,
    templates_answer,
)
from service.arranging import merge_subject, move_templates_of
from service.auth import Caller, Permission
from service.bodies.templates import MergeBody, MoveBody
from service.openapi import body_of, problems
from service.paging import PageCursor, PageLimit
from service.reading import SMALL_BODY_BYTES, read_body
from service.routes.galleries import GalleryPath, SubjectPath

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["templates"])

TemplatePath = Annotated[
    str, Path(max_length=255, description="Id of the template.", examples=[schemas.SUBJECT_ID])
]


@router.get("/subjects/{subject_id}/templates", responses=problems(404))
def list_templates(
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_SUBJECTS))],
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> schemas.TemplatesAnswer:
    """List a person's templates, page by page, the oldest first."""
    caller.require_gallery(gallery)
    page = parts.galleries.get(gallery).template_page(subject_id, limit=limit, cursor=cursor)
    return templates_answer(page)


@router.get("/templates/{template_id}", responses=problems(404))
def get_template(
    gallery: GalleryPath,
    template_id: TemplatePath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_SUBJECTS))],
    embedding: Annotated[
        bool,
        Query(description="With its vector; for admin keys, where the settings allow it."),
    ] = False,
) -> schemas.TemplateAnswer:
    """Show a template."""
    caller.require_gallery(gallery)
    if embedding:
        caller.require(Permission.SEE_EMBEDDINGS)
        if not parts.settings.embeddings_over_http:
            raise KeyForbidden("this service gives no vectors; its settings say so")
    found = parts.galleries.get(gallery)
    template = found.template(template_id)
    if not embedding:
        return template_answer(template)
    vector_D = found.embedding(template_id)
    whom = () if template.subject_id is None else (template.subject_id,)
    # On disk before it is given away.
    parts.galleries.audit.record(
        AuditEvent(action="template.embedding", gallery_id=found.id, subject_ids=whom)
    )
    return template_answer(template, vector_D)


@router.delete("/templates/{template_id}", responses=problems(404, 409))
def remove_template(
    gallery: GalleryPath,
    template_id: TemplatePath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.REMOVE))],
) -> schemas.ErasedTemplateAnswer:
    """Remove one template; it is never matched again, and its person stays.

    The receipt becomes final a little later: ask for it again under `erasure`.
    """
    caller.require_gallery(gallery)
    found = parts.galleries.get(gallery)
    erasure = found.erase_template(template_id)
    num_left = found.num_templates_of(erasure.subject_id)
    return erased_template_answer(erasure, parts.galleries, num_left=num_left)


@router.get("/templates/{template_id}/erasure", responses=problems(404))
def get_template_erasure(
    gallery: GalleryPath,
    template_id: TemplatePath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.REMOVE))],
) -> schemas.ReceiptAnswer:
    """Give the receipt of a removed template as it stands now, final once it is purged."""
    caller.require_gallery(gallery)
    erasure = parts.galleries.get(gallery).template_erasure(template_id)
    return receipt_answer(parts.galleries.receipt(erasure))


@router.post(
    "/subjects/{subject_id}/templates/move",
    responses=problems(404, 409, 413, 415),
    openapi_extra=body_of(MoveBody),
)
async def move_templates(
    request: Request,
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.ARRANGE))],
) -> schemas.MoveAnswer:
    """Give templates of one person to another, all or none; they count there at once.

    The one that they were taken from stays, even without any.
    """
    caller.require_gallery(gallery)
    body = await read_body(request, MoveBody, max_bytes=SMALL_BODY_BYTES)
    moved = await in_worker(request, move_templates_of, parts, gallery, subject_id, body)
    return move_answer(moved, dry_run=body.dry_run)


@router.post(
    "/subjects/{subject_id}/merge",
    responses=problems(404, 409, 413, 415),
    openapi_extra=body_of(MergeBody),
)
async def merge_subjects(
    request: Request,
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.ARRANGE))],
) -> schemas.MergeAnswer:
    """Give all templates of one person to another, `into`, and delete the one; at once or not.

    The other one keeps name and external id, and takes over what it has none of.
    """
    caller.require_gallery(gallery)
    body = await read_body(request, MergeBody, max_bytes=SMALL_BODY_BYTES)
    merged = await in_worker(request, merge_subject, parts, gallery, subject_id, body)
    return merge_answer(merged, dry_run=body.dry_run)
