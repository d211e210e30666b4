"""Galleries as files, given out and taken in by an admin."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from service import schemas
from service.access import PartsOf, allowed
from service.auth import Caller, Permission
from service.openapi import problems
from service.routes.galleries import TAGS, GalleryPath
from service.transfer import PARQUET, GalleryFile, export_file, import_file

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=TAGS)

_FILE: dict[str, Any] = {PARQUET: {"schema": {"type": "string", "format": "binary"}}}

Mover = Annotated[Caller, Depends(allowed(Permission.TRANSFER))]


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {"description": "A file of the exchange format, in clear text.", "content": _FILE},
        **problems(404, 409),
    },
)
def export_gallery(gallery: GalleryPath, parts: PartsOf, caller: Mover) -> GalleryFile:
    """Give a gallery as a Parquet file: templates and names in clear text.

    Off unless the operator allows it. A connection that ends before the file does has no file.
    """
    caller.require_gallery(gallery)
    return export_file(parts, gallery)


@router.post(
    "/import",
    responses=problems(404, 408, 409, 413, 415),
    openapi_extra={"requestBody": {"required": True, "content": _FILE}},
)
async def import_gallery(
    gallery: GalleryPath, request: Request, parts: PartsOf, caller: Mover
) -> schemas.ImportAnswer:
    """Write a Parquet file into a gallery, all or nothing, without those who were erased."""
    caller.require_gallery(gallery)
    return await import_file(parts, gallery, request)
