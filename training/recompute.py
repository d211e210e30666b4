"""Gradient checkpointing: memory for activations traded against a second forward pass.

Chen et al., "Training deep nets with sublinear memory cost" (arXiv 1604.06174): only the inputs of
the residual blocks are kept, and what is inside a block is computed again when the backward pass
gets there. A step takes about a third longer; the batch that fits grows several times.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from embedding.errors import DataInvalid
from training.backbone import FaceBackbone


def checkpoint_blocks(network: FaceBackbone) -> None:
    """Lets every residual block of the body recompute its inside in the backward pass, in place.

    It acts in training mode with gradients enabled; else a block runs as before. Losses,
    gradients, running statistics and the names in the state dict stay what they were. The
    `forward` of each block is replaced on the instance: call this on the network that trains,
    after copies such as the moving average were made, for those need none of it. (A later deep
    copy is a network of its own all the same, with recomputation.)

    Raises:
        DataInvalid: the body has no stages of blocks to be found.
    """
    blocks = list(_blocks(network.body))
    if not blocks:
        raise DataInvalid(
            f"{type(network.body).__name__} has no stages (nn.Sequential) of blocks to recompute; "
            "train it without, or take another backbone.name"
        )
    for block in blocks:
        # A bound method, not a closure: copy.deepcopy binds it to the copy.
        block.forward = MethodType(_forward, block)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The blocks in the sequences of a body, in their order.

    Sequences of sequences (the stages of timm's EfficientNet family) are entered, and so are
    stages that keep their sequence in `blocks` (ConvNeXt). Single layers, as in stems, are none.
    """
    for stage in module.children():
        if not isinstance(stage, nn.Sequential):
            continue
        for child in stage:
            if isinstance(child, nn.Sequential):
                yield from _blocks(nn.ModuleList([child]))
            elif isinstance(getattr(child, "blocks", None), nn.Sequential):
                yield from _blocks(child)
            elif any(True for _ in child.children()) and not isinstance(child, _BatchNorm):
                yield child


def _forward(block: nn.Module, *inputs: Tensor) -> Tensor:
    """What replaces the block's own forward, which its class still has."""
    run = MethodType(type(block).forward, block)
    if block.training and torch.is_grad_enabled():
        output: Tensor = checkpoint(
            run, *inputs, use_reentrant=False, context_fn=partial(_contexts, block)
        )
    else:
        output = run(*inputs)
    return output


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What surrounds the first forward pass, and what the recomputation."""
    return nullcontext(), _statistics_kept(block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Batch norms normalise by the batch as before, but their running statistics stay.

    Without it every batch would count twice. Switching `track_running_stats` off would do it
    too, but then the backward pass saves another number of tensors and torch refuses.
    """
    layers = [layer for layer in block.modules() if isinstance(layer, _BatchNorm)]
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked = layer.num_batches_tracked.clone()
    try:
        yield
    finally:
        for layer, (momentum, num_batches) in zip(layers, before, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, num_batches
