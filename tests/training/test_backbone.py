"""timm networks end in a 7x7 map and a 512-d embedding."""

import pytest
import torch

from embedding.errors import DataInvalid
from training.backbone import FaceBackbone, synchronise_norm
from training.config import BackboneConfig


@pytest.mark.parametrize(
    "config",
    [
        BackboneConfig(name="resnet18", channels=(8, 8, 16, 16)),
        BackboneConfig(name="resnet18", channels=(8, 8, 16, 16), head="e"),
        BackboneConfig(name="mobilenetv4_conv_small"),
    ],
    ids=["resnet gdc", "resnet e", "mobilenet"],
)
def test_a_112_px_crop_ends_in_a_7x7_map(config: BackboneConfig) -> None:
    """The stem is fit for small crops and the head gives the wanted dimension."""
    network = FaceBackbone(config).eval()
    crops = torch.zeros(2, 3, 112, 112)
    assert network.body(crops).shape[2:] == (7, 7)
    assert network(crops).shape == (2, 512)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (BackboneConfig(name="resnet19"), "no model 'resnet19'"),
        (BackboneConfig(head="f"), "unknown embedding head 'f'"),
        (BackboneConfig(name="mobilenetv4_conv_small", channels=(8, 8, 8, 8)), "no channels"),
        (BackboneConfig(name="vit_tiny_patch16_224"), "vit_tiny"),
    ],
    ids=["name", "head", "channels", "transformer"],
)
def test_what_cannot_be_built_is_refused(config: BackboneConfig, words: str) -> None:
    """A clear message instead of a stack of torch errors."""
    with pytest.raises(DataInvalid, match=words):
        FaceBackbone(config)


@pytest.mark.parametrize("name", ["mobilenetv4_conv_small", "resnet18"])
def test_synchronised_normalisation_keeps_activations(name: str) -> None:
    """Layers that normalise and activate in one still do both; only training differs."""
    torch.manual_seed(0)
    network = FaceBackbone(BackboneConfig(name=name)).eval()
    crops = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        before = network(crops)
        synchronise_norm(network)
        torch.testing.assert_close(network.eval()(crops), before)
    assert any(isinstance(one, torch.nn.SyncBatchNorm) for one in network.modules())
