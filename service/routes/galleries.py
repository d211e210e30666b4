"""Galleries, and the models that they can be made with."""

from enum import Enum
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from service import answers, schemas
from service.access import PartsOf, allowed, in_worker
from service.auth import Caller, Permission
from service.bodies import GalleryBody
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
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.MANAGE_GALLERIES))],
) -> schemas.GalleryAnswer:
    """Make an empty gallery; it keeps its model for good."""
    body = await read_body(request, GalleryBody, max_bytes=SMALL_BODY_BYTES)
    caller.require_gallery(body.name)
    gallery = await in_worker(request, parts.create_gallery, body.name, model=body.model)
    return answers.gallery_answer(gallery, parts.embedders)


@router.delete("/galleries/{gallery}", tags=TAGS, responses=problems(404, 409))
def delete_gallery(
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.MANAGE_GALLERIES))],
) -> schemas.RemovedAnswer:
    """Delete a gallery with all its subjects; none of them is ever matched again."""
    caller.require_gallery(gallery)
    return schemas.RemovedAnswer(num_templates=parts.galleries.delete(gallery))


@router.get("/models", tags=["operation"], responses=problems())
def list_models(
    parts: PartsOf,
    _caller: Annotated[Caller, Depends(allowed(Permission.READ_GALLERIES))],
) -> schemas.ModelsAnswer:
    """List the installed models, the one for new galleries first."""
    return answers.models_answer(parts.embedders.installed())
