"""IResNet is the published one, under timm's registry, with or without the head's dropout."""

import pytest
import torch
from torch import nn

from embedding.errors import DataInvalid
from training.backbone import FaceBackbone
from training.config import BackboneConfig
from training.iresnet import LAYERS, IRBlock

TINY = BackboneConfig(name="iresnet18", channels=(16, 16, 32, 32), head="e", dimension=32)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("iresnet18", 24.03),
        ("iresnet34", 34.14),
        ("iresnet50", 43.59),
        ("iresnet100", 65.16),
        ("iresnet200", 118.83),
    ],
)
def test_the_number_of_parameters_is_the_published_one(name: str, millions: float) -> None:
    """Body and head E together have as many parameters as InsightFace's networks."""
    with torch.device("meta"):
        network = FaceBackbone(BackboneConfig(name=name, head="e"))
        assert network.body(torch.zeros(1, 3, 112, 112)).shape == (1, 512, 7, 7)
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    assert num_parameters / 1e6 == pytest.approx(millions, abs=0.01)


def test_channels_set_the_widths() -> None:
    """A narrow network ends in a 7x7 map of its last width and in embeddings."""
    network = FaceBackbone(TINY)
    crops = torch.zeros(2, 3, 112, 112)
    assert network.body(crops).shape == (2, 32, 7, 7)
    assert network(crops).shape == (2, 32)


def test_the_stem_keeps_its_stride_and_each_stage_halves() -> None:
    """Nothing of it is refitted: it was drawn for 112 px."""
    body = FaceBackbone(TINY).body
    strided = [name for name, m in body.named_modules() if getattr(m, "stride", None) == (2, 2)]
    places = ("conv2", "downsample.0")
    assert strided == [f"layer{n}.0.{place}" for n in (1, 2, 3, 4) for place in places]
    assert body.get_submodule("conv1").stride == (1, 1)


@pytest.mark.parametrize(("name", "layers"), LAYERS.items())
def test_every_stage_has_its_number_of_blocks(
    name: str, layers: tuple[int, int, int, int]
) -> None:
    """The names of the modules count the blocks as the paper does."""
    with torch.device("meta"):
        body = FaceBackbone(BackboneConfig(name=name)).body
    assert tuple(len(list(body.get_submodule(f"layer{n}").children())) for n in (1, 2, 3, 4)) == (
        layers
    )


def test_a_block_without_its_last_scale_is_the_identity() -> None:
    """Nothing follows the sum, so a silent residual branch leaves the map as it is."""
    block = IRBlock(16, 16)
    nn.init.zeros_(block.bn3.weight)
    maps = torch.randn(2, 16, 6, 6)
    torch.testing.assert_close(block(maps), maps, rtol=0, atol=0)


def test_dropout_changes_no_name() -> None:
    """Networks with and without dropout load each other's state dicts."""
    without = FaceBackbone(TINY)
    with_dropout = FaceBackbone(
        BackboneConfig(name=TINY.name, channels=TINY.channels, head="e", dimension=32, dropout=0.4)
    )
    assert list(with_dropout.state_dict()) == list(without.state_dict())
    with_dropout.load_state_dict(without.state_dict())
    crops = torch.randn(2, 3, 112, 112)
    torch.testing.assert_close(with_dropout.eval()(crops), without.eval()(crops))


def test_dropout_drops_its_share_of_the_map_in_training() -> None:
    """Between BN and flatten, about the given share of the numbers is zero."""
    config = BackboneConfig(name="iresnet18", channels=(16, 16, 16, 16), head="e", dropout=0.25)
    head = FaceBackbone(config).head
    flat = head[:2](torch.randn(64, 16, 7, 7))
    assert flat.shape == (64, 16 * 49)
    assert (flat == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    "config",
    [
        BackboneConfig(name="iresnet18", head="e", dropout=1.0),
        BackboneConfig(name="iresnet18", head="e", dropout=-0.1),
        BackboneConfig(name="iresnet18", head="gdc", dropout=0.4),
    ],
    ids=["all", "negative", "gdc"],
)
def test_a_dropout_that_cannot_be_is_refused(config: BackboneConfig) -> None:
    """A share outside [0, 1), or one that the head would ignore, says so."""
    with torch.device("meta"), pytest.raises(DataInvalid, match=r"backbone\.dropout"):
        FaceBackbone(config)
