"""Decision events, and the queue of faces that a person looks at."""

from index.events import ReviewState, Verdict
from service import schemas
from service.calls.call import Call, delete, get, given, page, path_of, post


def events(
    *, after: str | None = None, gallery: str | None = None, limit: int = 100
) -> Call[schemas.EventsAnswer]:
    """A page of events behind a cursor; without one there are none, only where to go on."""
    query = given(wait="0", limit=str(limit), after=after, gallery=gallery)
    return get(schemas.EventsAnswer, path_of("events"), query)


def reviews(
    *,
    state: ReviewState | None = None,
    gallery: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Call[schemas.ReviewsAnswer]:
    """A page of reviews, the oldest first."""
    query = page(limit, cursor, state=state, gallery=gallery)
    return get(schemas.ReviewsAnswer, path_of("reviews"), query)


def review(review_id: str) -> Call[schemas.ReviewAnswer]:
    """A review."""
    return get(schemas.ReviewAnswer, path_of("reviews", review_id))


def review_crop(review_id: str) -> Call[schemas.CropAnswer]:
    """The face of a review, where the service keeps crops."""
    return get(schemas.CropAnswer, path_of("reviews", review_id, "crop"))


def claim_review(review_id: str) -> Call[schemas.ReviewAnswer]:
    """Has a review alone for a while; a second time for longer."""
    path = path_of("reviews", review_id, "claim")
    return post(schemas.ReviewAnswer, path, repeatable=True)


def release_review(review_id: str) -> Call[schemas.ReviewAnswer]:
    """Gives a claimed review back; a second time nothing changes."""
    path = path_of("reviews", review_id, "claim")
    return delete(schemas.ReviewAnswer, path, repeatable=True)


def decide_review(review_id: str, verdict: Verdict) -> Call[schemas.ReviewAnswer]:
    """Says whether a review's face is the candidate's; the same a second time changes nothing."""
    path = path_of("reviews", review_id, "decision")
    return post(schemas.ReviewAnswer, path, {"verdict": verdict}, repeatable=True)
