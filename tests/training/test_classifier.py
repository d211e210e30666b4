"""Every head of the classifier against per-sample oracles in float64.

Shape legend: B batch, D embedding dimension, C classes, K centres a class, R = C * K.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from embedding.errors import DataInvalid
from tests.training import oracles
from tests.training.oracles import relative_error
from training.classifier import INIT_BLOCK, MarginClassifier, initial_centres
from training.config import HeadConfig
from training.heads import HEADS
from training.ranks import Ranks

B, D, C = 6, 6, 7
SCALE = 16.0
START = (20.0, 100.0)  # AdaFace's running mean and deviation before the first step

# The loss of a batch from embeddings, centres (C, K, D), bias and labels.
BatchLoss = Callable[[Tensor, Tensor, Tensor, list[int]], Tensor]


def on_cosines(head: oracles.Head, scale: float | None = SCALE) -> BatchLoss:
    """Cross-entropy over scaled cosines, the true class's changed by the head."""

    def loss(x_BD: Tensor, centres_CKD: Tensor, bias_C: Tensor, labels: list[int]) -> Tensor:
        del bias_C
        losses = []
        for x_D, label in zip(x_BD, labels, strict=True):
            logits = oracles.cosine_logits(x_D, centres_CKD, label, head, scale)
            losses.append(oracles.cross_entropy(logits, label))
        return oracles.mean(losses)

    return loss


def on_products(criterion: Callable[[list[Tensor], int], Tensor]) -> BatchLoss:
    """A criterion over plain logits."""

    def loss(x_BD: Tensor, centres_CKD: Tensor, bias_C: Tensor, labels: list[int]) -> Tensor:
        losses = []
        for x_D, label in zip(x_BD, labels, strict=True):
            logits = oracles.plain_logits(x_D, centres_CKD[:, 0], bias_C)
            losses.append(criterion(logits, label))
        return oracles.mean(losses)

    return loss


def adaface(x_BD: Tensor, centres_CKD: Tensor, bias_C: Tensor, labels: list[int]) -> Tensor:
    """Each sample with the margin of its quality, in the first step of a run."""
    del bias_C
    lengths = [float(x_D.detach().norm()) for x_D in x_BD]
    qualities, _, _ = oracles.adaface_qualities(lengths, *START, h=0.333, momentum=0.01)
    losses = []
    for x_D, label, quality in zip(x_BD, labels, qualities, strict=True):
        head = partial(oracles.adaface, quality=quality, m=0.4)
        logits = oracles.cosine_logits(x_D, centres_CKD, label, head, SCALE)
        losses.append(oracles.cross_entropy(logits, label))
    return oracles.mean(losses)


@dataclass(frozen=True, slots=True)
class Case:
    """A configured head, and the loss that its paper defines."""

    config: HeadConfig
    loss: BatchLoss


def combined(m1: float, m2: float, m3: float) -> Case:
    """All three margins."""
    config = HeadConfig(
        name="combined", scale=SCALE, margin_multiplier=m1, margin_rad=m2, margin_cosine=m3
    )
    return Case(config, on_cosines(partial(oracles.combined, m1=m1, m2=m2, m3=m3)))


ARCFACE = HeadConfig(name="arcface", scale=SCALE, margin_rad=0.5)
CASES = {
    "norm-softmax": Case(
        HeadConfig(name="norm-softmax", scale=SCALE), on_cosines(oracles.norm_softmax)
    ),
    "sphereface": Case(HeadConfig(name="sphereface", scale=SCALE), on_cosines(oracles.sphereface)),
    "sphereface-original": Case(
        HeadConfig(name="sphereface-original"), on_cosines(oracles.sphereface_original, None)
    ),
    "cosface": Case(HeadConfig(name="cosface", scale=SCALE), on_cosines(oracles.cosface)),
    "arcface": Case(ARCFACE, on_cosines(oracles.arcface)),
    "arcface-easy": Case(replace(ARCFACE, easy_margin=True), on_cosines(oracles.arcface_easy)),
    "arcface-subcentres": Case(replace(ARCFACE, num_subcentres=3), on_cosines(oracles.arcface)),
    "combined-1": combined(1.0, 0.3, 0.2),
    "combined-0.9": combined(0.9, 0.4, 0.15),
    "adaface": Case(HeadConfig(name="adaface", scale=SCALE), adaface),
    "softmax": Case(HeadConfig(name="softmax"), on_products(oracles.cross_entropy)),
    "hinge": Case(HeadConfig(name="hinge"), on_products(oracles.multiclass_hinge)),
}
of_each = pytest.mark.parametrize("name", CASES)
ON_COSINES = [name for name in CASES if name not in {"softmax", "hinge", "sphereface-original"}]


def build(config: HeadConfig, seed: int = 0, num_classes: int = C) -> MarginClassifier:
    """A classifier with centres of random lengths, and a bias where the head has one."""
    classifier = MarginClassifier(config, D, num_classes, seed=seed)
    g = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        classifier.centres_RD.copy_(torch.randn(classifier.centres_RD.shape, generator=g))
        if classifier.bias_S is not None:
            classifier.bias_S.copy_(torch.randn(num_classes, generator=g))
    return classifier


def draw(seed: int = 0, num_classes: int = C) -> tuple[Tensor, Tensor]:
    """Embeddings of lengths from 0.5 to 30, two of one class at least, and their labels."""
    g = torch.Generator().manual_seed(seed)
    embeddings_BD = torch.nn.functional.normalize(torch.randn(B, D, generator=g))
    lengths_B = torch.logspace(-0.3, 1.5, B)[torch.randperm(B, generator=g)]
    labels_B = torch.randint(num_classes, (B,), generator=g)
    labels_B[1] = labels_B[0]
    return (embeddings_BD * lengths_B[:, None]).requires_grad_(), labels_B


def leaves_of(classifier: MarginClassifier, embeddings_BD: Tensor) -> list[Tensor]:
    """What the loss has gradients towards."""
    return [embeddings_BD, *(parameter for _, parameter in classifier.class_parameters())]


def actual(
    classifier: MarginClassifier, embeddings_BD: Tensor, labels_B: Tensor, strength: float = 1.0
) -> list[Tensor]:
    """Loss and gradients from the code under test."""
    loss = classifier(embeddings_BD, labels_B, strength=strength).loss
    return [loss, *torch.autograd.grad(loss, leaves_of(classifier, embeddings_BD))]


def expected(
    classifier: MarginClassifier, embeddings_BD: Tensor, labels_B: Tensor, loss_of: BatchLoss
) -> list[Tensor]:
    """Loss and gradients from the oracle, on the same numbers in float64."""
    leaves = [
        leaf.detach().double().requires_grad_() for leaf in leaves_of(classifier, embeddings_BD)
    ]
    centres_CKD = leaves[1].view(-1, classifier.config.num_subcentres, D)
    bias_C = leaves[2] if len(leaves) > 2 else torch.zeros(0)
    loss = loss_of(leaves[0], centres_CKD, bias_C, labels_B.tolist())
    return [loss, *torch.autograd.grad(loss, leaves)]


def errors(actual: list[Tensor], expected: list[Tensor]) -> list[float]:
    """Relative L2 errors of the loss and of each gradient."""
    return [relative_error(a, e) for a, e in zip(actual, expected, strict=True)]


@of_each
@pytest.mark.parametrize("seed", range(4))
def test_loss_and_gradients_equal_the_definition(name: str, seed: int) -> None:
    """Sample by sample, towards embeddings, centres and bias."""
    classifier, (embeddings_BD, labels_B) = build(CASES[name].config, seed), draw(seed)
    found = errors(
        actual(classifier, embeddings_BD, labels_B),
        expected(classifier, embeddings_BD, labels_B, CASES[name].loss),
    )
    assert max(found) < 1e-5, found


@of_each
def test_samples_on_and_opposite_to_their_centres_equal_the_definition(name: str) -> None:
    """At the ends of the cosine, where acos has no slope, a batch stays as exact as float32 is."""
    classifier, (embeddings_BD, labels_B) = build(CASES[name].config), draw()
    k = classifier.config.num_subcentres
    with torch.no_grad():
        for row, length in enumerate([1.0, 3.0, -1.0, -2.0]):
            centres_KD = classifier.centres_RD.view(-1, k, D)[labels_B[row]]
            if length < 0:  # opposite to all K
                centres_KD[:] = centres_KD[:1]
            embeddings_BD[row] = length * centres_KD[0]
    found = errors(
        actual(classifier, embeddings_BD, labels_B),
        expected(classifier, embeddings_BD, labels_B, CASES[name].loss),
    )
    assert max(found) < 1e-3, found


@of_each
def test_bfloat16_embeddings_are_judged_in_float32(name: str) -> None:
    """The loss is that of the rounded embeddings; only their gradient is rounded again."""
    classifier, (embeddings_BD, labels_B) = build(CASES[name].config), draw()
    rounded_BD = embeddings_BD.detach().bfloat16().requires_grad_()
    found = actual(classifier, rounded_BD, labels_B)
    loss, embeddings, centres = errors(
        found, expected(classifier, rounded_BD, labels_B, CASES[name].loss)
    )[:3]
    assert found[1].dtype == torch.bfloat16
    assert max(loss, centres) < 1e-5
    assert embeddings < 2**-8


@of_each
def test_autocast_changes_nothing(name: str) -> None:
    """A network that computes in bfloat16 leaves the classifier in float32."""
    classifier, (embeddings_BD, labels_B) = build(CASES[name].config).eval(), draw()
    with torch.autocast("cpu", torch.bfloat16):
        loss = classifier(embeddings_BD, labels_B).loss
    assert torch.equal(loss, classifier(embeddings_BD, labels_B).loss)


@of_each
def test_large_batches_of_classes_in_bfloat16_stay_near(name: str) -> None:
    """With operands of products in bfloat16 the loss is off by rounding only."""
    config = CASES[name].config
    classifier, (embeddings_BD, labels_B) = build(config), draw()
    coarse = MarginClassifier(config, D, C, dtype=torch.bfloat16)
    coarse.load_state_dict(classifier.state_dict())
    found = errors(
        actual(coarse, embeddings_BD, labels_B), actual(classifier, embeddings_BD, labels_B)
    )
    assert max(found) < 0.05, found


@pytest.mark.parametrize("name", [name for name in CASES if name != "hinge"])
@pytest.mark.parametrize("keep_mb", [0, 128])
def test_keeping_logits_changes_nothing(name: str, keep_mb: int) -> None:
    """Made again or taken from memory, the gradients are the same."""
    config = replace(CASES[name].config, keep_mb=keep_mb)
    classifier, (embeddings_BD, labels_B) = build(config), draw()
    found = errors(
        actual(classifier, embeddings_BD, labels_B),
        expected(classifier, embeddings_BD, labels_B, CASES[name].loss),
    )
    assert max(found) < 1e-5, found


@pytest.mark.parametrize("name", ON_COSINES)
def test_without_strength_every_head_is_norm_softmax(name: str) -> None:
    """A warm-up begins with no margin at all."""
    classifier, (embeddings_BD, labels_B) = build(CASES[name].config), draw()
    found = errors(
        actual(classifier, embeddings_BD, labels_B, strength=0.0),
        expected(classifier, embeddings_BD, labels_B, on_cosines(oracles.norm_softmax)),
    )
    assert max(found) < 1e-5, found


def test_without_strength_the_original_sphereface_scales_cosines_by_lengths() -> None:
    """Its warm-up begins with |x| cos(theta)."""
    classifier, (embeddings_BD, labels_B) = build(CASES["sphereface-original"].config), draw()
    found = errors(
        actual(classifier, embeddings_BD, labels_B, strength=0.0),
        expected(classifier, embeddings_BD, labels_B, on_cosines(oracles.norm_softmax, None)),
    )
    assert max(found) < 1e-5, found


def test_half_the_strength_is_half_the_margin() -> None:
    """A warm-up is linear in the angle."""
    classifier, (embeddings_BD, labels_B) = build(ARCFACE), draw()
    found = errors(
        actual(classifier, embeddings_BD, labels_B, strength=0.5),
        expected(
            classifier, embeddings_BD, labels_B, on_cosines(partial(oracles.arcface, m2=0.25))
        ),
    )
    assert max(found) < 1e-5, found


@of_each
def test_target_cosines_are_without_margin(name: str) -> None:
    """They are the cosines to the true centres, or to the nearest of K, whatever the head."""
    classifier, (embeddings_BD, labels_B) = build(CASES[name].config), draw()
    cosines_B = classifier(embeddings_BD, labels_B).target_cosines_B
    centres_CKD = classifier.centres_RD.detach().double().view(C, -1, D)
    by_hand = [
        oracles.best_cosine(x_D, centres_CKD[label])
        for x_D, label in zip(embeddings_BD.detach().double(), labels_B.tolist(), strict=True)
    ]
    torch.testing.assert_close(cosines_B.double(), torch.stack(by_hand), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["arcface", "sphereface-original"])
def test_target_cosines_have_gradients(name: str) -> None:
    """Other losses on angles to the true centres build upon them."""
    classifier, (embeddings_BD, labels_B) = build(CASES[name].config), draw()
    total = classifier(embeddings_BD, labels_B).target_cosines_B.sum()
    (gradient_BD,) = torch.autograd.grad(total, embeddings_BD)
    exact_BD = embeddings_BD.detach().double().requires_grad_()
    centres_CD = classifier.centres_RD.detach().double()
    by_hand = [
        oracles.cosine(x_D, centres_CD[y])
        for x_D, y in zip(exact_BD, labels_B.tolist(), strict=True)
    ]
    assert (
        relative_error(gradient_BD, *torch.autograd.grad(torch.stack(by_hand).sum(), exact_BD))
        < 1e-5
    )


@of_each
def test_an_embedding_of_length_zero_stays_finite(name: str) -> None:
    """A dead row of a network gives neither NaN nor infinity."""
    classifier, (embeddings_BD, labels_B) = build(CASES[name].config), draw()
    with torch.no_grad():
        embeddings_BD[0] = 0.0
    assert all(
        torch.isfinite(tensor).all() for tensor in actual(classifier, embeddings_BD, labels_B)
    )


@of_each
def test_two_classes_are_enough(name: str) -> None:
    """The smallest problem has one other class."""
    classifier, (embeddings_BD, labels_B) = build(CASES[name].config, num_classes=2), draw(0, 2)
    found = errors(
        actual(classifier, embeddings_BD, labels_B),
        expected(classifier, embeddings_BD, labels_B, CASES[name].loss),
    )
    assert max(found) < 1e-5, found


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.floats(1e-4, 300.0), min_size=2, max_size=8))
def test_adaface_statistics_move_a_hundredth_of_the_way(lengths: list[float]) -> None:
    """Running mean and deviation of clipped lengths, over two steps."""
    classifier = build(CASES["adaface"].config)
    mean, deviation = START
    for factor in (1.0, 2.0):
        scaled = [length * factor for length in lengths]
        embeddings_BD = torch.eye(D)[:1] * torch.tensor(scaled)[:, None]
        classifier(embeddings_BD, torch.zeros(len(lengths), dtype=torch.int64))
        _, mean, deviation = oracles.adaface_qualities(
            scaled, mean, deviation, h=0.333, momentum=0.01
        )
    assert classifier.length_mean.item() == pytest.approx(mean, rel=1e-5)
    assert classifier.length_deviation.item() == pytest.approx(deviation, rel=1e-5)


def test_adaface_margins_follow_the_statistics() -> None:
    """In a later step the quality is measured against the lengths that came before."""
    classifier = build(CASES["adaface"].config)
    mean, deviation = START
    for seed in range(3):
        embeddings_BD, labels_B = draw(seed)
        loss = classifier(embeddings_BD * 20.0, labels_B).loss
        lengths = (embeddings_BD.detach().double() * 20.0).norm(dim=1).tolist()
        qualities, mean, deviation = oracles.adaface_qualities(
            lengths, mean, deviation, h=0.333, momentum=0.01
        )
        losses = []
        for row, label in enumerate(labels_B.tolist()):
            head = partial(oracles.adaface, quality=qualities[row])
            logits = oracles.cosine_logits(
                embeddings_BD[row].detach().double(),
                classifier.centres_RD.detach().double()[:, None],
                label,
                head,
                SCALE,
            )
            losses.append(oracles.cross_entropy(logits, label))
        assert loss.item() == pytest.approx(float(oracles.mean(losses)), rel=1e-5)


def test_adaface_statistics_rest_in_evaluation() -> None:
    """Judging a batch without learning from it leaves them alone."""
    classifier = build(CASES["adaface"].config).eval()
    classifier(*draw())
    assert (classifier.length_mean.item(), classifier.length_deviation.item()) == START


def test_adaface_statistics_rest_for_a_single_sample() -> None:
    """One length has no deviation."""
    classifier = build(CASES["adaface"].config)
    embeddings_BD, labels_B = draw()
    classifier(embeddings_BD[:1], labels_B[:1])
    assert (classifier.length_mean.item(), classifier.length_deviation.item()) == START


def test_adaface_statistics_are_part_of_a_checkpoint() -> None:
    """A resumed run goes on with them."""
    state = build(CASES["adaface"].config).state_dict()
    assert {"length_mean", "length_deviation"} <= set(state)


SAMPLED = replace(ARCFACE, sample_share=0.3)


def drawn_by(classifier: MarginClassifier, labels_B: Tensor, step: int = 0) -> Tensor:
    """The classes of this rank that take part in a step of Partial FC."""
    drawn = classifier._drawn(labels_B, step)
    assert drawn is not None
    return drawn


def sampled_oracle(drawn: Tensor) -> BatchLoss:
    """ArcFace's loss over some classes only."""

    def loss(x_BD: Tensor, centres_CKD: Tensor, bias_C: Tensor, labels: list[int]) -> Tensor:
        places = [drawn.tolist().index(label) for label in labels]
        return on_cosines(oracles.arcface)(x_BD, centres_CKD[drawn], bias_C, places)

    return loss


@pytest.mark.parametrize("num_subcentres", [1, 3])
def test_a_sampled_step_is_exact_over_the_classes_drawn(num_subcentres: int) -> None:
    """Partial FC leaves other classes out of the loss and of the gradients."""
    config = replace(SAMPLED, num_subcentres=num_subcentres)
    classifier, (embeddings_BD, labels_B) = build(config, num_classes=20), draw(0, 20)
    drawn = drawn_by(classifier, labels_B)
    assert len(drawn) < 20
    found = errors(
        actual(classifier, embeddings_BD, labels_B),
        expected(classifier, embeddings_BD, labels_B, sampled_oracle(drawn)),
    )
    assert max(found) < 1e-5, found


def test_a_share_of_one_uses_all_classes() -> None:
    """Nothing is drawn."""
    assert build(ARCFACE)._drawn(torch.tensor([0]), step=0) is None


@pytest.mark.parametrize("num_subcentres", [1, 3])
def test_a_step_that_draws_no_other_class_teaches_nothing(num_subcentres: int) -> None:
    """A tiny share and a batch of one identity: loss and gradients are 0, never NaN."""
    config = replace(ARCFACE, sample_share=1e-6, num_subcentres=num_subcentres)
    classifier, (embeddings_BD, _) = build(config), draw()
    found = actual(classifier, embeddings_BD, torch.full((B,), 2))
    assert all(torch.equal(tensor, torch.zeros_like(tensor)) for tensor in found)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    step=st.integers(0, 2**20),
    labels=st.lists(st.integers(0, 100), min_size=1, max_size=5),
)
def test_the_draw_does_not_depend_on_the_number_of_ranks(
    seed: int, step: int, labels: list[int]
) -> None:
    """The draws of two shards one after the other are the draw of one process."""
    labels_B = torch.tensor(labels)
    whole = drawn_by(MarginClassifier(SAMPLED, 2, 101, seed=seed), labels_B, step)
    shards = [
        MarginClassifier(SAMPLED, 2, 101, seed=seed, ranks=Ranks(rank=rank, world_size=2))
        for rank in range(2)
    ]
    parts = [drawn_by(shard, labels_B, step) + shard.first for shard in shards]
    assert torch.equal(torch.cat(parts), whole)


@settings(max_examples=25, deadline=None)
@given(
    step=st.integers(0, 2**20),
    share=st.floats(1e-6, 0.99),
    labels=st.lists(st.integers(0, 100), min_size=1, max_size=20),
)
def test_the_classes_of_the_batch_are_always_drawn(
    step: int, share: float, labels: list[int]
) -> None:
    """However small the share, and sorted without repetition."""
    classifier = MarginClassifier(replace(ARCFACE, sample_share=share), 2, 101)
    drawn = drawn_by(classifier, torch.tensor(labels), step)
    assert set(labels) <= set(drawn.tolist())
    assert torch.equal(drawn, torch.unique(drawn))


def test_the_share_is_that_of_the_other_classes() -> None:
    """Of 10,000 classes about 3,000 take part."""
    drawn = drawn_by(MarginClassifier(SAMPLED, 2, 10_000), torch.tensor([0]))
    assert len(drawn) == pytest.approx(3000, abs=200)  # four standard deviations are 183


def test_each_step_draws_anew() -> None:
    """And the same step of the same seed draws the same again."""
    classifier, label = MarginClassifier(SAMPLED, 2, 100), torch.tensor([0])
    first, second, again = (drawn_by(classifier, label, step).tolist() for step in (0, 1, 0))
    assert first == again
    assert first != second


@pytest.mark.parametrize("num_subcentres", [1, 3])
@pytest.mark.parametrize("world_size", [2, 3])
def test_centres_begin_the_same_whatever_the_shards(num_subcentres: int, world_size: int) -> None:
    """The shards one below the other are the start of one process, block borders included."""
    config, num_classes = replace(ARCFACE, num_subcentres=num_subcentres), 2 * INIT_BLOCK + 100
    whole_RD = MarginClassifier(config, 2, num_classes, seed=3).centres_RD
    parts = [
        MarginClassifier(
            config, 2, num_classes, seed=3, ranks=Ranks(rank=rank, world_size=world_size)
        ).centres_RD.detach()
        for rank in range(world_size)
    ]
    assert torch.equal(torch.cat(parts), whole_RD)


def test_centres_begin_as_small_normal_numbers() -> None:
    """Mean 0 and deviation 0.01, no two blocks alike."""
    centres_RD = initial_centres(0, 2 * INIT_BLOCK, 8, seed=0)
    assert centres_RD.mean().item() == pytest.approx(0.0, abs=2e-4)
    assert centres_RD.std().item() == pytest.approx(0.01, rel=0.02)
    assert not torch.equal(centres_RD[:INIT_BLOCK], centres_RD[INIT_BLOCK:])


def test_another_seed_begins_elsewhere() -> None:
    """Seeds of neighbouring runs share no block."""
    assert not torch.equal(initial_centres(0, 10, 4, seed=0), initial_centres(0, 10, 4, seed=1))


@pytest.mark.parametrize("name", HEADS)
def test_every_known_head_is_judged_here(name: str) -> None:
    """A new head gets an oracle in the same commit."""
    assert name in {case.config.name for case in CASES.values()}


REFUSED = {
    "at least 2 identities, not 1": (ARCFACE, 1),
    "no head 'arcfase'": (HeadConfig(name="arcfase"), 10),
    "num_subcentres is at least 1, not 0": (HeadConfig(num_subcentres=0), 10),
    "heads on cosines, not with softmax": (HeadConfig(name="softmax", num_subcentres=2), 10),
    "heads on cosines, not with hinge": (HeadConfig(name="hinge", num_subcentres=2), 10),
    "heads on cosines, not with sphereface-original": (
        HeadConfig(name="sphereface-original", num_subcentres=2),
        10,
    ),
    "sample_share is above 0 and at most 1, not 0": (HeadConfig(sample_share=0.0), 10),
    "sample_share is above 0 and at most 1, not 1.5": (HeadConfig(sample_share=1.5), 10),
    "the hinge head uses all classes": (HeadConfig(name="hinge", sample_share=0.5), 10),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_trained_is_refused(message: str) -> None:
    """The message names the setting and what came."""
    config, num_classes = REFUSED[message]
    with pytest.raises(DataInvalid, match=message):
        MarginClassifier(config, D, num_classes)
