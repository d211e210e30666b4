"""Crops of enrolled faces, where the operator has them kept."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from service import schemas
from service.access import PartsOf, allowed
from service.auth import Caller, Permission
from service.openapi import problems

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["templates"])


@router.get("/templates/{template_id}/crop", responses=problems(404))
def template_crop(
    gallery: Annotated[str, Path(max_length=255, description="Name of the gallery.")],
    template_id: Annotated[str, Path(max_length=255, description="Id of the template.")],
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.SEE_CROPS))],
) -> schemas.CropAnswer:
    """Show the face that a template was made of; the audit log says who saw it."""
    caller.require_gallery(gallery)
    return schemas.CropAnswer.of(parts.galleries.get(gallery).show_crop(template_id))
