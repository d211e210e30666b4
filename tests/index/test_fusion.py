"""Every fusion rule against a slow second implementation and what must hold for all of them."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.decision import TemplateHit, fuse_max
from index.fusion import FUSION_RULES, MAXIMUM, Vote, fusion_rule
from tests.index.samples import unit_vectors

_D = 8
_MANY = st.integers(1, 9)
_SEEDS = st.integers(0, 10_000)

Vectors = NDArray[np.float32]


def _drawn(num: int, seed: int) -> tuple[Vectors, Vectors, NDArray[np.float64]]:
    """A probe, templates and qualities; a fifth of the qualities are 0."""
    vectors_ND = unit_vectors(num + 1, seed=seed, dimension=_D)
    qualities_N = np.random.default_rng(seed).uniform(-0.25, 1.0, num).clip(0.0)
    return vectors_ND[0], vectors_ND[1:], qualities_N


def _dot(left: Vectors, right: Vectors) -> float:
    total = math.fsum(float(a) * float(b) for a, b in zip(left, right, strict=True))
    return min(1.0, max(-1.0, total))


def _slow_centroid(probe_D: Vectors, templates: list[Vectors], qualities: list[float]) -> float:
    if sum(qualities) == 0.0:
        qualities = [1.0] * len(templates)
    mean = [
        math.fsum(
            quality * float(each[place])
            for quality, each in zip(qualities, templates, strict=True)
        )
        for place in range(_D)
    ]
    length = math.sqrt(math.fsum(value * value for value in mean))
    return (
        math.fsum(value * float(other) for value, other in zip(mean, probe_D, strict=True))
        / length
    )


def _slow_vote(similarities: list[float], num_voters: int) -> float:
    """Try every threshold there is, from the highest down, and count hands."""
    voters = sorted(similarities, reverse=True)[:num_voters]
    for threshold in voters:
        if 2 * sum(each >= threshold for each in voters) > len(voters):
            return threshold
    raise AssertionError("at the lowest threshold everybody says yes")


def _slow(name: str, probe_D: Vectors, templates: list[Vectors], qualities: list[float]) -> float:
    similarities = sorted((_dot(probe_D, each) for each in templates), reverse=True)
    best_two = sum(similarities[:2]) / len(similarities[:2])
    centroid = _slow_centroid(probe_D, templates, qualities)
    return {
        "maximum": similarities[0],
        "mean": sum(similarities) / len(similarities),
        "best-two": best_two,
        "centroid": centroid,
        "centroid-best-two": centroid / 2 + best_two / 2,
        "vote": _slow_vote(similarities, 5),
    }[name]


@pytest.mark.parametrize("name", FUSION_RULES)
@given(num=_MANY, seed=_SEEDS)
def test_a_rule_equals_its_slow_oracle(name: str, num: int, seed: int) -> None:
    """Whatever the templates and their qualities."""
    probe_D, templates_ND, qualities_N = _drawn(num, seed)
    fused = fusion_rule(name).fuse(probe_D, templates_ND, qualities_N)
    slow = _slow(name, probe_D, list(templates_ND), qualities_N.tolist())
    assert fused == pytest.approx(slow, abs=1e-6)


@given(num=_MANY, seed=_SEEDS)
def test_the_maximum_is_that_of_fuse_max(num: int, seed: int) -> None:
    """The rule and the ranking of template hits give one subject the same similarity."""
    probe_D, templates_ND, qualities_N = _drawn(num, seed)
    hits = [
        TemplateHit(
            template_id=str(place),
            subject_id="anna",
            similarity=_dot(probe_D, template_D),
            quality=float(qualities_N[place]),
            sequence=place,
        )
        for place, template_D in enumerate(templates_ND)
    ]
    fused = MAXIMUM.fuse(probe_D, templates_ND, qualities_N)
    assert fused == pytest.approx(fuse_max(hits)[0].similarity, abs=1e-12)


@pytest.mark.parametrize("name", FUSION_RULES)
@given(seed=_SEEDS)
def test_one_template_gives_its_similarity(name: str, seed: int) -> None:
    """There is nothing to fuse."""
    probe_D, templates_ND, qualities_N = _drawn(1, seed)
    fused = fusion_rule(name).fuse(probe_D, templates_ND, qualities_N)
    assert fused == pytest.approx(_dot(probe_D, templates_ND[0]), abs=1e-6)


@pytest.mark.parametrize("name", FUSION_RULES)
@given(num=_MANY, seed=_SEEDS)
def test_equal_templates_give_their_similarity(name: str, num: int, seed: int) -> None:
    """Enrolling a photo again, in any quality, changes nothing."""
    probe_D, templates_ND, qualities_N = _drawn(num, seed)
    equal_ND = np.repeat(templates_ND[:1], num, axis=0)
    fused = fusion_rule(name).fuse(probe_D, equal_ND, qualities_N)
    assert fused == pytest.approx(_dot(probe_D, templates_ND[0]), abs=1e-6)


@pytest.mark.parametrize("name", FUSION_RULES)
@given(num=_MANY, seed=_SEEDS, random=st.randoms())
def test_the_order_of_templates_does_not_matter(
    name: str, num: int, seed: int, random: Random
) -> None:
    """The same templates with their qualities, shuffled, give the same similarity."""
    probe_D, templates_ND, qualities_N = _drawn(num, seed)
    order = list(range(num))
    random.shuffle(order)
    rule = fusion_rule(name)
    assert rule.fuse(probe_D, templates_ND[order], qualities_N[order]) == pytest.approx(
        rule.fuse(probe_D, templates_ND, qualities_N), abs=1e-12
    )


@pytest.mark.parametrize("name", FUSION_RULES)
@given(num=_MANY, seed=_SEEDS)
def test_a_fused_similarity_is_one(name: str, num: int, seed: int) -> None:
    """It lies in [-1, 1], and only the centroid may exceed the closest template."""
    probe_D, templates_ND, qualities_N = _drawn(num, seed)
    rule = fusion_rule(name)
    fused = rule.fuse(probe_D, templates_ND, qualities_N)
    assert -1.0 <= fused <= 1.0
    assert rule.fuse(probe_D, probe_D[np.newaxis], np.ones(1)) <= 1.0
    if "centroid" not in name:
        assert fused <= MAXIMUM.fuse(probe_D, templates_ND, qualities_N)


def test_templates_that_cancel_out_are_similar_to_nothing() -> None:
    """Opposite templates of equal quality have no centroid."""
    probe_D = unit_vectors(1, dimension=_D)[0]
    opposite_ND = np.stack([probe_D, -probe_D])
    assert fusion_rule("centroid").fuse(probe_D, opposite_ND, np.full(2, 0.5)) == 0.0


def test_a_template_without_quality_has_no_weight_in_the_centroid() -> None:
    """Unless no template has any: then all weigh the same."""
    probe_D, templates_ND, _ = _drawn(2, 3)
    centroid = fusion_rule("centroid")
    alone = centroid.fuse(probe_D, templates_ND[:1], np.ones(1))
    assert centroid.fuse(probe_D, templates_ND, np.array([0.5, 0.0])) == pytest.approx(alone)
    assert centroid.fuse(probe_D, templates_ND, np.zeros(2)) == pytest.approx(
        centroid.fuse(probe_D, templates_ND, np.ones(2))
    )


@pytest.mark.parametrize(
    ("num_templates", "rank"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 3), (9, 3)]
)
def test_a_vote_is_the_similarity_at_the_rank_of_a_majority(num_templates: int, rank: int) -> None:
    """More than half of the closest five, or of all where there are fewer."""
    probe_D, templates_ND, qualities_N = _drawn(num_templates, 5)
    ranked = sorted((_dot(probe_D, each) for each in templates_ND), reverse=True)
    assert Vote().fuse(probe_D, templates_ND, qualities_N) == pytest.approx(ranked[rank - 1])


@pytest.mark.parametrize("name", FUSION_RULES)
def test_no_templates_are_refused(name: str) -> None:
    """There is no similarity to nobody."""
    with pytest.raises(RequestInvalid, match="without templates"):
        fusion_rule(name).fuse(
            unit_vectors(1, dimension=_D)[0], np.zeros((0, _D), np.float32), np.zeros(0)
        )


def test_an_unknown_rule_is_refused() -> None:
    """The message names those there are."""
    with pytest.raises(RequestInvalid, match="maximum, mean, best-two"):
        fusion_rule("max")
    with pytest.raises(RequestInvalid, match="at least 1"):
        Vote(num_voters=0)
