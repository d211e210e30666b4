"""Strays, doubled people and bad images, by the rules, from embeddings that a test chose."""

import numpy as np
import pytest

from tests.training.planted import LIMITS, crop, different, gather, kinds, unit
from training.inspecting.findings import Kind, Limits
from training.inspecting.inspection import find_all

A, B, C = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]
NEAR_B = [0.0, 0.8, 0.0, 0.6]
FAR = [0.0, 0.3, 0.0, 0.954]


@pytest.mark.parametrize(
    ("vectors", "strays"),
    [
        ([A], []),  # alone: nothing contradicts the name
        ([A, FAR], []),  # two that differ: which one is wrong cannot be told
        ([A, NEAR_B], [1]),  # but the second is found elsewhere
        ([A, A, FAR], [2]),  # the others agree, and another identity is nearer
        ([A, A, NEAR_B], [2]),
        ([A, A, C, C], []),  # two people half and half, neither of them elsewhere
        ([A, A, A, [0.4, 0.3, 0.0, 0.866]], []),  # far, but nobody is nearer
    ],
)
def test_strays_by_the_rule(vectors: list[list[float]], strays: list[int]) -> None:
    """Each case of the rule, against one other identity at B."""
    data = {"person": different(range(len(vectors))), "other": different([20, 21])}
    gathered = gather({"data": data}, unit([*vectors, B, B]))
    found = [one for one in find_all(gathered, LIMITS) if one.kind is Kind.STRAY]
    assert [one.row_a for one in found] == strays
    for one in found:
        assert one.proposed == (one.row_a,)
        assert gathered.identity_name(one.row_b or 0) == "other"
        assert gathered.identity_name(one.row_own or 0) == "person"


def test_a_copy_that_goes_does_not_speak_for_a_stray() -> None:
    """The same wrong picture twice is one copy and one stray, not a person of its own."""
    wrong = crop(0, 0)
    data = {"person": [*different([1, 2, 3]), wrong, wrong], "other": different([4, 5])}
    gathered = gather({"data": data}, unit([A, A, A, NEAR_B, NEAR_B, B, B]))
    found = kinds(find_all(gathered, LIMITS), gathered)
    assert found == [("duplicate", "person/4"), ("stray", "person/3")]


def test_a_copy_under_a_wrong_name_makes_no_stray() -> None:
    """A hard image whose picture stands under another name, too, is not found elsewhere."""
    picture = crop(0, 0)
    data = {"right": [picture, *different([1])], "wrong": [picture, *different([2, 3])]}
    gathered = gather({"data": data}, unit([A, [0.45, 0.0, 0.0, 0.893], A, B, B]))
    assert kinds(find_all(gathered, LIMITS), gathered) == [("duplicate", "wrong/0")]


def test_one_lucky_pair_does_not_join_two_people() -> None:
    """The nearest pair matches, all pairs together do not; with a lower limit they do."""
    data = {"one": different([1, 2]), "two": different([3, 4])}
    vectors = unit([A, [0.6, 0.0, 0.8, 0.0], A, [0.6, 0.0, 0.0, 0.8]])
    gathered = gather({"data": data}, vectors)
    mean = (1.0 + 0.6 + 0.6 + 0.36) / 4
    strict = Limits(threshold=0.65, pair_threshold=0.645)
    assert mean < strict.pair_threshold
    assert Kind.MERGE not in {one.kind for one in find_all(gathered, strict)}
    lenient = Limits(threshold=0.65, pair_threshold=0.6)
    (found,) = [one for one in find_all(gathered, lenient) if one.kind is Kind.MERGE]
    assert (found.similarity, found.mean_similarity) == pytest.approx((1.0, mean))
    assert (gathered.key(found.row_a), gathered.key(found.row_b or 0)) == ("one/0", "two/0")
    assert found.proposed == ()


def test_a_stray_does_not_join_two_people() -> None:
    """It reaches the other identity, and without it nothing does."""
    data = {"one": different([1, 2]), "two": different([3, 4])}
    gathered = gather({"data": data}, unit([A, NEAR_B, B, B]))
    found = find_all(gathered, Limits(threshold=0.65, pair_threshold=0.3))
    assert kinds(found, gathered) == [("stray", "one/1")]


def test_low_quality_is_listed_and_never_proposed() -> None:
    """Below the floor, not at it; other sets are not judged."""
    gathered = gather(
        {"data": {"one": different([1, 2, 3])}, "other": {"two": different([4])}},
        unit([A, A, A, B]),
        np.array([2.0, 1.0, 1.5, 0.1], np.float32),
    )
    found = find_all(gathered, Limits(threshold=0.65, pair_threshold=0.5, norm_floor=1.5))
    assert kinds(found, gathered) == [("low_quality", "one/1")]
    assert found[0].proposed == ()
