"""MobileFaceNet is that of its paper's table 1, under timm's registry."""

import pytest
import torch
from torch import Tensor, nn

from embedding.errors import DataInvalid
from training.backbone import FaceBackbone
from training.config import BackboneConfig
from training.mobilefacenet import Bottleneck


@pytest.mark.parametrize(("dimension", "millions"), [(128, 1.0), (512, 1.2)])
def test_it_has_about_a_million_parameters(dimension: int, millions: float) -> None:
    """With the paper's 128 numbers an embedding; 512 cost a fifth more."""
    with torch.device("meta"):
        network = FaceBackbone(BackboneConfig(name="mobilefacenet", dimension=dimension))
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    assert num_parameters / 1e6 == pytest.approx(millions, abs=0.01)


def test_the_maps_are_those_of_the_table() -> None:
    """The shape after the stem and after each row of bottlenecks, and then the embedding."""
    network = FaceBackbone(BackboneConfig(name="mobilefacenet"))
    shapes: list[tuple[int, ...]] = []

    def note(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shapes.append(tuple(output.shape[1:]))

    blocks = network.body.get_submodule("blocks")
    for module in (network.body.get_submodule("stem"), *blocks.children()):
        module.register_forward_hook(note)
    assert network(torch.zeros(2, 3, 112, 112)).shape == (2, 512)
    assert shapes == [
        (64, 56, 56),
        (64, 28, 28),
        (128, 14, 14),
        (128, 14, 14),
        (128, 7, 7),
        (128, 7, 7),
    ]


@pytest.mark.parametrize(
    ("out_channels", "stride", "adds_input"),
    [(16, 1, True), (16, 2, False), (32, 1, False)],
)
def test_the_input_is_added_where_the_shape_stays(
    out_channels: int, stride: int, adds_input: bool
) -> None:
    """With its last scale at zero, a bottleneck gives its input or nothing."""
    block = Bottleneck(16, out_channels, expansion=2, stride=stride)
    nn.init.zeros_(block.bn.weight)
    maps = torch.randn(2, 16, 6, 6)
    output = block(maps)
    torch.testing.assert_close(output, maps if adds_input else torch.zeros_like(output))


def test_its_widths_are_fixed() -> None:
    """Channels for a network that takes none are refused, not ignored."""
    with pytest.raises(DataInvalid, match="no channels"):
        FaceBackbone(BackboneConfig(name="mobilefacenet", channels=(16, 16, 16, 16)))
