"""The queue of faces that a person looks at, shared by several people."""

from collections.abc import Collection
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request

from index.events import ReviewState
from service import schemas
from service.access import PartsOf, allowed
from service.assembly import Parts
from service.auth import Caller, Permission
from service.bodies.reviews import VerdictBody
from service.openapi import body_of, problems
from service.paging import PageCursor, PageLimit
from service.reading import SMALL_BODY_BYTES, read_body
from service.recording import check_on

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])

ReviewPath = Annotated[
    str, Path(max_length=255, description="Id of the review.", examples=[schemas.SUBJECT_ID])
]
Reviewer = Annotated[Caller, Depends(allowed(Permission.REVIEW))]


@router.get("", responses=problems(404, 409))
def reviews(
    parts: PartsOf,
    caller: Reviewer,
    state: Annotated[
        ReviewState | None, Query(description="Only those in it; all if absent.")
    ] = None,
    gallery: Annotated[
        str | None, Query(description="Only those of this gallery; all of the key's if absent.")
    ] = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> schemas.ReviewsAnswer:
    """List reviews, page by page, the oldest first."""
    names = _reached(parts, caller)
    if gallery is not None:
        caller.require_gallery(gallery)
        names = [parts.galleries.get(gallery).name]
    found, next_cursor = parts.galleries.reviews.page(
        state=state, limit=limit, cursor=cursor, gallery_names=names
    )
    return schemas.ReviewsAnswer(
        reviews=[schemas.ReviewAnswer.of(each) for each in found], next_cursor=next_cursor
    )


@router.get("/{review_id}", responses=problems(404, 409))
def review(parts: PartsOf, caller: Reviewer, review_id: ReviewPath) -> schemas.ReviewAnswer:
    """Show one review."""
    names = _reached(parts, caller)
    return schemas.ReviewAnswer.of(parts.galleries.reviews.get(review_id, gallery_names=names))


@router.get("/{review_id}/crop", responses=problems(404, 409))
def review_crop(
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.SEE_CROPS))],
    review_id: ReviewPath,
) -> schemas.CropAnswer:
    """Show the face of a review, where the service keeps crops; the audit log says who saw it."""
    names = _reached(parts, caller)
    return schemas.CropAnswer.of(parts.galleries.reviews.crop(review_id, gallery_names=names))


@router.post("/{review_id}/claim", responses=problems(404, 409))
def claim_review(parts: PartsOf, caller: Reviewer, review_id: ReviewPath) -> schemas.ReviewAnswer:
    """Have a review alone for a while; the same person's next call has it for longer."""
    names = _reached(parts, caller)
    return schemas.ReviewAnswer.of(
        parts.galleries.reviews.claim(
            review_id,
            by=caller.key_id,
            claim_s=parts.settings.review_claim_s,
            gallery_names=names,
        )
    )


@router.delete("/{review_id}/claim", responses=problems(404, 409))
def release_review(
    parts: PartsOf, caller: Reviewer, review_id: ReviewPath
) -> schemas.ReviewAnswer:
    """Give a claimed review back to all."""
    names = _reached(parts, caller)
    return schemas.ReviewAnswer.of(
        parts.galleries.reviews.release(review_id, by=caller.key_id, gallery_names=names)
    )


@router.post(
    "/{review_id}/decision",
    responses=problems(400, 404, 408, 409, 413, 415),
    openapi_extra=body_of(VerdictBody),
)
async def decide_review(
    request: Request, parts: PartsOf, caller: Reviewer, review_id: ReviewPath
) -> schemas.ReviewAnswer:
    """Say whether the face is the candidate's, once and for all; nobody is enrolled by it."""
    names = _reached(parts, caller)
    body = await read_body(request, VerdictBody, max_bytes=SMALL_BODY_BYTES)
    decided = await to_thread.run_sync(
        lambda: parts.galleries.reviews.decide(
            review_id,
            body.verdict,
            by=caller.key_id,
            tell=parts.settings.events,
            gallery_names=names,
        )
    )
    return schemas.ReviewAnswer.of(decided)


def _reached(parts: Parts, caller: Caller) -> Collection[str] | None:
    """Names of the galleries whose reviews there are for the caller; None for all.

    Raises:
        FeatureOff: there is no queue.
    """
    check_on(parts.settings, "reviews")
    return caller.galleries
