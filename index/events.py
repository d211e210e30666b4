"""What was decided, as those hear of it who act on it: doors and desks. Ids only, never a name."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from index.decision import Decision, Reason

EventKind = Literal["identified", "review_decided"]
"""A face was compared with a gallery, or a person decided a review."""

Verdict = Literal["same", "different", "unsure"]
"""What a person says of a review: is the face that of the candidate?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRules:
    """How long events and reviews are kept; what is over goes with the next upkeep.

    Attributes:
        max_age_s: of an event, in seconds; a day, in which whoever was away comes back.
        max_events: of all galleries together; about 30 MB.
        max_reviews: likewise; the oldest go first.
    """

    max_age_s: float = 86_400.0
    max_events: int = 100_000
    max_reviews: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """What is to be told.

    Attributes:
        kind: what happened.
        gallery_id: public id.
        subject_id: of ``match`` the person, of ``review`` the one to compare with, else None.
        decision: about the face.
        face: its place among the faces of the photo, from 0.
        source: what the caller of the identification called itself, such as a door; None for
            nothing.
        request_id: of the identification.
        review_id: of the review that it led to, if any.
        verdict: of a review that was decided.
    """

    kind: EventKind
    gallery_id: str
    subject_id: str | None
    decision: Decision
    face: int
    source: str | None = None
    request_id: str | None = None
    review_id: str | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened; the fields of `NewEvent`, and these.

    Attributes:
        cursor: points behind the event, and is its id.
        at: UTC.
        gallery: name that the gallery has now.
    """

    cursor: str
    at: datetime
    kind: EventKind
    gallery: str
    gallery_id: str
    subject_id: str | None
    decision: Decision
    face: int
    source: str | None
    request_id: str | None
    review_id: str | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Some events, the oldest first.

    Attributes:
        events: of the galleries that were asked for.
        cursor: to go on from, also where there were none.
        more: whether there are more already.
    """

    events: tuple[Event, ...]
    cursor: str
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReview:
    """A face that a person should look at.

    Attributes:
        id: public.
        gallery_id: public id.
        subject_id: whom to compare it with.
        similarity: the cosine, in [-1, 1].
        reasons: why the machine did not decide.
        face: place among the faces of the photo, from 0.
        source: what the caller of the identification called itself; None for nothing.
        request_id: of the identification.
        expires_at: UTC; it is gone afterwards, decided or not.
        crop: the face as a PNG file, kept by a sealer that encrypts; None to keep none.
    """

    id: str
    gallery_id: str
    subject_id: str
    similarity: float
    reasons: tuple[Reason, ...]
    face: int
    source: str | None
    request_id: str | None
    expires_at: datetime
    crop: bytes | None = None


ReviewState = Literal["open", "claimed", "decided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A face that a person should look at, or has; the fields of `NewReview`, and these.

    Attributes:
        gallery: name that the subject's gallery has now.
        state: ``open``, until somebody claims it, and again when the claim is over.
        created_at: UTC.
        claimed_by: id of the key that has it; None where nobody has.
        claimed_until: UTC; None likewise.
        verdict: None until it is decided.
        decided_by: id of the key that decided.
        decided_at: UTC.
    """

    id: str
    gallery: str
    gallery_id: str
    subject_id: str
    similarity: float
    reasons: tuple[Reason, ...]
    face: int
    source: str | None
    request_id: str | None
    state: ReviewState
    created_at: datetime
    expires_at: datetime
    claimed_by: str | None
    claimed_until: datetime | None
    verdict: Verdict | None
    decided_by: str | None
    decided_at: datetime | None
