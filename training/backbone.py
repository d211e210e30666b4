"""Networks from timm made fit for 112-pixel crops, with a 512-d embedding head.

The only importer of timm; the bodies that faces were published with (IResNet, MobileFaceNet)
are registered into it, so one name in the configuration chooses among all of them.

Shape legend: B batch, C channels, H, W map size, D embedding length.
"""

from collections.abc import Callable
from functools import partial

import timm
import torch
from timm.models import register_model
from torch import Tensor, nn

from embedding.errors import DataInvalid
from training.config import BackboneConfig
from training.dlib_resnet import DlibResNet
from training.iresnet import LAYERS, IResNet
from training.mobilefacenet import MobileFaceNet

INPUT_PX = 112


def _register(name: str, build: Callable[..., nn.Module]) -> None:
    """Makes `name` a timm model; `build` is called with `widths` where channels are given."""

    def entry(
        pretrained: bool = False,
        *,
        channels: tuple[int, int, int, int] | None = None,
        **_timm_options: object,  # what timm hands to every model: of classifiers and downloads
    ) -> nn.Module:
        if pretrained:
            raise DataInvalid(f"timm has no weights of {name}; load them with training.weights")
        return build() if channels is None else build(widths=channels)

    entry.__name__ = name  # timm's registry takes the name from here
    register_model(entry)


for _name, _layers in LAYERS.items():
    _register(_name, partial(IResNet, _layers))
_register("mobilefacenet", MobileFaceNet)
_register("dlib_resnet29", DlibResNet)


class FaceBackbone(nn.Module):
    """Crops to embeddings: a timm body, its stem fit for 112 px, and a head.

    Input (B, 3, 112, 112) float, RGB, (v - 127.5) / 127.5. Output (B, D), not normalised: the
    length of the vector is a quality signal that the caller keeps.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.body = _timm_body(config)
        fit_stem(self.body)
        self.head = embedding_head(
            config.head,
            _map_shape(self.body, config.name),
            config.dimension,
            dropout=config.dropout,
        )

    def forward(self, crops_BCHW: Tensor) -> Tensor:
        """Raw embeddings (B, D) of normalised crops."""
        embeddings_BD: Tensor = self.head(self.body(crops_BCHW))
        return embeddings_BD


def _map_shape(body: nn.Module, name: str) -> tuple[int, ...]:
    """(C, H, W) of the feature map that a 112-px crop ends in."""
    refusal = f"the timm model {name} gives no feature map for 112 px; take a convolutional one"
    body.eval()
    try:
        with torch.no_grad():
            map_BCHW = body(torch.zeros(1, 3, INPUT_PX, INPUT_PX))
    except (AssertionError, RuntimeError) as error:  # transformers insist on their own size
        raise DataInvalid(refusal) from error
    finally:
        body.train()
    if map_BCHW.dim() != 4:
        raise DataInvalid(refusal)
    return tuple(map_BCHW.shape[1:])


def _timm_body(config: BackboneConfig) -> nn.Module:
    if not timm.is_model(config.name):
        similar = ", ".join(timm.list_models(f"*{config.name[:6]}*")[:5])
        raise DataInvalid(f"timm has no model {config.name!r}; similar: {similar or 'none'}")
    options: dict[str, object] = {}
    if config.channels is not None:
        options = {"channels": config.channels, "stem_width": config.channels[0]}
    try:
        body: nn.Module = timm.create_model(
            config.name, pretrained=False, num_classes=0, global_pool="", **options
        )
    except TypeError as error:
        raise DataInvalid(
            f"the timm model {config.name} takes no channels; leave them out"
        ) from error
    return body


def synchronise_norm(network: nn.Module) -> nn.Module:
    """The network with batch normalisation over all ranks.

    timm's own converter keeps the activations that timm's normalisation layers hold.
    """
    synchronised: nn.Module = timm.layers.convert_sync_batchnorm(network)
    return synchronised


def fit_stem(body: nn.Module) -> None:
    """Halves the total stride of a network that was drawn for 224 px, in place.

    A 112-px crop then ends in a 7x7 map as the authors meant it: the pooling of a ResNet stem is
    dropped and its 7x7 convolution becomes 3x3, else the first strided convolution gets stride 1.
    IResNet, MobileFaceNet and dlib's network were drawn for our crops and stay as they are.
    """
    if isinstance(body, IResNet | MobileFaceNet | DlibResNet):
        return
    if isinstance(getattr(body, "maxpool", None), nn.Module):
        body.maxpool = nn.Identity()
        first = body.conv1
        if isinstance(first, nn.Conv2d) and first.kernel_size == (7, 7):
            body.conv1 = nn.Conv2d(
                first.in_channels, first.out_channels, 3, stride=2, padding=1, bias=False
            )
            nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
        return
    for module in body.modules():
        if isinstance(module, nn.Conv2d) and max(module.stride) > 1:
            module.stride = (1, 1)
            return


def embedding_head(
    kind: str, map_shape: tuple[int, ...], dimension: int, *, dropout: float = 0.0
) -> nn.Sequential:
    """The layers from a (C, H, W) map to an embedding of `dimension` numbers.

    ``e`` is the head of ArcFace (section 3.1): BN, dropout, flatten, linear, BN. ``gdc`` is that
    of MobileFaceNet (arXiv 1804.07573): 1x1 convolution, depth-wise convolution over the whole
    map, linear. ``mean`` is the mean over the map, linear. The last BN keeps its scale at 1, as in
    ArcFace's reference recipe.

    Raises:
        DataInvalid: another kind, or a dropout outside [0, 1) or for a head that has none.
    """
    if not 0 <= dropout < 1 or (dropout and kind != "e"):
        raise DataInvalid(
            f"backbone.dropout must be in [0, 1), and 0 for a head other than e; got {dropout} "
            f"for head {kind!r}"
        )
    channels, height, width = map_shape
    last = nn.BatchNorm1d(dimension)
    last.weight.requires_grad_(False)
    if kind == "e":
        flatten: nn.Module = nn.Flatten()
        if dropout:
            # One module together, so that the names in the state dict are those without dropout.
            flatten = nn.Sequential(nn.Dropout(dropout), flatten)
        return nn.Sequential(
            nn.BatchNorm2d(channels),
            flatten,
            nn.Linear(channels * height * width, dimension, bias=False),
            last,
        )
    if kind == "gdc":
        return nn.Sequential(
            nn.Conv2d(channels, 512, 1, bias=False),
            nn.BatchNorm2d(512),
            nn.PReLU(512),
            nn.Conv2d(512, 512, (height, width), groups=512, bias=False),
            nn.BatchNorm2d(512),
            nn.Flatten(),
            nn.Linear(512, dimension, bias=False),
            last,
        )
    if kind == "mean":
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, dimension, bias=False),
            last,
        )
    raise DataInvalid(f"unknown embedding head {kind!r}; known: gdc, e, mean")
