"""People whom a photo may not tell apart, such as twins: declared, listed and taken back."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from service import schemas
from service.access import PartsOf, allowed
from service.auth import Caller, Permission
from service.openapi import problems
from service.paging import PageCursor, PageLimit
from service.routes.galleries import GalleryPath, SubjectPath

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["look-alikes"])

OtherPath = Annotated[
    str, Path(max_length=255, description="Id of the other.", examples=[schemas.SUBJECT_ID])
]
_PAIR = "/subjects/{subject_id}/look-alikes/{other_id}"


@router.get("/look-alikes", responses=problems(404))
def list_look_alikes(
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_SUBJECTS))],
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> schemas.LookAlikesAnswer:
    """List the pairs of a gallery that were declared look-alikes, page by page."""
    caller.require_gallery(gallery)
    pairs, next_cursor = parts.galleries.get(gallery).look_alikes_page(limit=limit, cursor=cursor)
    return schemas.LookAlikesAnswer(pairs=pairs, next_cursor=next_cursor)


@router.get("/subjects/{subject_id}/look-alikes", responses=problems(404))
def list_look_alikes_of(
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_SUBJECTS))],
) -> schemas.SubjectLookAlikesAnswer:
    """List who was declared a look-alike of a person."""
    caller.require_gallery(gallery)
    found = parts.galleries.get(gallery)
    subject = found.subject(subject_id)
    return schemas.SubjectLookAlikesAnswer(subject_ids=list(found.look_alikes_of(subject.id)))


@router.put(_PAIR, responses=problems(404, 409))
def declare_look_alikes(
    gallery: GalleryPath,
    subject_id: SubjectPath,
    other_id: OtherPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.ARRANGE))],
) -> schemas.LookAlikeAnswer:
    """Declare two people look-alikes: where both are close, a match becomes a review."""
    caller.require_gallery(gallery)
    new = parts.galleries.get(gallery).declare_look_alikes(subject_id, other_id)
    return schemas.LookAlikeAnswer(declared=True, changed=new)


@router.delete(_PAIR, responses=problems(404, 409))
def withdraw_look_alikes(
    gallery: GalleryPath,
    subject_id: SubjectPath,
    other_id: OtherPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.ARRANGE))],
) -> schemas.LookAlikeAnswer:
    """Take a declaration back."""
    caller.require_gallery(gallery)
    was_there = parts.galleries.get(gallery).withdraw_look_alikes(subject_id, other_id)
    return schemas.LookAlikeAnswer(declared=False, changed=was_there)
