"""What turns a match into a review, and how the answer says why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.errors import RequestInvalid
from index.decision import (
    Identification,
    LookAlikes,
    identification,
    name_each_subject_once,
)
from tests.index.samples import (
    candidate,
)

_NAMES = "abcd"
_SIMILARITIES = st.sampled_from([0.25, 0.375, 0.5, 0.5625, 0.625, 0.75])


def _decided(
    *similarities: float, smallest_lead: float = 0.0, look_alikes: LookAlikes = ()
) -> Identification:
    """The answer for candidates a, b, c ... at the thresholds 0.5 and 0.375."""
    candidates = [candidate(*pair) for pair in zip(_NAMES, similarities, strict=False)]
    return identification(
        candidates,
        match_threshold=0.5,
        review_threshold=0.375,
        smallest_lead=smallest_lead,
        look_alikes=look_alikes,
    )


@pytest.mark.parametrize(
    ("lead", "expected"), [(0.0, "match"), (0.125, "match"), (0.126, "review"), (2.0, "review")]
)
def test_a_lead_equal_to_the_smallest_is_enough(lead: float, expected: str) -> None:
    """The first leads by 0.125: a match up to that, and a review beyond, with its reason."""
    answer = _decided(0.75, 0.625, smallest_lead=lead)
    assert answer.decision == expected
    assert answer.reasons == (("close_runner_up",) if expected == "review" else ())
    assert answer.subject == answer.candidates[0].subject


def test_equal_candidates_are_a_match_when_no_lead_is_wanted() -> None:
    """Zero switches the runner-up off."""
    assert _decided(0.75, 0.75).decision == "match"
    assert _decided(0.75, 0.75, smallest_lead=1e-9).reasons == ("close_runner_up",)


def test_nobody_behind_is_no_runner_up() -> None:
    """A single candidate leads by any lead."""
    assert _decided(0.5, smallest_lead=2.0).decision == "match"


@pytest.mark.parametrize("pair", [("a", "c"), ("c", "a")])
@pytest.mark.parametrize(("other", "expected"), [(0.375, "review"), (0.3749, "match")])
def test_a_look_alike_at_the_review_threshold_asks_for_a_look(
    pair: tuple[str, str], other: float, expected: str
) -> None:
    """In either order, and from the review threshold on."""
    answer = _decided(0.75, 0.5, other, look_alikes=[pair])
    assert answer.decision == expected
    assert answer.reasons == (("look_alike",) if expected == "review" else ())


def test_look_alikes_of_others_change_nothing() -> None:
    """Only a pair with the first candidate counts, and ids that nobody has are no matter."""
    pairs = {("b", "c"), ("x", "y"), ("a", "x")}
    assert _decided(0.75, 0.5, 0.5, look_alikes=pairs).decision == "match"


def test_below_the_match_threshold_the_other_doubts_are_told_too() -> None:
    """Whoever looks should know all that spoke against a name, in the order of the reasons."""
    answer = _decided(0.4, 0.4, smallest_lead=0.1, look_alikes=[("a", "b")])
    assert answer.reasons == ("below_match", "close_runner_up", "look_alike")


def test_unknown_needs_no_reason() -> None:
    """Nobody is to be looked at."""
    answer = _decided(0.25, 0.25, smallest_lead=0.5, look_alikes=[("a", "b")])
    assert (answer.decision, answer.reasons, answer.subject) == ("unknown", (), None)


@given(
    similarities=st.lists(_SIMILARITIES, max_size=4),
    lead=st.sampled_from([0.0, 0.0625, 0.125, 0.5]),
    pairs=st.sets(
        st.tuples(st.sampled_from(_NAMES), st.sampled_from(_NAMES)).filter(
            lambda pair: pair[0] != pair[1]
        ),
        max_size=3,
    ),
)
def test_decisions_equal_their_definition(
    similarities: list[float], lead: float, pairs: set[tuple[str, str]]
) -> None:
    """A slow reading of the rules gives the same decision and reasons for any candidates."""
    ranked = sorted(similarities, reverse=True)
    answer = _decided(*ranked, smallest_lead=lead, look_alikes=pairs)
    reasons = []
    if ranked and ranked[0] < 0.5:
        reasons.append("below_match")
    if len(ranked) > 1 and ranked[1] > ranked[0] - lead:
        reasons.append("close_runner_up")
    for name, similarity in list(zip(_NAMES, ranked, strict=False))[1:]:
        if similarity >= 0.375 and {("a", name), (name, "a")} & pairs:
            reasons.append("look_alike")
            break
    if not ranked or ranked[0] < 0.375:
        assert (answer.decision, answer.reasons) == ("unknown", ())
    else:
        assert answer.reasons == tuple(reasons)
        assert answer.decision == ("review" if reasons else "match")


@given(similarities=st.lists(_SIMILARITIES, min_size=1, max_size=4), lead=st.floats(0.0, 2.0))
def test_doubts_only_ever_take_a_name_away(similarities: list[float], lead: float) -> None:
    """Whatever they are, no unknown and no review becomes a match."""
    ranked = sorted(similarities, reverse=True)
    sure, doubted = _decided(*ranked), _decided(*ranked, smallest_lead=lead)
    assert doubted.decision in {sure.decision, "review"}
    assert (doubted.decision == "unknown") == (sure.decision == "unknown")
    assert doubted.candidates == sure.candidates


def test_a_face_named_elsewhere_says_so() -> None:
    """The face that loses its name says why; the other has nothing to say."""
    named = name_each_subject_once([_decided(0.75), _decided(0.5)])
    assert [each.reasons for each in named] == [(), ("named_elsewhere",)]


def test_a_doubtful_face_takes_no_name_from_another() -> None:
    """A review names nobody, however close, so the other face keeps its match."""
    closer = _decided(1.0, 0.875, smallest_lead=0.25)
    named = name_each_subject_once([closer, _decided(0.625)])
    assert [each.reasons for each in named] == [("close_runner_up",), ()]
    assert named[1].decision == "match"


@pytest.mark.parametrize("lead", [-0.1, 2.1, float("nan"), float("inf")])
def test_a_senseless_lead_is_refused(lead: float) -> None:
    """Cosines are at most 2 apart."""
    with pytest.raises(RequestInvalid, match="lead"):
        _decided(0.75, smallest_lead=lead)


def test_nobody_is_its_own_look_alike() -> None:
    """A pair of one id is a caller's mistake."""
    with pytest.raises(RequestInvalid, match="look-alike"):
        _decided(0.75, look_alikes=[("a", "b"), ("b", "b")])
