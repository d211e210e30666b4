"""Galleries, and the models that they can be made with."""

from enum import Enum
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from service import schemas
from service.access import PartsOf, allowed, in_worker
from service.answers.galleries import galleries_answer, models_answer
from service.answers.subjects import erased_answer, receipt_answer
from service.auth import Caller, Permission
from service.bodies.galleries import GalleryBody
from service.enrolling import create_gallery_once
from service.idempotency_key import REPLAYED, SentKey
from service.openapi import body_of, problems
from service.paging import PageCursor, PageLimit
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
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> schemas.GalleriesAnswer:
    """List the galleries that the key reaches, page by page, by name."""
    found, next_cursor = parts.galleries.page(limit=limit, cursor=cursor, shown=caller.sees)
    return galleries_answer(found, next_cursor, embedders=parts.embedders)


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
    return erased_answer(parts.galleries.erase(gallery), parts.galleries)


@router.get("/galleries/{gallery}/erasure", tags=TAGS, responses=problems(404))
def get_gallery_erasure(
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.MANAGE_GALLERIES))],
) -> schemas.ReceiptAnswer:
    """Give the receipt of the gallery of this name that was deleted last, as it stands now."""
    caller.require_gallery(gallery)
    return receipt_answer(parts.galleries.receipt(parts.galleries.erasure(gallery)))


@router.get("/models", tags=["operation"], responses=problems())
def list_models(
    parts: PartsOf,
    _caller: Annotated[Caller, Depends(allowed(Permission.READ_GALLERIES))],
) -> schemas.ModelsAnswer:
    """List the installed models, the one for new galleries first."""
    return models_answer(parts.embedders.installed())
