"""The processes of one run: who they are, and what they exchange.

Every rank embeds its own part of the batch and owns its own part of the classes. Embeddings are
gathered, so that all losses are computed of the whole batch, alike on every rank; what travels
is (B, D) and (B,), never logits. Shape legend: B whole batch, L local part of it, D embedding
dimension, C classes.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

TIMEOUT_S = 3600  # others wait while the first rank evaluates


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """One process among those of the run.

    Attributes:
        rank: number of this process, from 0.
        world_size: number of processes; 1 is a run without torchrun.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the log and what all ranks have alike."""
        return self.rank == 0

    def shard(self, num_classes: int) -> tuple[int, int]:
        """First class of this rank and the one after its last; sizes differ by one at most."""
        return (
            num_classes * self.rank // self.world_size,
            num_classes * (self.rank + 1) // self.world_size,
        )

    def wait_for_all(self) -> None:
        """Returns when every rank has come here."""
        if self.world_size > 1:
            dist.barrier()

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set on one rank at least."""
        if self.world_size == 1:
            return flag
        value = torch.tensor([float(flag)], device=device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value.item() > 0)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over the ranks, without gradient."""
        value = value.detach()
        if self.world_size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def holds_largest(self, values_B: Tensor) -> Tensor:
        """(B,) whether this rank holds the largest value; of ranks that tie, the first does."""
        if self.world_size == 1:
            return torch.ones_like(values_B, dtype=torch.bool)
        parts = [torch.empty_like(values_B) for _ in range(self.world_size)]
        dist.all_gather(parts, values_B.contiguous())
        winner_B: Tensor = torch.stack(parts).argmax(dim=0) == self.rank
        return winner_B

    def gather_rows(self, rows_LX: Tensor) -> Tensor:
        """The rows of all ranks one below the other; gradients return to their own rank.

        The whole batch's losses are computed on every rank, so a rank's slice of the gradient is
        complete. It is multiplied by the number of ranks because data parallelism then divides
        by it.
        """
        if self.world_size == 1:
            return rows_LX
        gathered: Tensor = _GatherRows.apply(rows_LX, self)
        return gathered

    def enter_shards(self, rows_BD: Tensor) -> Tensor:
        """The same rows, for use with this rank's classes; gradients are summed over ranks."""
        if self.world_size == 1:
            return rows_BD
        same: Tensor = _EnterShards.apply(rows_BD)
        return same

    def sum_over_shards(self, values_B: Tensor) -> Tensor:
        """The sum over ranks; each rank's part gets the gradient of the sum."""
        if self.world_size == 1:
            return values_B
        summed: Tensor = _SumOverShards.apply(values_B)
        return summed

    def logsumexp_over_shards(self, values_B: Tensor) -> Tensor:
        """Log of the sum over ranks of exp(value), with gradient."""
        if self.world_size == 1:
            return values_B
        largest_B = values_B.detach().clone()
        dist.all_reduce(largest_B, op=dist.ReduceOp.MAX)
        # Where no rank has a class, as sampling may have it, the sum is 0 and its log -inf.
        largest_B.clamp_(min=torch.finfo(torch.float32).min)
        return largest_B + self.sum_over_shards(torch.exp(values_B - largest_B)).log()


def start_ranks(device: torch.device) -> Ranks:
    """Joins the processes that torchrun started (NCCL on a GPU, gloo on a CPU), if it did."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        return Ranks()
    if not dist.is_initialized():
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            timeout=timedelta(seconds=TIMEOUT_S),
        )
    return Ranks(rank=dist.get_rank(), world_size=world_size)


def leave_ranks() -> None:
    """Leaves what `start_ranks` joined."""
    if dist.is_initialized():
        dist.destroy_process_group()


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_LX: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks, ctx.num_rows = ranks, len(rows_LX)
        parts = [torch.empty_like(rows_LX) for _ in range(ranks.world_size)]
        dist.all_gather(parts, rows_LX.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        start = ctx.ranks.rank * ctx.num_rows
        return gradients[0][start : start + ctx.num_rows] * ctx.ranks.world_size, None


class _EnterShards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_BD: Tensor) -> Tensor:
        return rows_BD.view_as(rows_BD)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        summed = gradients[0].contiguous()
        dist.all_reduce(summed)
        return summed


class _SumOverShards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values_B: Tensor) -> Tensor:
        summed_B = values_B.clone()
        dist.all_reduce(summed_B)
        return summed_B

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0]
