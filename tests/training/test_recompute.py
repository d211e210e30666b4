"""Recomputing blocks changes nothing but the memory that a step takes."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from embedding.errors import DataInvalid
from training.backbone import FaceBackbone
from training.config import BackboneConfig
from training.recompute import checkpoint_blocks

CONFIGS = [
    BackboneConfig(name="iresnet18", channels=(16, 16, 32, 32), head="e"),
    BackboneConfig(name="mobilefacenet"),
    BackboneConfig(name="resnet18", channels=(16, 16, 32, 32)),
]
CROPS_SHAPE = (2, 3, 48, 48)  # the bodies take any size, and small crops are fast
of_each = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


def pair(config: BackboneConfig) -> tuple[nn.Module, nn.Module]:
    """Two equal bodies in training mode; the second recomputes."""
    plain = FaceBackbone(config)
    recomputing = copy.deepcopy(plain)
    checkpoint_blocks(recomputing)
    return plain.body, recomputing.body


def train_step(body: nn.Module, crops: Tensor) -> float:
    """Forward and backward pass of a loss in which every number of the map counts."""
    maps = body(crops)
    loss = (maps * torch.linspace(-1, 1, maps.numel()).reshape(maps.shape)).mean()
    body.zero_grad()
    loss.backward()
    return float(loss.detach())


def assert_equal_steps(plain: nn.Module, recomputing: nn.Module) -> None:
    """One step of each: the losses, gradients and running statistics agree to rounding."""
    crops = torch.randn(CROPS_SHAPE)
    losses = []
    for body in (plain, recomputing):
        torch.manual_seed(5)  # of what a block drops
        losses.append(train_step(body, crops))
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-6)
    close(losses[1], losses[0])
    close(recomputing.state_dict(), plain.state_dict())
    expected = {name: parameter.grad for name, parameter in plain.named_parameters()}
    close({name: parameter.grad for name, parameter in recomputing.named_parameters()}, expected)


@of_each
def test_losses_gradients_and_statistics_are_the_same(config: BackboneConfig) -> None:
    """After a step, as without; a batch norm counts the batch once."""
    plain, recomputing = pair(config)
    assert_equal_steps(plain, recomputing)
    counts = [t for key, t in recomputing.state_dict().items() if key.endswith("batches_tracked")]
    assert {int(count) for count in counts} == {1}


def test_what_was_dropped_is_dropped_again() -> None:
    """The recomputation draws the random numbers of the first pass."""
    bodies = pair(CONFIGS[2])
    for body in bodies:
        body.get_submodule("layer2.0").drop_path = nn.Dropout(0.5)
    assert_equal_steps(*bodies)


def test_a_cumulative_average_counts_a_batch_once() -> None:
    """A batch norm without momentum averages over its batches, and keeps doing so."""
    bodies = pair(CONFIGS[0])
    for body in bodies:
        for module in body.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
    assert_equal_steps(*bodies)
    assert_equal_steps(*bodies)


@of_each
def test_less_is_kept_for_the_backward_pass(config: BackboneConfig) -> None:
    """What is saved and the blocks' inputs together are clearly less than before."""
    plain, recomputing = pair(config)
    crops = torch.randn(CROPS_SHAPE)
    assert bytes_kept(recomputing, crops) < 0.65 * bytes_kept(plain, crops)


def bytes_kept(body: nn.Module, crops: Tensor) -> int:
    """Bytes of distinct memory that a forward pass keeps for its backward pass."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.detach()  # alive, so that no address comes twice
        return tensor

    def keep_input(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        keep(inputs[0])

    blocks = [module for module in body.modules() if "forward" in vars(module)]
    handles = [block.register_forward_pre_hook(keep_input) for block in blocks]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        body(crops)
    for handle in handles:
        handle.remove()
    parameters = {parameter.data_ptr() for parameter in body.parameters()}
    return sum(tensor.nbytes for pointer, tensor in kept.items() if pointer not in parameters)


@of_each
def test_names_in_the_state_dict_stay(config: BackboneConfig) -> None:
    """A checkpoint is the same file with and without."""
    plain, recomputing = pair(config)
    assert list(recomputing.state_dict()) == list(plain.state_dict())


def test_evaluation_runs_the_block_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without training mode or without gradients nothing is checkpointed."""

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("checkpointed")

    monkeypatch.setattr("training.recompute.checkpoint", refuse)
    _, body = pair(CONFIGS[2])
    crops = torch.randn(CROPS_SHAPE)
    with torch.no_grad():
        body(crops)
    body.eval()(crops)
    with pytest.raises(AssertionError, match="checkpointed"):
        body.train()(crops)


def test_a_deep_copy_uses_its_own_weights() -> None:
    """Also a copy made afterwards is a network of its own."""
    _, body = pair(CONFIGS[0])
    other = copy.deepcopy(body)
    for parameter in body.parameters():
        nn.init.zeros_(parameter)
    crops = torch.randn(CROPS_SHAPE)
    assert train_step(body, crops) == 0
    assert train_step(other, crops) != 0
    assert all(parameter.grad is not None for parameter in other.parameters())


def test_twice_is_once() -> None:
    """A second call does not checkpoint inside a checkpoint."""
    network = FaceBackbone(CONFIGS[2])
    checkpoint_blocks(network)
    crops = torch.randn(CROPS_SHAPE)
    once = bytes_kept(network.body, crops)
    checkpoint_blocks(network)
    assert bytes_kept(network.body, crops) == once
    train_step(network.body, crops)


def test_a_body_without_stages_is_refused() -> None:
    """What would save nothing says so."""
    network = FaceBackbone(CONFIGS[2])
    network.body = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16))
    with pytest.raises(DataInvalid, match="no stages"):
        checkpoint_blocks(network)
