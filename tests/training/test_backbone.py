"""timm networks end in a 7x7 map and a 512-d embedding."""

import pytest
import torch

from embedding.errors import DataInvalid
from training.backbone import FaceBackbone
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
