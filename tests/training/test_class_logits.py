"""Two numbers a row, made chunk by chunk, against all logits at once.

Shape legend: B batch, D embedding dimension, C classes, K centres a class, R = C * K.
"""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training.oracles import relative_error
from training.class_logits import LogitOptions, class_logits

B, D, C = 24, 16, 3000
COSINES = LogitOptions(scale=24.0)
PLAIN = LogitOptions(unit_centres=False)
SUBCENTRES = LogitOptions(scale=24.0, num_subcentres=3)
# One class a chunk; a few, the last chunk smaller; all at once.
CHUNK_BYTES = {"one class": 1, "many classes": 4 * B * 170, "all classes": 4 * B * C * 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What `class_logits` is asked about."""

    features_BD: Tensor
    weights_RD: Tensor
    bias_C: Tensor | None
    labels_B: Tensor
    classes: Tensor | None = None

    def leaves(self) -> list[Tensor]:
        """The tensors that get a gradient."""
        return [self.features_BD, self.weights_RD] + ([] if self.bias_C is None else [self.bias_C])

    def to(self, dtype: torch.dtype) -> "Batch":
        """The same numbers as fresh leaves of another type."""
        bias = None if self.bias_C is None else self.bias_C.detach().to(dtype).requires_grad_()
        return replace(
            self,
            features_BD=self.features_BD.detach().to(dtype).requires_grad_(),
            weights_RD=self.weights_RD.detach().to(dtype).requires_grad_(),
            bias_C=bias,
        )


def draw(
    options: LogitOptions, *, seed: int = 0, num_classes: int = C, num_chosen: int | None = None
) -> Batch:
    """A random batch in which two rows share a class and every fifth belongs to another rank.

    With plain products there is a bias, else features are of unit length.
    """
    g = torch.Generator().manual_seed(seed)
    features_BD = torch.randn(B, D, generator=g)
    if options.unit_centres:
        features_BD = F.normalize(features_BD)
    lengths_R = 0.1 + torch.rand(num_classes * options.num_subcentres, 1, generator=g)
    weights_RD = torch.randn(len(lengths_R), D, generator=g) * lengths_R
    labels_B = torch.randint(num_classes, (B,), generator=g)
    labels_B[1] = labels_B[0]
    labels_B[::5] = -1
    classes = None
    if num_chosen is not None:
        drawn = torch.randperm(num_classes, generator=g)[:num_chosen]
        classes = torch.unique(torch.cat([drawn, labels_B[labels_B >= 0]]))
    bias_C = None if options.unit_centres else torch.randn(num_classes, generator=g)
    return Batch(
        features_BD=features_BD,
        weights_RD=weights_RD,
        bias_C=bias_C,
        labels_B=labels_B,
        classes=classes,
    ).to(torch.float32)


def dense(batch: Batch, options: LogitOptions) -> tuple[Tensor, Tensor]:
    """Both numbers from the whole matrix of products, in the batch's own type."""
    centres_RD = F.normalize(batch.weights_RD) if options.unit_centres else batch.weights_RD
    products_BR = batch.features_BD @ centres_RD.T
    products_BC = products_BR.view(len(products_BR), -1, options.num_subcentres).amax(dim=2)
    if batch.bias_C is not None:
        products_BC = products_BC + batch.bias_C
    numbers_C = torch.arange(products_BC.shape[1])
    is_own_BC = batch.labels_B[:, None] == numbers_C
    target_B = torch.where(is_own_BC, products_BC, 0.0).sum(dim=1)
    is_out_BC = is_own_BC
    if batch.classes is not None:
        is_out_BC = is_own_BC | ~torch.isin(numbers_C, batch.classes)
    logits_BC = (products_BC * options.scale).masked_fill(is_out_BC, float("-inf"))
    return target_B, logits_BC.logsumexp(dim=1)


def chunked(batch: Batch, options: LogitOptions) -> tuple[Tensor, Tensor]:
    """Both numbers from the code under test."""
    return class_logits(
        batch.features_BD,
        batch.weights_RD,
        batch.bias_C,
        batch.labels_B,
        options=options,
        classes=batch.classes,
    )


def with_gradients(batch: Batch, numbers: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Both numbers, and the gradients of a sum in which each row of each weighs differently."""
    weights_B = torch.linspace(-1.0, 2.0, len(batch.labels_B), dtype=numbers[0].dtype)
    total = (numbers[0] * weights_B).sum() + (numbers[1] * weights_B.flip(0).cos()).sum()
    return [*numbers, *torch.autograd.grad(total, batch.leaves())]


def assert_as_dense(batch: Batch, options: LogitOptions, error: float = 1e-5) -> None:
    """Values and gradients equal those of the whole matrix in float64, by relative L2 error."""
    actual = with_gradients(batch, chunked(batch, options))
    exact = batch.to(torch.float64)
    expected = with_gradients(exact, dense(exact, options))
    errors = [relative_error(a, e) for a, e in zip(actual, expected, strict=True)]
    assert max(errors) < error, errors


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Thousands of tiny steps: threads would wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


of_each_chunk = pytest.mark.parametrize("chunk_bytes", CHUNK_BYTES.values(), ids=CHUNK_BYTES)
of_each_memory = pytest.mark.parametrize(
    "keep_bytes", [0, 4 * B * 400, 2**30], ids=["none kept", "half kept", "all kept"]
)


@of_each_chunk
@of_each_memory
def test_cosines_equal_the_whole_matrix(chunk_bytes: int, keep_bytes: int) -> None:
    """Whatever the chunks, and whether logits are kept or made again."""
    options = replace(COSINES, chunk_bytes=chunk_bytes, keep_bytes=keep_bytes)
    assert_as_dense(draw(options), options)


@of_each_chunk
@of_each_memory
def test_plain_products_with_a_bias_equal_the_whole_matrix(
    chunk_bytes: int, keep_bytes: int
) -> None:
    """Nothing is divided by a length, and the bias gets its gradient."""
    options = replace(PLAIN, chunk_bytes=chunk_bytes, keep_bytes=keep_bytes)
    assert_as_dense(draw(options), options)


@of_each_chunk
def test_the_best_of_several_centres_counts(chunk_bytes: int) -> None:
    """Of K centres the nearest gives the class its cosine and takes all of its gradient."""
    options = replace(SUBCENTRES, chunk_bytes=chunk_bytes)
    assert_as_dense(draw(options, num_classes=500), options)


@of_each_chunk
@of_each_memory
@pytest.mark.parametrize("base", [COSINES, PLAIN, SUBCENTRES], ids=["cosines", "plain", "K=3"])
def test_chosen_classes_alone_take_part(
    base: LogitOptions, chunk_bytes: int, keep_bytes: int
) -> None:
    """Other classes neither count nor get a gradient."""
    options = replace(base, chunk_bytes=chunk_bytes, keep_bytes=keep_bytes)
    assert_as_dense(draw(options, num_classes=1000, num_chosen=200), options)


def test_classes_that_are_not_chosen_get_no_gradient() -> None:
    """Their rows of the gradient are exactly 0."""
    batch = draw(COSINES, num_classes=100, num_chosen=30)
    assert batch.classes is not None
    gradient_RD = with_gradients(batch, chunked(batch, COSINES))[3]
    is_touched_R = gradient_RD.abs().sum(dim=1) > 0
    assert torch.equal(is_touched_R.nonzero()[:, 0], batch.classes)


def test_rows_of_another_rank_have_no_target() -> None:
    """Their product is exactly 0, and all classes count in their log-sum-exp."""
    batch = replace(draw(COSINES, num_classes=50), labels_B=torch.full((B,), -1))
    target_B, others_B = chunked(batch, COSINES)
    logits_BC = 24.0 * batch.features_BD @ F.normalize(batch.weights_RD).T
    assert torch.equal(target_B, torch.zeros(B))
    torch.testing.assert_close(others_B, logits_BC.logsumexp(dim=1))


@settings(
    max_examples=40, deadline=None, derandomize=True
)  # float32 may settle a tie of centres otherwise
@given(
    seed=st.integers(0, 2**16),
    num_classes=st.integers(2, 40),
    num_subcentres=st.integers(1, 3),
    columns=st.integers(1, 45),
    keep_bytes=st.sampled_from([0, 4 * B * 10, 2**30]),
    num_chosen=st.none() | st.integers(2, 40),
)
def test_any_division_into_chunks_gives_the_same(
    seed: int,
    num_classes: int,
    num_subcentres: int,
    columns: int,
    keep_bytes: int,
    num_chosen: int | None,
) -> None:
    """Chunks need not divide the classes, nor hold any row's class."""
    options = LogitOptions(
        scale=8.0,
        num_subcentres=num_subcentres,
        chunk_bytes=4 * B * columns,
        keep_bytes=keep_bytes,
    )
    if num_chosen is not None:
        num_chosen = min(num_chosen, num_classes)
    assert_as_dense(
        draw(options, seed=seed, num_classes=num_classes, num_chosen=num_chosen), options
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch.compile hides it, asks anyway
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("base", [COSINES, PLAIN, SUBCENTRES], ids=["cosines", "plain", "K=3"])
def test_fused_kernels_equal_the_whole_matrix(base: LogitOptions) -> None:
    """What torch.compile makes of the steps after a product computes the same.

    The first chunk is kept, and the second, of another size, made again.
    """
    options = replace(base, is_compiled=True, keep_bytes=4 * B * 700, chunk_bytes=4 * B * 700)
    assert_as_dense(draw(options, num_classes=1000), options, error=2e-5)


def one_against_many(own: float, others: float, num_others: int = 400) -> Batch:
    """One row with a given product with its own class, the last, and with all others."""
    weights_RD = torch.full((num_others + 1, 1), others)
    weights_RD[-1] = own
    return Batch(
        features_BD=torch.ones(1, 1),
        weights_RD=weights_RD,
        bias_C=None,
        labels_B=torch.tensor([num_others]),
    ).to(torch.float32)


@pytest.mark.parametrize("own", [200.0, 90.0, -200.0])
@pytest.mark.parametrize("chunk_bytes", [4, 4 * 150, 2**20])
def test_the_true_class_never_drowns_the_others(own: float, chunk_bytes: int) -> None:
    """The others' log-sum-exp is log 400 = 5.99, though beside exp(90) nothing is left of 400."""
    options = replace(PLAIN, chunk_bytes=chunk_bytes)
    target_B, others_B = chunked(one_against_many(own, 0.0), options)
    assert target_B.item() == own
    assert others_B.item() == pytest.approx(math.log(400), rel=1e-6)


@pytest.mark.parametrize("chunk_bytes", [4, 4 * 150, 2**20])
@pytest.mark.parametrize("keep_bytes", [0, 2**30])
def test_a_hopeless_sample_has_the_full_gradient(chunk_bytes: int, keep_bytes: int) -> None:
    """With its own logit 200 below, each of 400 equal others gets one part in 400."""
    options = replace(PLAIN, chunk_bytes=chunk_bytes, keep_bytes=keep_bytes)
    batch = one_against_many(-200.0, 0.0)
    target_B, others_B = chunked(batch, options)
    loss = F.softplus(others_B - target_B).sum()
    (gradient_RD,) = torch.autograd.grad(loss, batch.weights_RD)
    expected = torch.full((401, 1), 1 / 400)
    expected[-1] = -1.0
    torch.testing.assert_close(gradient_RD, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("chunk_bytes", [4, 4 * 150, 2**20])
@pytest.mark.parametrize("keep_bytes", [0, 2**30])
def test_others_at_the_far_end_are_counted(chunk_bytes: int, keep_bytes: int) -> None:
    """At s = 64 with every other centre opposite, the log-sum-exp is log 400 - 64, and finite."""
    options = LogitOptions(scale=64.0, chunk_bytes=chunk_bytes, keep_bytes=keep_bytes)
    batch = one_against_many(0.5, -0.5)
    numbers = with_gradients(batch, chunked(batch, options))
    assert numbers[1].item() == pytest.approx(math.log(400) - 64.0, rel=1e-6)
    assert all(torch.isfinite(number).all() for number in numbers)


@pytest.mark.parametrize("scale", [64.0, 1000.0])
@pytest.mark.parametrize("keep_bytes", [0, 2**30])
def test_large_scales_stay_exact(scale: float, keep_bytes: int) -> None:
    """Rounding grows with the scale and nothing else; no exponential overflows."""
    options = LogitOptions(scale=scale, keep_bytes=keep_bytes, chunk_bytes=4 * B * 700)
    assert_as_dense(draw(options), options, error=1e-7 * scale)


@pytest.mark.parametrize("num_subcentres", [1, 3])
@pytest.mark.parametrize("keep_bytes", [0, 2**30])
def test_no_other_class_is_minus_infinity_with_a_finite_gradient(
    num_subcentres: int, keep_bytes: int
) -> None:
    """Where only a row's own class takes part, as Partial FC may draw, nothing turns into NaN."""
    options = LogitOptions(scale=8.0, num_subcentres=num_subcentres, keep_bytes=keep_bytes)
    batch = replace(
        draw(options, num_classes=5), labels_B=torch.full((B,), 3), classes=torch.tensor([3])
    )
    target_B, others_B = chunked(batch, options)
    gradients = torch.autograd.grad(F.softplus(others_B - target_B).sum(), batch.leaves())
    assert (others_B == float("-inf")).all()
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)


@pytest.mark.parametrize("base", [COSINES, PLAIN, SUBCENTRES], ids=["cosines", "plain", "K=3"])
def test_bfloat16_products_are_as_exact_as_their_operands(base: LogitOptions) -> None:
    """Operands keep 8 bits, sums are float32: what comes out is off by some rounded bits only."""
    options = replace(base, dtype=torch.bfloat16, chunk_bytes=4 * B * 700)
    assert_as_dense(draw(options, num_classes=1000), options, error=0.03)


def test_bfloat16_products_leave_everything_else_in_float32() -> None:
    """Numbers and gradients come out as float32."""
    options = replace(COSINES, dtype=torch.bfloat16)
    batch = draw(options, num_classes=50)
    numbers = with_gradients(batch, chunked(batch, options))
    assert {number.dtype for number in numbers} == {torch.float32}


class _LargestTensor(TorchDispatchMode):
    """Remembers the most numbers that any tensor had while it was entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        outputs = result if isinstance(result, tuple | list) else (result,)
        sizes = [output.numel() for output in outputs if isinstance(output, Tensor)]
        self.numel = max([self.numel, *sizes])
        return result


def test_the_whole_matrix_is_seen_where_it_is_made() -> None:
    """The instrument of the next test sees B x C in the plain way."""
    batch = draw(COSINES)
    with _LargestTensor() as largest:
        with_gradients(batch, dense(batch, COSINES))
    assert largest.numel >= B * C


@pytest.mark.parametrize("num_chosen", [None, 400])
@pytest.mark.parametrize("base", [COSINES, PLAIN, SUBCENTRES], ids=["cosines", "plain", "K=3"])
def test_the_whole_matrix_never_exists(base: LogitOptions, num_chosen: int | None) -> None:
    """Forward and backward, no tensor is larger than the weights, however large the batch is."""
    options = replace(base, chunk_bytes=4 * B * 60, keep_bytes=0)
    batch = draw(options, num_classes=500, num_chosen=num_chosen)
    with _LargestTensor() as largest:
        with_gradients(batch, chunked(batch, options))
    assert D < B
    assert largest.numel <= batch.weights_RD.numel()


def test_a_bias_with_cosines_is_our_own_mistake() -> None:
    """A bias would be divided by lengths or multiplied by the scale."""
    batch = draw(PLAIN, num_classes=5)
    with pytest.raises(AssertionError, match="plain products"):
        chunked(batch, COSINES)
