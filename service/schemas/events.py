"""What was decided, for those who act on it."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from index.decision import Decision
from index.events import Event, EventKind, Verdict
from service.schemas.base import CREATED, SUBJECT_ID, Answer, GalleryName


class EventAnswer(Answer):
    """A face that was compared with a gallery, or a review that a person decided."""

    id: Annotated[
        str,
        Field(
            description="The same each time the event is given, and the cursor to go on from.",
            examples=["AAAAAAAAABE5b1d5f0c9b1d5f0c9b1d5"],
        ),
    ]
    kind: Annotated[EventKind, Field(examples=["identified"])]
    at: Annotated[datetime, Field(examples=[CREATED])]
    gallery: GalleryName
    gallery_id: Annotated[str, Field(examples=[SUBJECT_ID])]
    decision: Annotated[Decision, Field(description="What identify answered.", examples=["match"])]
    subject_id: Annotated[
        str | None,
        Field(
            description="Of `match` the person; of `review` the one to compare with, which "
            "listener keys see only once a person said `same`.",
            examples=[SUBJECT_ID],
        ),
    ]
    face: Annotated[int, Field(description="Place in the answer's `faces`.", examples=[0])]
    source: Annotated[str | None, Field(description="As given to identify.", examples=["door-2"])]
    request_id: Annotated[str | None, Field(description="`X-Request-ID` of the identification.")]
    review_id: Annotated[str | None, Field(description="Of the review that it led to.")]
    verdict: Annotated[Verdict | None, Field(description="With `review_decided`.")]

    @classmethod
    def of(cls, event: Event, *, similarities: bool) -> Self:
        """An event as it is shown.

        Args:
            event: what happened.
            similarities: whether the caller may see more than decisions.
        """
        named = similarities or event.decision == "match" or event.verdict == "same"
        return cls(
            id=event.cursor,
            kind=event.kind,
            at=event.at,
            gallery=event.gallery,
            gallery_id=event.gallery_id,
            decision=event.decision,
            subject_id=event.subject_id if named else None,
            face=event.face,
            source=event.source,
            request_id=event.request_id,
            review_id=event.review_id,
            verdict=event.verdict,
        )


class EventsAnswer(Answer):
    """Some events, the oldest first."""

    events: list[EventAnswer]
    next_cursor: Annotated[
        str,
        Field(
            description="To go on from, as `after`; also where there are no events.",
            examples=["eyJuIjoxN30"],
        ),
    ]
    more: Annotated[bool, Field(description="Whether there are more already.")]
