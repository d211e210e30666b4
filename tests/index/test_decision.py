"""Decisions from similarities, against slow second implementations."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.errors import RequestInvalid
from index.decision import (
    Identification,
    TemplateHit,
    decide,
    fuse_max,
    identification,
    name_each_subject_once,
)
from tests.index.samples import candidate

_HITS = st.lists(
    st.builds(
        TemplateHit,
        template_id=st.uuids().map(str),
        subject_id=st.sampled_from(["anna", "bert", "cleo", None]),
        similarity=st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.75]),
        quality=st.sampled_from([0.25, 0.5, 1.0]),
        sequence=st.integers(1, 1_000_000),
    ),
    max_size=20,
    unique_by=lambda hit: hit.sequence,
)


def _answer(subject_id: str, similarity: float) -> Identification:
    return identification(
        [candidate(subject_id, similarity)], match_threshold=0.5, review_threshold=0.4
    )


@given(hits=_HITS)
def test_fusion_is_the_maximum_over_a_subjects_templates(hits: list[TemplateHit]) -> None:
    """A subject's similarity is the largest of its templates', and each stands there once."""
    fused = {hit.subject_id: hit.similarity for hit in fuse_max(hits)}
    slow: dict[str, float] = {}
    for hit in hits:
        if hit.subject_id is not None:
            slow[hit.subject_id] = max(hit.similarity, slow.get(hit.subject_id, -2.0))
    assert fused == slow
    assert len(fuse_max(hits)) == len(slow)


@given(hits=_HITS)
def test_subjects_rank_by_similarity_then_quality_then_time(hits: list[TemplateHit]) -> None:
    """Each subject goes before the next in one of the three keys, in this order."""
    fused = fuse_max(hits)
    for first, second in pairwise(fused):
        if first.similarity != second.similarity:
            assert first.similarity > second.similarity
        elif first.quality != second.quality:
            assert first.quality > second.quality
        else:
            assert first.sequence < second.sequence


@given(hits=_HITS, seed=st.randoms())
def test_ranking_does_not_depend_on_the_order_of_the_hits(
    hits: list[TemplateHit], seed: Random
) -> None:
    """The same templates in another order give the same ranking."""
    shuffled = list(hits)
    seed.shuffle(shuffled)
    assert fuse_max(shuffled) == fuse_max(hits)


def test_a_template_without_a_subject_never_names_anybody() -> None:
    """Its hit is left out, however similar it is."""
    stray = TemplateHit(template_id="t", subject_id=None, similarity=1.0, quality=1.0, sequence=1)
    assert fuse_max([stray]) == []


@pytest.mark.parametrize(
    ("similarity", "expected"),
    [
        (0.7, "match"),
        (0.5, "match"),
        (0.4999, "review"),
        (0.4, "review"),
        (0.3999, "unknown"),
        (-1.0, "unknown"),
    ],
)
def test_both_thresholds_belong_to_the_upper_side(similarity: float, expected: str) -> None:
    """A similarity equal to a threshold has reached it."""
    candidates = [candidate("anna", similarity)]
    assert decide(candidates, match_threshold=0.5, review_threshold=0.4) == expected


def test_nobody_to_compare_with_is_unknown() -> None:
    """Without candidates the decision is unknown, without subject and similarity."""
    answer = identification([], match_threshold=-1.0, review_threshold=-1.0)
    assert (answer.decision, answer.subject, answer.similarity) == ("unknown", None, None)


def test_unknown_gives_the_similarity_but_no_subject() -> None:
    """Below both thresholds nobody is named, and the best similarity is told."""
    answer = _answer("anna", 0.25)
    assert (answer.decision, answer.subject, answer.similarity) == ("unknown", None, 0.25)


def test_equal_thresholds_leave_no_review_band() -> None:
    """With both thresholds equal the decision jumps from unknown to match."""
    below, at = [candidate("anna", 0.4999)], [candidate("anna", 0.5)]
    assert decide(below, match_threshold=0.5, review_threshold=0.5) == "unknown"
    assert decide(at, match_threshold=0.5, review_threshold=0.5) == "match"


@pytest.mark.parametrize(
    ("match", "review"), [(0.4, 0.5), (float("nan"), 0.1), (0.5, float("inf"))]
)
def test_thresholds_that_cannot_decide_are_refused(match: float, review: float) -> None:
    """A review threshold above the match threshold, NaN and infinity are a caller's mistake."""
    with pytest.raises(RequestInvalid, match="threshold"):
        decide([], match_threshold=match, review_threshold=review)


def test_the_closest_face_of_a_photo_keeps_the_name() -> None:
    """Of two faces that match one subject the other becomes review and keeps its candidates."""
    far, near, other = _answer("anna", 0.6), _answer("anna", 0.8), _answer("bert", 0.55)
    named = name_each_subject_once([far, near, other])
    assert [each.decision for each in named] == ["review", "match", "match"]
    assert named[0].candidates == far.candidates
    assert named[1:] == (near, other)


def test_of_equally_close_faces_the_first_keeps_the_name() -> None:
    """A tie is broken by the order in which the faces were given."""
    named = name_each_subject_once([_answer("anna", 0.6), _answer("anna", 0.6)])
    assert [each.decision for each in named] == ["match", "review"]


@given(
    faces=st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(-1.0, 1.0, allow_nan=False)), max_size=8
    )
)
def test_a_subject_is_named_at_most_once_in_a_photo(faces: list[tuple[str, float]]) -> None:
    """Whatever the faces, no name stands twice and nobody who was found is lost."""
    answers = [_answer(*face) for face in faces]
    named = name_each_subject_once(answers)
    names = [each.subject.id for each in named if each.decision == "match" and each.subject]
    assert len(names) == len(set(names))
    matched = {each.candidates[0].subject_id for each in answers if each.decision == "match"}
    assert set(names) == matched
    assert [each.candidates for each in named] == [each.candidates for each in answers]
