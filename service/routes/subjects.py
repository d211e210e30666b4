"""The people of a gallery: listed, found, shown, changed and removed."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from service import schemas
from service.access import PartsOf, allowed, in_worker
from service.answers.subjects import erased_answer, receipt_answer, subject_answer, subjects_answer
from service.auth import Caller, Permission
from service.bodies.subjects import SubjectChangeBody
from service.etags import IfMatch, IfNoneMatch, etag_of
from service.openapi import Responses, body_of, problems
from service.paging import PageCursor, PageLimit
from service.reading import SMALL_BODY_BYTES, read_body
from service.routes.galleries import TAGS, GalleryPath, SubjectPath

router = APIRouter(prefix="/v1/galleries/{gallery}/subjects", tags=TAGS)

_TAGGED: Responses = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}, "description": "The version."}}}
}


@router.get("", responses=problems(404))
def list_subjects(
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_SUBJECTS))],
    limit: PageLimit = 100,
    cursor: PageCursor = None,
    name: Annotated[
        str | None,
        Query(max_length=1000, description="Only who is called exactly this.", examples=["Ada"]),
    ] = None,
    external_id: Annotated[
        str | None, Query(max_length=1000, description="Only who has exactly this id of yours.")
    ] = None,
) -> schemas.SubjectsAnswer:
    """List a gallery's subjects, page by page, in the order of their enrollment; or find one."""
    caller.require_gallery(gallery)
    page = parts.galleries.get(gallery).subjects(
        limit=limit, cursor=cursor, name=name, external_id=external_id
    )
    return subjects_answer(page)


@router.get(
    "/{subject_id}",
    response_model=schemas.SubjectAnswer,
    responses={
        **_TAGGED,
        304: {"description": "The subject is as it was."},
        **problems(404),
    },
)
def get_subject(
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_SUBJECTS))],
    known: IfNoneMatch,
    response: Response,
) -> schemas.SubjectAnswer | Response:
    """Show a subject."""
    caller.require_gallery(gallery)
    subject = parts.galleries.get(gallery).subject(subject_id)
    response.headers["ETag"] = etag_of(subject)
    if known is None or subject.version in known:
        return Response(status_code=304, headers={"ETag": etag_of(subject)})
    return subject_answer(subject)


@router.patch(
    "/{subject_id}",
    responses={**_TAGGED, **problems(404, 409, 412, 413, 415)},
    openapi_extra=body_of(SubjectChangeBody),
)
async def change_subject(
    request: Request,
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.CHANGE_SUBJECTS))],
    asked: IfMatch,
    response: Response,
) -> schemas.SubjectAnswer:
    """Change a subject by a JSON merge patch: null takes away, what is absent stays."""
    caller.require_gallery(gallery)
    body = await read_body(request, SubjectChangeBody, max_bytes=SMALL_BODY_BYTES)
    people = parts.galleries.get(gallery)
    subject = await in_worker(
        request, people.change_subject, subject_id, body.change(), versions=asked
    )
    response.headers["ETag"] = etag_of(subject)
    return subject_answer(subject)


@router.delete("/{subject_id}", responses=problems(404, 409, 412))
def remove_subject(
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.REMOVE))],
    asked: IfMatch,
) -> schemas.ErasedAnswer:
    """Remove a subject with its templates; it is never matched again.

    The receipt becomes final a little later: ask for it again under `erasure`.
    """
    caller.require_gallery(gallery)
    erasure = parts.galleries.get(gallery).erase_subject(subject_id, versions=asked)
    return erased_answer(erasure, parts.galleries)


@router.get("/{subject_id}/erasure", responses=problems(404))
def get_erasure(
    gallery: GalleryPath,
    subject_id: SubjectPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.REMOVE))],
) -> schemas.ReceiptAnswer:
    """Give the receipt of a removed subject as it stands now, final once all is purged."""
    caller.require_gallery(gallery)
    erasure = parts.galleries.get(gallery).erasure(subject_id)
    return receipt_answer(parts.galleries.receipt(erasure))
