"""Faces that a person looks at."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from index.decision import Reason
from index.events import Review, ReviewState, Verdict
from service.schemas.base import CREATED, SUBJECT_ID, Answer, GalleryName, NextCursor


class ReviewAnswer(Answer):
    """A face that the machine did not decide on."""

    id: Annotated[str, Field(examples=[SUBJECT_ID])]
    gallery: GalleryName
    subject_id: Annotated[str, Field(description="Whom to compare with.", examples=[SUBJECT_ID])]
    similarity: Annotated[float, Field(examples=[0.46])]
    reasons: Annotated[list[Reason], Field(description="Why the machine did not decide.")]
    face: Annotated[int, Field(description="Place in the answer's `faces`.", examples=[0])]
    source: Annotated[str | None, Field(description="As given to identify.", examples=["desk-1"])]
    request_id: Annotated[
        str | None,
        Field(description="`X-Request-ID` of the identification.", examples=["8f1b2c3d"]),
    ]
    state: Annotated[ReviewState, Field(examples=["open"])]
    created_at: Annotated[datetime, Field(examples=[CREATED])]
    expires_at: Annotated[datetime, Field(description="Gone then.", examples=[CREATED])]
    claimed_by: Annotated[str | None, Field(description="Id of a key.", examples=[None])]
    claimed_until: Annotated[datetime | None, Field(examples=[None])]
    verdict: Annotated[Verdict | None, Field(examples=[None])]
    decided_by: Annotated[str | None, Field(description="Id of a key.", examples=[None])]
    decided_at: Annotated[datetime | None, Field(examples=[None])]

    @classmethod
    def of(cls, review: Review) -> Self:
        """A review as it is shown."""
        return cls(
            id=review.id,
            gallery=review.gallery,
            subject_id=review.subject_id,
            similarity=review.similarity,
            reasons=list(review.reasons),
            face=review.face,
            source=review.source,
            request_id=review.request_id,
            state=review.state,
            created_at=review.created_at,
            expires_at=review.expires_at,
            claimed_by=review.claimed_by,
            claimed_until=review.claimed_until,
            verdict=review.verdict,
            decided_by=review.decided_by,
            decided_at=review.decided_at,
        )


class ReviewsAnswer(Answer):
    """A page of reviews, the oldest first."""

    reviews: list[ReviewAnswer]
    next_cursor: NextCursor
