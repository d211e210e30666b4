"""One answer from several galleries: who is named, and when a person has to look."""

from collections.abc import Sequence

import pytest

from index.across import (
    AcrossIdentification,
    GalleryAnswer,
    combined_fpir,
    decide_across,
    name_each_person_once,
)
from index.decision import Candidate, Identification, identification
from index.records import Subject
from tests.index.samples import candidate


def said(
    gallery: str,
    *similarities: float,
    match: float = 0.6,
    lead: float = 0.0,
    external_id: str | None = None,
) -> GalleryAnswer:
    """What a gallery says, whose candidates have these similarities; review begins at 0.4."""
    candidates = [
        _candidate(f"{gallery}-{n}", each, external_id) for n, each in enumerate(similarities)
    ]
    answer: Identification = identification(
        candidates, match_threshold=match, review_threshold=0.4, smallest_lead=lead
    )
    return GalleryAnswer(
        gallery=gallery, answer=answer, match_similarity=match, smallest_lead=lead
    )


def _candidate(subject_id: str, similarity: float, external_id: str | None) -> Candidate:
    made = candidate(subject_id, similarity)
    subject = Subject(
        id=subject_id,
        name=None,
        external_id=external_id,
        num_templates=1,
        created_at=made.subject.created_at,
    )
    return Candidate(subject=subject, similarity=similarity, template_id=made.template_id)


def decided(*answers: GalleryAnswer) -> AcrossIdentification:
    """The answer of all."""
    return decide_across(answers, num_candidates=5)


def test_the_gallery_that_knows_the_face_names_it() -> None:
    """One match and strangers elsewhere: the person, with the gallery."""
    found = decided(said("a", 0.2), said("b", 0.8), said("c"))
    assert (found.decision, found.gallery) == ("match", "b")
    assert found.subject is not None
    assert found.subject.id == "b-0"
    assert found.margin == pytest.approx(0.2)
    assert found.reasons == ()
    assert [each.gallery for each in found.answers] == ["a", "b", "c"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_galleries_that_name_different_people(order: Sequence[int]) -> None:
    """Neither name is told as one: a person looks, beginning with the larger margin."""
    both = (said("a", 0.7), said("b", 0.9))
    found = decided(*(both[each] for each in order))
    assert (found.decision, found.gallery) == ("review", "b")
    assert found.reasons == ("matched_elsewhere",)


def test_one_person_in_two_galleries_is_named() -> None:
    """The same external id says that both are one person."""
    found = decided(said("a", 0.7, external_id="7"), said("b", 0.9, external_id="7"))
    assert (found.decision, found.gallery, found.reasons) == ("match", "b", ())


@pytest.mark.parametrize(("rival", "decision"), [(0.58, "review"), (0.52, "match")])
def test_a_close_rival_of_another_gallery(rival: float, decision: str) -> None:
    """A review elsewhere within the lead makes one of the match; farther off it does not."""
    found = decided(said("a", 0.62, lead=0.05), said("b", rival))
    assert found.decision == decision
    assert ("close_runner_up" in found.reasons) is (decision == "review")


def test_margins_order_what_similarities_cannot() -> None:
    """Of two models the larger similarity may be the poorer one."""
    found = decided(said("a", 0.7, match=0.65), said("b", 0.62, match=0.41))
    assert found.gallery == "b"
    assert [each.gallery for each in found.candidates] == ["b", "a"]
    margins = [each.margin for each in found.candidates]
    assert margins == sorted(margins, reverse=True)


def test_reviews_and_strangers() -> None:
    """Without a match the best review is shown; without one nobody is."""
    found = decided(said("a", 0.45), said("b", 0.5))
    assert (found.decision, found.gallery, found.reasons) == ("review", "b", ("below_match",))
    found = decided(said("a", 0.1), said("b"))
    assert (found.decision, found.gallery, found.subject) == ("unknown", None, None)
    assert found.similarity == pytest.approx(0.1)
    empty = decided(said("a"), said("b"))
    assert (empty.similarity, empty.margin, empty.candidates) == (None, None, ())


def test_a_person_is_named_once_in_a_photo() -> None:
    """Two faces that are the same person by external id: the larger margin keeps the name."""
    faces = [
        decided(said("a", 0.7, external_id="7"), said("b", 0.1)),
        decided(said("a", 0.1), said("b", 0.9, external_id="7")),
    ]
    first, second = name_each_person_once(faces)
    assert (first.decision, first.reasons) == ("review", ("named_elsewhere",))
    assert second.decision == "match"


def test_the_fpir_of_several_galleries_adds_up() -> None:
    """It is at most the sum, and never above 1."""
    assert combined_fpir([0.01, 0.01, 0.05]) == pytest.approx(0.07)
    assert combined_fpir([0.9, 0.9]) == 1.0
