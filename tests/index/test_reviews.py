"""Tests of the review queue: one person gets each, claims end, all of it goes by itself."""

import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from embedding.errors import RequestInvalid, ReviewClaimed, ReviewDecided, ReviewNotFound
from index.audit.actor import acting, name_actor
from index.events import EventRules, NewReview, Review
from index.galleries import Galleries
from index.gallery import Gallery
from index.store.event_log import OLDEST
from index.store.ids import new_ids
from index.store.tables import utc_now
from tests.index.clock import set_clock
from tests.index.samples import FINGERPRINT, new_template, unit_vectors

_VECTORS = unit_vectors(3, seed=5)


@pytest.fixture
def subject_id(gallery: Gallery) -> str:
    """Somebody to compare faces with."""
    return gallery.enroll([new_template(_VECTORS[0])], name="Ann").subject_id


def queue(galleries: Galleries, subject_id: str, *, expires_at: datetime | None = None) -> str:
    """Put a review into the queue; returns its id."""
    new = NewReview(
        id=new_ids(1)[0],
        gallery_id=galleries.get("people").id,
        subject_id=subject_id,
        similarity=0.46,
        reasons=("below_match",),
        face=1,
        source="desk-3",
        request_id="request-9",
        expires_at=expires_at or utc_now() + timedelta(hours=24),
    )
    galleries.events.record([], reviews=[new])
    return new.id


def listed(galleries: Galleries, state: str | None = None) -> list[Review]:
    """All reviews in a state."""
    found, cursor = galleries.reviews.page(state=state, limit=100)  # type: ignore[arg-type]
    assert cursor is None
    return found


def test_it_waits_with_what_is_needed_to_look(galleries: Galleries, subject_id: str) -> None:
    """Ids, similarity, reasons and source are there, and nobody has it."""
    review_id = queue(galleries, subject_id)
    (found,) = listed(galleries, "open")
    assert found == galleries.reviews.get(review_id)
    assert (found.subject_id, found.gallery, found.similarity) == (subject_id, "people", 0.46)
    assert (found.reasons, found.face, found.source) == (("below_match",), 1, "desk-3")
    assert (found.state, found.claimed_by, found.verdict) == ("open", None, None)


def test_one_person_gets_it(galleries: Galleries, subject_id: str) -> None:
    """Of many who claim at once one gets it; that one may claim longer, others may not."""
    review_id = queue(galleries, subject_id)
    got: list[str] = []

    def claim(by: str) -> None:
        try:
            galleries.reviews.claim(review_id, by=by, claim_s=60.0)
        except ReviewClaimed:
            return
        got.append(by)

    threads = [threading.Thread(target=claim, args=(f"key-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (by,) = got
    assert listed(galleries, "claimed")[0].claimed_by == by
    assert listed(galleries, "open") == []
    longer = galleries.reviews.claim(review_id, by=by, claim_s=600.0)
    assert longer.claimed_until is not None
    assert longer.claimed_until > utc_now() + timedelta(seconds=500)
    with pytest.raises(ReviewClaimed):
        galleries.reviews.decide(review_id, "same", by="another", tell=True)
    with pytest.raises(ReviewClaimed):
        galleries.reviews.release(review_id, by="another")


def test_a_claim_ends(
    galleries: Galleries, subject_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself when its time is over, or when it is given back; then another one gets it."""
    review_id = queue(galleries, subject_id)
    galleries.reviews.claim(review_id, by="key-1", claim_s=60.0)
    set_clock(monkeypatch, timedelta(seconds=61))
    assert [each.claimed_by for each in listed(galleries, "open")] == [None]
    galleries.reviews.claim(review_id, by="key-2", claim_s=60.0)
    given_back = galleries.reviews.release(review_id, by="key-2")
    assert (given_back.state, given_back.claimed_by) == ("open", None)
    galleries.reviews.claim(review_id, by="key-3", claim_s=60.0)


def test_a_decision_is_final(galleries: Galleries, gallery: Gallery, subject_id: str) -> None:
    """It says what and who; the same again changes nothing, another one is refused."""
    review_id = queue(galleries, subject_id)
    galleries.reviews.claim(review_id, by="key-1", claim_s=60.0)
    decided = galleries.reviews.decide(review_id, "different", by="key-1", tell=True)
    assert (decided.state, decided.verdict, decided.decided_by) == (
        "decided",
        "different",
        "key-1",
    )
    assert galleries.reviews.decide(review_id, "different", by="key-1", tell=True) == decided
    for by, verdict in (("key-1", "same"), ("key-2", "different")):
        with pytest.raises(ReviewDecided):
            galleries.reviews.decide(review_id, verdict, by=by, tell=True)  # type: ignore[arg-type]
    with pytest.raises(ReviewDecided):
        galleries.reviews.claim(review_id, by="key-1", claim_s=60.0)
    assert listed(galleries, "decided") == [decided]
    assert gallery.num_templates == 1


def test_a_decision_is_told_once(galleries: Galleries, subject_id: str) -> None:
    """The event has the verdict and leads back to the review; untold ones have none."""
    one, other = queue(galleries, subject_id), queue(galleries, subject_id)
    for _ in range(2):
        galleries.reviews.decide(one, "same", by="key-1", tell=True)
    galleries.reviews.decide(other, "same", by="key-1", tell=False)
    (event,) = galleries.events.page(after=OLDEST, limit=9).events
    assert (event.kind, event.verdict, event.review_id) == ("review_decided", "same", one)
    assert (event.subject_id, event.source, event.face) == (subject_id, "desk-3", 1)


def test_claims_and_decisions_are_audited(galleries: Galleries, subject_id: str) -> None:
    """Under the key's id, with the candidate's pseudonym and the verdict."""
    review_id = queue(galleries, subject_id)
    with acting():
        name_actor("key-1")
        galleries.reviews.claim(review_id, by="key-1", claim_s=60.0)
        galleries.reviews.release(review_id, by="key-1")
        galleries.reviews.decide(review_id, "unsure", by="key-1", tell=True)
    entries = [each for each in galleries.audit.entries() if each.actor == "key-1"]
    assert [each.action for each in entries] == ["review.claim", "review.release", "review.decide"]
    assert entries[-1].facts == {"verdict": "unsure"}
    enrolled = next(e for e in galleries.audit.entries() if e.action == "subject.enroll")
    assert {each.subjects for each in entries} == {enrolled.subjects}
    assert galleries.audit.verify().findings == []


def test_reviews_expire(
    galleries: Galleries, subject_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After their time they are not there for anybody, and the upkeep deletes them."""
    review_id = queue(galleries, subject_id)
    set_clock(monkeypatch, timedelta(hours=24, seconds=1))
    assert listed(galleries) == []
    with pytest.raises(ReviewNotFound):
        galleries.reviews.get(review_id)
    with pytest.raises(ReviewNotFound):
        galleries.reviews.claim(review_id, by="key-1", claim_s=60.0)
    with pytest.raises(ReviewNotFound):
        galleries.reviews.decide(review_id, "same", by="key-1", tell=True)
    galleries.maintain()
    set_clock(monkeypatch, timedelta())
    assert listed(galleries) == []


def test_reviews_go_with_the_person_and_the_gallery(
    galleries: Galleries, gallery: Gallery, subject_id: str
) -> None:
    """Decided or not; and none is queued of somebody who is gone."""
    other = gallery.enroll([new_template(_VECTORS[1])]).subject_id
    galleries.reviews.decide(queue(galleries, subject_id), "same", by="key-1", tell=True)
    queue(galleries, subject_id)
    kept = queue(galleries, other)
    gallery.remove_subject(subject_id)
    queue(galleries, subject_id)
    assert [each.id for each in listed(galleries)] == [kept]
    assert galleries.events.page(after=OLDEST, limit=9).events == ()
    galleries.delete("people")
    assert listed(galleries) == []


def test_too_many_reviews_go(data_folder: Path) -> None:
    """The oldest first, as many as are too many."""
    with Galleries.open(data_folder, event_rules=EventRules(max_reviews=2)) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        person = gallery.enroll([new_template(_VECTORS[0])]).subject_id
        ids = [queue(galleries, person) for _ in range(5)]
        galleries.events.expire()
        assert [each.id for each in listed(galleries)] == ids[-2:]


def test_pages_and_scopes(galleries: Galleries, subject_id: str) -> None:
    """Pages give each once; other galleries' are not there, whatever is asked."""
    ids = [queue(galleries, subject_id) for _ in range(5)]
    found: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = galleries.reviews.page(state="open", limit=2, cursor=cursor)
        found += [each.id for each in page]
        if cursor is None:
            break
    assert found == ids
    assert galleries.reviews.page(state=None, limit=9, gallery_names=["other"])[0] == []
    with pytest.raises(ReviewNotFound):
        galleries.reviews.get(ids[0], gallery_names=["other"])
    with pytest.raises(ReviewNotFound):
        galleries.reviews.claim(ids[0], by="key-1", claim_s=60.0, gallery_names=["other"])
    with pytest.raises(RequestInvalid):
        galleries.reviews.page(state=None, limit=9, cursor="AAAA")


@pytest.mark.parametrize("review_id", ["", "absent", "é", "\0", "a" * 10_000, "%"])
def test_ids_that_are_none(galleries: Galleries, gallery: Gallery, review_id: str) -> None:
    """Whatever is given as an id, there is no such review; other letter cases are other ids."""
    with pytest.raises((ReviewNotFound, RequestInvalid)):
        galleries.reviews.get(review_id)
    person = gallery.enroll([new_template(_VECTORS[0])]).subject_id
    known = queue(galleries, person)
    with pytest.raises(ReviewNotFound):
        galleries.reviews.get(known.upper() + " ")
