"""Galleries, their subjects, and the models that they can be made with."""

from enum import Enum
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from service import answers, schemas
from service.access import PartsOf, allowed, in_worker
from service.auth import Caller, Permission
from service.bodies import GalleryBody
from service.enrolling import create_gallery_once
from service.idempotency_key import REPLAYED, SentKey
from service.openapi import body_of, problems
from service.reading import SMALL_BODY_BYTES, read_body

router = APIRouter(prefix="/v1")

TAGS: list[str | Enum] = ["galleries"]  # not of the router: /v1/models belongs elsewhere

GalleryPath = Annotated[
    str, Path(max_length=255, description="Name of the gallery.", examples=["default"])
]
SubjectPath = Annotated[
    str, Path(max_length=255, description="Id of the subject.", examples=[schemas.SUBJECT_ID])
]


@router.get("/galleries", tags=TAGS, responses=problems())
def list_galleries(
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_GALLERIES))],
) -> schemas.GalleriesAnswer:
    """List the galleries that the key reaches."""
    return schemas.GalleriesAnswer(
        galleries=[
            answers.gallery_answer(gallery, parts.embedders)
            for gallery in parts.galleries.list()
            if caller.sees(gallery.name)
        ]
    )


@router.post(
    "/galleries",
    tags=TAGS,
    status_code=201,
    responses=problems(409, 413, 415),
    openapi_extra=body_of(GalleryBody),
)
async def create_gallery(
    request: Request,
    response: Response,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.MANAGE_GALLERIES))],
    key: SentKey,
) -> schemas.GalleryAnswer:
    """Make an empty gallery; it keeps its model for good."""
    body = await read_body(request, GalleryBody, max_bytes=SMALL_BODY_BYTES)
    caller.require_gallery(body.name)
    answer, again = await in_worker(
        request, create_gallery_once, parts, body, caller=caller.key_id, key=key
    )
    if again:
        response.headers[REPLAYED] = "true"
    return answer


@router.delete("/galleries/{gallery}", tags=TAGS, responses=problems(404, 409))
def delete_gallery(
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.MANAGE_GALLERIES))],
) -> schemas.ErasedAnswer:
    """Delete a gallery with all its subjects; none of them is ever matched again.

    The receipt becomes final a little later: ask for it again under `erasure`.
    """
    caller.require_gallery(gallery)
    return answers.erased_answer(parts.galleries.erase(gallery), parts.galleries)


@router.get("/galleries/{gallery}/erasure", tags=TAGS, responses=problems(404))
def get_gallery_erasure(
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.MANAGE_GALLERIES))],
) -> schemas.ReceiptAnswer:
    """Give the receipt of the gallery of this name that was deleted last, as it stands now."""
    caller.require_gallery(gallery)
    return answers.receipt_answer(parts.galleries.receipt(parts.galleries.erasure(gallery)))


@router.get("/galleries/{gallery}/subjects", tags=TAGS, responses=problems(404))
def list_subjects(
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_SUBJECTS))],
    limit: Annotated[int, Query(ge=1, le=1000, description="Subjects on the page.")] = 100,
    cursor: Annotated[
        str | None,
        Query(max_length=1000, description="`next_cursor` of the page before."),
    ] = None,
) -> schemas.SubjectsAnswer:
    """List a gallery's subjects, page by page, in the order of their enrollment."""
    caller.require_gallery(gallery)
    page = parts.galleries.get(gallery).subjects(limit=limit, cursor=cursor)
    return answers.subjects_answer(page)


@router.get("/galleries/{gallery}/subjects/{subject_id}", tags=TAGS, responses=problems(404))
def get_subject(
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_SUBJECTS))],
) -> schemas.SubjectAnswer:
    """Show a subject."""
    caller.require_gallery(gallery)
    return answers.subject_answer(parts.galleries.get(gallery).subject(subject_id))


@router.delete(
    "/galleries/{gallery}/subjects/{subject_id}", tags=TAGS, responses=problems(404, 409)
)
def remove_subject(
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.REMOVE))],
) -> schemas.ErasedAnswer:
    """Remove a subject with its templates; it is never matched again.

    The receipt becomes final a little later: ask for it again under `erasure`.
    """
    caller.require_gallery(gallery)
    erasure = parts.galleries.get(gallery).erase_subject(subject_id)
    return answers.erased_answer(erasure, parts.galleries)


@router.get(
    "/galleries/{gallery}/subjects/{subject_id}/erasure", tags=TAGS, responses=problems(404)
)
def get_erasure(
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.REMOVE))],
) -> schemas.ReceiptAnswer:
    """Give the receipt of a removed subject as it stands now, final once all is purged."""
    caller.require_gallery(gallery)
    erasure = parts.galleries.get(gallery).erasure(subject_id)
    return answers.receipt_answer(parts.galleries.receipt(erasure))


@router.get("/models", tags=["operation"], responses=problems())
def list_models(
    parts: PartsOf,
    _caller: Annotated[Caller, Depends(allowed(Permission.READ_GALLERIES))],
) -> schemas.ModelsAnswer:
    """List the installed models, the one for new galleries first."""
    return answers.models_answer(parts.embedders.installed())
