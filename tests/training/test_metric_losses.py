"""Losses on distances against loops over samples, pairs and centres in float64.

Shape legend: B batch, D embedding dimension, C classes.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from embedding.errors import DataInvalid
from tests.training import oracles
from tests.training.oracles import relative_error
from training import metric_losses
from training.classifier import MarginClassifier
from training.config import HeadConfig, MetricConfig
from training.metric_losses import (
    MetricLosses,
    centre_loss,
    inter_loss,
    intra_loss,
    move_centres,
    triplet_loss,
)

D, C = 6, 5
NORM_SOFTMAX = HeadConfig(name="norm-softmax", scale=16.0)
ALL = MetricConfig(centre=0.5, centre_rate=0.3, triplet=2.0, intra=3.0, inter=4.0)
LABELS = [0, 0, 1, 1, 1, 2, 3]


def draw(seed: int, num_rows: int = len(LABELS)) -> Tensor:
    """Embeddings of various lengths."""
    g = torch.Generator().manual_seed(seed)
    lengths = 0.5 + 4.0 * torch.rand(num_rows, 1, generator=g)
    return (torch.randn(num_rows, D, generator=g) * lengths).requires_grad_()


def build(seed: int = 0, config: HeadConfig = NORM_SOFTMAX) -> MarginClassifier:
    """A classifier with centres of various lengths."""
    classifier = MarginClassifier(config, D, C)
    with torch.no_grad():
        classifier.centres_RD.copy_(draw(seed + 100, C * config.num_subcentres))
    return classifier


def assert_as_defined(
    loss: Tensor, leaves: list[Tensor], oracle: Callable[..., Tensor], error: float = 1e-5
) -> None:
    """The loss and its gradients equal those of an oracle that gets the leaves in float64."""
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    expected = oracle(*exact)
    found = [relative_error(loss, expected)]
    gradients = torch.autograd.grad(loss, leaves)
    for gradient, by_hand in zip(gradients, torch.autograd.grad(expected, exact), strict=True):
        found.append(relative_error(gradient, by_hand))
    assert max(found) < error, found


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_centre_loss_equals_its_definition(seed: int) -> None:
    """The mean of half the squared distances, of embeddings as they are."""
    embeddings_BD, centres_CD = draw(seed), draw(seed + 1, C).detach()
    loss = centre_loss(embeddings_BD, torch.tensor(LABELS), centres_CD)
    assert_as_defined(
        loss, [embeddings_BD], lambda x: oracles.centre_loss(x, LABELS, centres_CD.double())
    )


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    labels=st.lists(st.integers(0, C - 1), min_size=1, max_size=9),
    rate=st.floats(0.0, 1.0),
)
def test_centres_move_as_defined(seed: int, labels: list[int], rate: float) -> None:
    """By the rate times the sum of the gaps over one more than their number."""
    embeddings_BD, centres_CD = draw(seed, len(labels)).detach(), draw(seed + 1, C).detach()
    expected_CD = oracles.moved_centres(embeddings_BD.double(), labels, centres_CD.double(), rate)
    move_centres(centres_CD, embeddings_BD, torch.tensor(labels), rate=rate)
    torch.testing.assert_close(centres_CD.double(), expected_CD, rtol=1e-5, atol=1e-5)


def test_centres_without_samples_stay() -> None:
    """Bit by bit."""
    centres_CD = draw(0, C).detach()
    before_CD = centres_CD.clone()
    move_centres(centres_CD, draw(1).detach(), torch.tensor([2] * len(LABELS)), rate=0.5)
    is_moved_C = (centres_CD != before_CD).any(dim=1)
    assert is_moved_C.tolist() == [False, False, True, False, False]


@settings(
    max_examples=30, deadline=None, derandomize=True
)  # float32 may settle a tie of angles otherwise
@given(
    seed=st.integers(0, 2**16),
    labels=st.lists(st.integers(0, 3), min_size=3, max_size=9),
    margin_rad=st.sampled_from([0.0, 0.1, 0.35, 1.5]),
)
def test_the_triplet_loss_equals_its_definition(
    seed: int, labels: list[int], margin_rad: float
) -> None:
    """Semi-hard negatives over all pairs, by angles."""
    assume(1 < len(set(labels)) < len(labels))
    embeddings_BD = draw(seed, len(labels))
    loss = triplet_loss(embeddings_BD, torch.tensor(labels), margin_rad=margin_rad)
    exact_BD = embeddings_BD.detach().double().requires_grad_()
    expected = oracles.triplet_loss(exact_BD, labels, margin_rad)
    (gradient_BD,) = torch.autograd.grad(loss, embeddings_BD)
    (by_hand_BD,) = torch.autograd.grad(expected, exact_BD)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient_BD.double(), by_hand_BD, rtol=1e-4, atol=1e-5)


def at_angles(*angles_rad: float) -> Tensor:
    """Unit vectors in a plane."""
    angles = torch.tensor(angles_rad, dtype=torch.float32)
    return torch.stack([angles.cos(), angles.sin()], dim=1).requires_grad_()


def test_the_negative_is_the_nearest_beyond_the_positive() -> None:
    """From 0 with the positive at 0.5 and negatives at 0.3, 0.7 and 2.0, it is the one at 0.7."""
    embeddings_BD = at_angles(0.0, 0.5, -0.3, -0.7, -2.0)
    loss = triplet_loss(embeddings_BD, torch.tensor([0, 0, 1, 2, 3]), margin_rad=0.4)
    # From 0: 0.5 + 0.4 - 0.7. From 0.5 the negatives lie at 0.8, 1.2, 2.5: 0.5 + 0.4 - 0.8.
    assert loss.item() == pytest.approx((0.2 + 0.1) / 2, abs=1e-5)


def test_without_a_farther_negative_the_farthest_counts() -> None:
    """From 0 with the positive at 1.0 and negatives at 0.3 and 0.6, it is the one at 0.6."""
    embeddings_BD = at_angles(0.0, 1.0, 0.3, 0.6)
    loss = triplet_loss(embeddings_BD, torch.tensor([0, 0, 1, 2]), margin_rad=0.4)
    # From 1.0 the negatives lie at 0.7 and 0.4, both nearer than 1.0.
    assert loss.item() == pytest.approx((0.8 + 0.7) / 2, abs=1e-5)


def test_triplets_that_keep_the_margin_cost_nothing() -> None:
    """Neither loss nor gradient."""
    embeddings_BD = at_angles(0.0, 0.1, 1.0, 1.1)
    loss = triplet_loss(embeddings_BD, torch.tensor([0, 0, 1, 1]), margin_rad=0.35)
    (gradient_BD,) = torch.autograd.grad(loss, embeddings_BD)
    assert loss.item() == 0.0
    assert not gradient_BD.any()


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [2, 2, 2, 2], [1]])
def test_a_batch_without_triplets_costs_nothing(labels: list[int]) -> None:
    """No pair, or no negative: loss and gradient are 0, and backward works."""
    embeddings_BD = draw(0, len(labels))
    loss = triplet_loss(embeddings_BD, torch.tensor(labels), margin_rad=0.35)
    (gradient_BD,) = torch.autograd.grad(loss, embeddings_BD)
    assert loss.item() == 0.0
    assert torch.equal(gradient_BD, torch.zeros_like(gradient_BD))


@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_embeddings_on_one_line_stay_finite(factor: float) -> None:
    """Angles of 0 and pi give neither NaN nor an infinite gradient."""
    row_D = draw(0, 1).detach()
    embeddings_BD = torch.cat([row_D, row_D * 2.0, row_D * factor, row_D]).requires_grad_()
    loss = triplet_loss(embeddings_BD, torch.tensor([0, 0, 1, 1]), margin_rad=0.35)
    (gradient_BD,) = torch.autograd.grad(loss, embeddings_BD)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient_BD).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_intra_loss_equals_its_definition(seed: int) -> None:
    """The mean angle to the true centres over pi, of the classifier's own cosines."""
    classifier, embeddings_BD = build(seed), draw(seed)
    output = classifier(embeddings_BD, torch.tensor(LABELS))
    assert_as_defined(
        intra_loss(output.target_cosines_B),
        [embeddings_BD, classifier.centres_RD],
        lambda x, w: oracles.intra_loss(x, LABELS, w),
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_inter_loss_equals_its_definition(seed: int) -> None:
    """Minus the mean angle from the true centres to all others over pi."""
    classifier = build(seed)
    assert_as_defined(
        inter_loss(classifier, torch.tensor(LABELS)),
        [classifier.centres_RD],
        lambda w: oracles.inter_loss(LABELS, w),
    )


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_the_inter_loss_is_the_same_in_chunks(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few centres are compared at a time."""
    monkeypatch.setattr(metric_losses, "INTER_CHUNK", columns)
    classifier = build()
    assert_as_defined(
        inter_loss(classifier, torch.tensor(LABELS)),
        [classifier.centres_RD],
        lambda w: oracles.inter_loss(LABELS, w),
    )


def test_a_step_along_the_inter_loss_drives_centres_apart() -> None:
    """The minus is there for that."""
    classifier, labels_B = build(), torch.arange(C)
    before = inter_loss(classifier, labels_B)
    (gradient_RD,) = torch.autograd.grad(before, classifier.centres_RD)
    with torch.no_grad():
        classifier.centres_RD.sub_(0.1 * gradient_RD)
    unit_CD = torch.nn.functional.normalize(classifier.centres_RD.detach())
    angles_CC = torch.acos((unit_CD @ unit_CD.T).clamp(-1, 1)).fill_diagonal_(0.0)
    assert angles_CC.sum() / (torch.pi * C * (C - 1)) > -before.detach()


def test_centres_that_coincide_stay_finite() -> None:
    """An angle of 0 between two classes gives a finite gradient."""
    classifier = build()
    with torch.no_grad():
        classifier.centres_RD[1] = classifier.centres_RD[0] * 2.0
        classifier.centres_RD[2] = -classifier.centres_RD[0]
    loss = inter_loss(classifier, torch.tensor(LABELS))
    (gradient_RD,) = torch.autograd.grad(loss, classifier.centres_RD)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient_RD).all()


def test_a_sample_on_its_centre_stays_finite() -> None:
    """An angle of 0 to the true centre gives a finite gradient."""
    classifier = build()
    embeddings_BD = (3.0 * classifier.centres_RD.detach()).requires_grad_()
    output = classifier(embeddings_BD, torch.arange(C))
    loss = intra_loss(output.target_cosines_B)
    (gradient_BD,) = torch.autograd.grad(loss, embeddings_BD)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient_BD).all()


def test_without_weights_nothing_is_computed() -> None:
    """The default configuration has no loss and keeps no centres."""
    losses = MetricLosses(MetricConfig(), D, C, classifier=None)
    assert losses.is_empty
    assert losses(draw(0), torch.tensor(LABELS)) == {}
    assert losses.state_dict() == {}


@pytest.mark.parametrize("name", ["centre", "triplet", "intra", "inter"])
def test_one_weight_switches_one_loss_on(name: str) -> None:
    """Each by itself."""
    config, classifier = replace(MetricConfig(), **{name: 1.0}), build()
    losses = MetricLosses(config, D, C, classifier=classifier)
    embeddings_BD, labels_B = draw(0), torch.tensor(LABELS)
    output = classifier(embeddings_BD, labels_B)
    found = losses(embeddings_BD, labels_B, output=output, classifier=classifier)
    assert not losses.is_empty
    assert set(found) == {name}


def test_losses_stand_alone_without_a_classifier() -> None:
    """Centre and triplet loss need nobody's centres but their own, which begin at 0."""
    config = MetricConfig(centre=0.5, triplet=2.0, triplet_margin_rad=0.4)
    losses = MetricLosses(config, D, C, classifier=None)
    embeddings_BD = draw(0)
    found = losses(embeddings_BD, torch.tensor(LABELS))
    assert set(found) == {"centre", "triplet"}
    zeros_CD = torch.zeros(C, D, dtype=torch.float64)
    assert_as_defined(
        found["centre"] + found["triplet"],
        [embeddings_BD],
        lambda x: (
            0.5 * oracles.centre_loss(x, LABELS, zeros_CD)
            + 2.0 * oracles.triplet_loss(x, LABELS, 0.4)
        ),
    )


def test_losses_beside_a_classifier_carry_their_weights() -> None:
    """All four together, each times its weight, towards embeddings and class centres."""
    classifier, embeddings_BD, labels_B = build(), draw(0), torch.tensor(LABELS)
    losses = MetricLosses(ALL, D, C, classifier=classifier)
    output = classifier(embeddings_BD, labels_B)
    found = losses(embeddings_BD, labels_B, output=output, classifier=classifier)
    zeros_CD = torch.zeros(C, D, dtype=torch.float64)
    assert_as_defined(
        torch.stack(list(found.values())).sum(),
        [embeddings_BD, classifier.centres_RD],
        lambda x, w: (
            0.5 * oracles.centre_loss(x, LABELS, zeros_CD)
            + 2.0 * oracles.triplet_loss(x, LABELS, 0.35)
            + 3.0 * oracles.intra_loss(x, LABELS, w)
            + 4.0 * oracles.inter_loss(LABELS, w)
        ),
    )


def test_a_training_step_moves_the_centres_of_the_centre_loss() -> None:
    """After the loss, so that the loss is that of the centres before."""
    alone = replace(ALL, intra=0.0, inter=0.0)
    losses, embeddings_BD = MetricLosses(alone, D, C, classifier=None), draw(0)
    losses(embeddings_BD, torch.tensor(LABELS))
    expected_CD = oracles.moved_centres(
        embeddings_BD.detach().double(), LABELS, torch.zeros(C, D, dtype=torch.float64), 0.3
    )
    assert losses.centres_CD is not None
    torch.testing.assert_close(losses.centres_CD.double(), expected_CD, rtol=1e-5, atol=1e-6)


def test_evaluation_moves_no_centres() -> None:
    """Judging a batch without learning from it leaves them alone."""
    alone = replace(ALL, intra=0.0, inter=0.0)
    losses = MetricLosses(alone, D, C, classifier=None).eval()
    losses(draw(0), torch.tensor(LABELS))
    assert losses.centres_CD is not None
    assert not losses.centres_CD.any()


def test_centres_of_the_centre_loss_are_part_of_a_checkpoint() -> None:
    """As a buffer, which no optimizer touches."""
    losses = MetricLosses(ALL, D, C, classifier=build())
    assert set(losses.state_dict()) == {"centres_CD"}
    assert list(losses.parameters()) == []


def test_bfloat16_embeddings_are_judged_in_float32() -> None:
    """The losses are those of the rounded embeddings."""
    rounded_BD, labels_B = draw(0).detach().bfloat16(), torch.tensor(LABELS)
    losses = MetricLosses(MetricConfig(centre=0.5, triplet=2.0), D, C, classifier=None).eval()
    found, exact = losses(rounded_BD, labels_B), losses(rounded_BD.float(), labels_B)
    assert all(torch.equal(found[name], exact[name]) for name in ("centre", "triplet"))


@pytest.mark.parametrize("name", ["centre", "triplet", "intra", "inter"])
def test_autocast_changes_nothing(name: str) -> None:
    """A network that computes in bfloat16 leaves angles and distances in float32."""
    classifier, embeddings_BD, labels_B = build(), draw(0), torch.tensor(LABELS)
    losses = MetricLosses(ALL, D, C, classifier=classifier).eval()
    output = classifier(embeddings_BD, labels_B)
    exact = losses(embeddings_BD, labels_B, output=output, classifier=classifier)[name]
    with torch.autocast("cpu", torch.bfloat16):
        found = losses(embeddings_BD, labels_B, output=output, classifier=classifier)[name]
    assert torch.equal(found, exact)


def test_identical_embeddings_stay_finite_under_autocast() -> None:
    """A cosine that bfloat16 would round to 1 has a finite slope."""
    embeddings_BD = draw(0, 1).detach().repeat(4, 1).requires_grad_()
    losses = MetricLosses(MetricConfig(triplet=1.0), D, C, classifier=None)
    with torch.autocast("cpu", torch.bfloat16):
        loss = losses(embeddings_BD, torch.tensor([0, 0, 1, 1]))["triplet"]
    (gradient_BD,) = torch.autograd.grad(loss, embeddings_BD)
    assert torch.isfinite(gradient_BD).all()


@pytest.mark.parametrize("name", ["intra", "inter"])
@pytest.mark.parametrize("head", ["softmax", "hinge", None])
def test_losses_on_class_centres_need_a_head_on_cosines(name: str, head: str | None) -> None:
    """Without normalised centres there is no angle to speak of."""
    classifier = None if head is None else build(config=HeadConfig(name=head))
    with pytest.raises(DataInvalid, match="need a head on cosines"):
        MetricLosses(replace(MetricConfig(), **{name: 1.0}), D, C, classifier=classifier)


@pytest.mark.parametrize("name", ["intra", "inter"])
def test_losses_on_class_centres_refuse_subcentres(name: str) -> None:
    """Of K centres none is the class's own."""
    classifier = build(config=replace(NORM_SOFTMAX, num_subcentres=3))
    with pytest.raises(DataInvalid, match="num_subcentres=1"):
        MetricLosses(replace(MetricConfig(), **{name: 1.0}), D, C, classifier=classifier)
