"""One gallery: how it decides, and its changes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from service import schemas
from service.access import PartsOf, allowed, in_worker
from service.answers.galleries import gallery_details
from service.assembly import Parts
from service.auth import Caller, Permission
from service.bodies.galleries import GalleryChangeBody
from service.gallery_changes import change_gallery
from service.openapi import body_of, problems
from service.reading import SMALL_BODY_BYTES, read_body
from service.routes.galleries import GalleryPath

router = APIRouter(prefix="/v1/galleries", tags=["galleries"])


@router.get("/{gallery}", responses=problems(404))
def get_gallery(
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_GALLERIES))],
) -> schemas.GalleryDetailsAnswer:
    """Show a gallery with its size, model, rules, thresholds and calibration."""
    caller.require_gallery(gallery)
    return gallery_details(parts.galleries.get(gallery), parts.embedders, settings=parts.settings)


@router.patch(
    "/{gallery}",
    responses=problems(404, 409, 413, 415),
    openapi_extra=body_of(GalleryChangeBody),
)
async def patch_gallery(
    request: Request,
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.MANAGE_GALLERIES))],
) -> schemas.GalleryDetailsAnswer:
    """Give a gallery another name, or choose how it decides; what is absent stays.

    Keys that are tied to the gallery are tied to its new name in the same commit.
    """
    caller.require_gallery(gallery)
    body = await read_body(request, GalleryChangeBody, max_bytes=SMALL_BODY_BYTES)
    if body.name is not None:
        caller.require_gallery(body.name)
    return await in_worker(request, _changed, parts, gallery, body)


def _changed(parts: Parts, name: str, body: GalleryChangeBody) -> schemas.GalleryDetailsAnswer:
    changed = change_gallery(parts, name, body)
    return gallery_details(changed, parts.embedders, settings=parts.settings)
