"""What a batch has to do with every class, without the batch x classes matrix.

The margin touches one logit a row. So a loss needs only two numbers a row: the product with the
true centre, and the log-sum-exp over all other classes. Both are computed chunk by chunk; the
backward pass computes each chunk anew, or takes it from memory as far as a byte budget allows.
The true class is left out inside its own chunk, and its logit, margin and all, joins afterwards:
nothing is ever subtracted from a finished log-sum-exp.

Shape legend: B batch, D embedding dimension, C classes on this rank, K centres a class, R = C * K
rows of weights, c and r the classes and rows of one chunk.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

# Logits of a chunk: few enough to stay in the cache of a CPU, enough to fill a GPU.
CHUNK_BYTES_CPU = 8 * 2**20
CHUNK_BYTES_GPU = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitOptions:
    """How logits are made of features and centres.

    Attributes:
        scale: s, by which products are multiplied in the log-sum-exp.
        unit_centres: divide each centre by its length.
        num_subcentres: K, centres a class; the largest product counts for the class.
        keep_bytes: logits kept from forward to backward instead of computed twice; not with
            sub-centres.
        dtype: of the operands of products; sums are float32 always.
        is_compiled: fuse what follows a product into one kernel; None does so on a GPU that
            Triton writes kernels for.
        chunk_bytes: size of a chunk's logits; None fits the device.
    """

    scale: float = 1.0
    unit_centres: bool = True
    num_subcentres: int = 1
    keep_bytes: int = 64 * 2**20
    dtype: torch.dtype = torch.float32
    is_compiled: bool | None = None
    chunk_bytes: int | None = None


def class_logits(
    features_BD: Tensor,
    weights_RD: Tensor,
    bias_C: Tensor | None,
    labels_B: Tensor,
    *,
    options: LogitOptions,
    classes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The product with the true centre, and the log-sum-exp over the other classes.

    Args:
        features_BD: float32; of unit length where cosines are wanted.
        weights_RD: float32 centres, the K of a class in neighbouring rows.
        bias_C: added to the products, or None; not with unit centres or a scale.
        labels_B: int64, the class of each row among these C, or -1 for one of another rank.
        options: how logits are made.
        classes: int64, sorted; only these take part (Partial FC). They hold every label.

    Returns:
        (B,) product with the true centre, bias included, not scaled, 0 where the label is -1;
        and (B,) log-sum-exp of the scaled products with all other classes, -inf where there are
        none. Gradients flow through both.
    """
    if bias_C is not None and (options.unit_centres or options.scale != 1.0):
        raise AssertionError("a bias goes with plain products only")
    target_B, others_B = _ClassLogits.apply(
        features_BD, weights_RD, bias_C, labels_B, options, classes
    )
    return target_B, others_B


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some classes that are neighbours, and the rows of the batch that belong to them.

    Attributes:
        classes: which of the C.
        rows: which of the R.
        members: rows of the batch with a label among the classes.
        columns: the column of each member's class, counted from the chunk's first.
    """

    classes: slice | Tensor
    rows: slice | Tensor
    members: Tensor
    columns: Tensor


class _Work:
    """One batch against all classes: the plan of its chunks, and the products."""

    def __init__(
        self,
        features_BD: Tensor,
        weights_RD: Tensor,
        bias_C: Tensor | None,
        labels_B: Tensor,
        options: LogitOptions,
        classes: Tensor | None,
    ) -> None:
        self.features_BD, self.weights_RD, self.bias_C = features_BD, weights_RD, bias_C
        self.options, self.chosen, self.labels_B = options, classes, labels_B
        k, device = options.num_subcentres, weights_RD.device
        self.num_classes = len(weights_RD) // k if classes is None else len(classes)
        limit = options.chunk_bytes or (CHUNK_BYTES_GPU if weights_RD.is_cuda else CHUNK_BYTES_CPU)
        self.size = max(1, limit // (4 * k * max(1, len(features_BD))))
        places_B = labels_B
        if classes is not None:
            places_B = torch.searchsorted(classes, labels_B.clamp(min=0))
            places_B = torch.where(labels_B < 0, labels_B, places_B)
        self._places_B, self._order_B = torch.sort(places_B)
        starts = torch.arange(0, self.num_classes + self.size, self.size, device=device)
        self._bounds = torch.searchsorted(self._places_B, starts).tolist()
        is_compiled = options.is_compiled
        if is_compiled is None:
            is_compiled = weights_RD.is_cuda and find_spec("triton") is not None
        self.exponentials, self.slopes = _kernels(is_compiled)
        # 4 bytes a class and centre, against reading all centres once more for their lengths.
        self.inverse_lengths_R = torch.ones(len(weights_RD), device=device)

    def chunks(self) -> Iterator[_Chunk]:
        k = self.options.num_subcentres
        for number, first in enumerate(range(0, self.num_classes, self.size)):
            stop = min(first + self.size, self.num_classes)
            begin, end = self._bounds[number], self._bounds[number + 1]
            classes: slice | Tensor = slice(first, stop)
            rows: slice | Tensor = slice(first * k, stop * k)
            if self.chosen is not None:
                classes = rows = self.chosen[first:stop]
                if k > 1:
                    offsets = torch.arange(k, device=classes.device)
                    rows = (classes[:, None] * k + offsets).flatten()
            members = self._order_B[begin:end]
            yield _Chunk(classes, rows, members, self._places_B[begin:end] - first)

    def targets(self) -> tuple[Tensor, Tensor]:
        """(B,) products with the true centres, and (B,) which of the K centres gave them."""
        k = self.options.num_subcentres
        owned_B = self.labels_B >= 0
        offsets = torch.arange(k, device=owned_B.device)
        rows_BK = self.labels_B.clamp(min=0)[:, None] * k + offsets
        centres_BKD = self.weights_RD[rows_BK]
        if self.options.unit_centres:
            centres_BKD = centres_BKD / _lengths(centres_BKD)
        products_BK = torch.einsum("bd,bkd->bk", self.features_BD, centres_BKD)
        largest_B, winners_B = products_BK.max(dim=1)
        if self.bias_C is not None:
            largest_B = largest_B + self.bias_C[self.labels_B.clamp(min=0)]
        return torch.where(owned_B, largest_B, torch.zeros_like(largest_B)), winners_B

    def products(self, chunk: _Chunk, *, is_first_time: bool) -> tuple[Tensor, Tensor]:
        """(B, r) products, -inf for each row's own class, and the chunk's (r, D) centres."""
        k = self.options.num_subcentres
        centres_rD = self.weights_RD[chunk.rows]
        products_Br: Tensor = _product(self.features_BD, centres_rD.T, self.options.dtype)
        if self.options.unit_centres and is_first_time:
            self.inverse_lengths_R[chunk.rows] = 1.0 / _lengths(centres_rD)[:, 0]
        for offset in range(k):
            products_Br[chunk.members, chunk.columns * k + offset] = float("-inf")
        return products_Br, centres_rD

    def factors(self, chunk: _Chunk) -> Tensor | None:
        """(r,) what turns a product into a logit; None where it is one already."""
        if not self.options.unit_centres:
            return None
        return self.inverse_lengths_R[chunk.rows] * self.options.scale

    def bias(self, chunk: _Chunk) -> Tensor | None:
        """(c,) the bias of the chunk's classes."""
        return None if self.bias_C is None else self.bias_C[chunk.classes]


def _lengths(centres_XD: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(centres_XD, dim=-1, keepdim=True)
    return lengths.clamp(min=1e-12)


def _product(left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """The matrix product, operands rounded to the dtype, summed in float32."""
    if dtype == torch.float32:
        return left @ right
    left, right = left.to(dtype), right.to(dtype)
    if left.is_cuda:
        product: Tensor = torch.mm(left, right, out_dtype=torch.float32)
        return product
    return left.float() @ right.float()


def _exponentials(
    products_Br: Tensor, factors_r: Tensor | None, bias_c: Tensor | None, num_subcentres: int
) -> tuple[Tensor, Tensor, Tensor]:
    """exp(logit - largest) (B, c), the largest logit (B,) and the row sums (B,); in place."""
    if factors_r is not None:
        products_Br.mul_(factors_r)
    if num_subcentres > 1:
        products_Br = products_Br.view(len(products_Br), -1, num_subcentres).amax(dim=2)
    if bias_c is not None:
        products_Br.add_(bias_c)
    # A chunk may hold nothing but a row's own class: exp(-inf + inf) would be no number.
    largest_B = products_Br.amax(dim=1).clamp(min=torch.finfo(torch.float32).min)
    products_Br.sub_(largest_B[:, None]).exp_()
    return products_Br, largest_B, products_Br.sum(dim=1)


def _slopes(
    products_Br: Tensor,
    factors_r: Tensor | None,
    bias_c: Tensor | None,
    num_subcentres: int,
    others_B: Tensor,
    gradient_B: Tensor,
) -> Tensor:
    """(B, r) gradient of the log-sum-exp towards each product; in place where K is 1."""
    if factors_r is not None:
        products_Br.mul_(factors_r)
    if bias_c is not None:
        products_Br.add_(bias_c)
    if num_subcentres == 1:
        products_Br.sub_(others_B[:, None]).exp_().mul_(gradient_B[:, None])
    else:
        logits_BcK = products_Br.view(len(products_Br), -1, num_subcentres)
        largest_Bc, winners_Bc = logits_BcK.max(dim=2, keepdim=True)
        # Where no other class takes part both are -inf, and the share is 0 and not their gap.
        floor = torch.finfo(torch.float32).min
        gaps_Bc = largest_Bc.clamp(min=floor) - others_B.clamp(min=floor / 2)[:, None, None]
        shares_Bc = torch.exp(gaps_Bc) * gradient_B[:, None, None]
        products_Br = torch.zeros_like(logits_BcK).scatter(2, winners_Bc, shares_Bc).flatten(1)
    return products_Br if factors_r is None else products_Br.mul_(factors_r)


@cache
def _kernels(is_compiled: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What follows a product, plain or fused by torch.compile (Triton on a GPU)."""
    if not is_compiled:
        return _exponentials, _slopes
    return torch.compile(_exponentials, dynamic=True), torch.compile(_slopes, dynamic=True)


class _ClassLogits(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features_BD: Tensor,
        weights_RD: Tensor,
        bias_C: Tensor | None,
        labels_B: Tensor,
        options: LogitOptions,
        classes: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        work = _Work(features_BD, weights_RD, bias_C, labels_B, options, classes)
        target_B, winners_B = work.targets()
        sums_B = torch.zeros_like(target_B)
        largest_B = torch.full_like(target_B, float("-inf"))
        kept: list[tuple[Tensor, Tensor]] = []
        num_kept = 0
        for chunk in work.chunks():
            products_Br, _ = work.products(chunk, is_first_time=True)
            exp_Bc, chunk_largest_B, chunk_sums_B = work.exponentials(
                products_Br, work.factors(chunk), work.bias(chunk), options.num_subcentres
            )
            new_B = torch.maximum(largest_B, chunk_largest_B)
            sums_B = sums_B * torch.exp(largest_B - new_B)
            sums_B += chunk_sums_B * torch.exp(chunk_largest_B - new_B)
            largest_B = new_B
            num_kept += 4 * exp_Bc.numel()
            if options.num_subcentres == 1 and num_kept <= options.keep_bytes:
                kept.append((exp_Bc, chunk_largest_B))
        others_B = largest_B + sums_B.log()
        ctx.save_for_backward(features_BD, weights_RD, bias_C, winners_B, others_B)
        ctx.work, ctx.kept = work, kept
        return target_B, others_B

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        target_gradient_B, others_gradient_B = gradients
        features_BD, weights_RD, bias_C, winners_B, others_B = ctx.saved_tensors
        others_B = others_B.detach()  # its own history is none of the kernels' business
        work: _Work = ctx.work
        options, k = work.options, work.options.num_subcentres
        features_gradient_BD = torch.zeros_like(features_BD)
        new = torch.empty_like if work.chosen is None else torch.zeros_like
        weights_gradient_RD = new(weights_RD)
        bias_gradient_C = None if bias_C is None else torch.zeros_like(bias_C)
        kept = ctx.kept[::-1]
        ctx.work = ctx.kept = None
        for chunk in work.chunks():
            factors_r = work.factors(chunk)
            if kept:
                slopes_Br, largest_B = kept.pop()
                slopes_Br *= (torch.exp(largest_B - others_B) * others_gradient_B)[:, None]
                slopes_Br = slopes_Br if factors_r is None else slopes_Br.mul_(factors_r)
                centres_rD = weights_RD[chunk.rows]
            else:
                products_Br, centres_rD = work.products(chunk, is_first_time=False)
                slopes_Br = work.slopes(
                    products_Br, factors_r, work.bias(chunk), k, others_B, others_gradient_B
                )
            own_r = chunk.columns * k + winners_B[chunk.members]
            own_gradient = target_gradient_B[chunk.members]
            if factors_r is not None:
                own_gradient = own_gradient * (factors_r[own_r] / options.scale)
            slopes_Br[chunk.members, own_r] = own_gradient
            features_gradient_BD += _product(slopes_Br, centres_rD, options.dtype)
            gradient_rD = _product(slopes_Br.T, features_BD, options.dtype)
            if options.unit_centres:
                # Only the part across the centre turns it: G - w (w . G) / |w|^2.
                along_r = torch.linalg.vecdot(gradient_rD, centres_rD)
                along_r *= work.inverse_lengths_R[chunk.rows].square()
                gradient_rD.addcmul_(centres_rD, along_r[:, None], value=-1.0)
            weights_gradient_RD[chunk.rows] = gradient_rD
            if bias_gradient_C is not None:
                bias_gradient_C[chunk.classes] = slopes_Br.sum(dim=0)
        return features_gradient_BD, weights_gradient_RD, bias_gradient_C, None, None, None
