"""Start from weights that exist: this project's, arcface_torch's IResNets, or a timm body's."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from embedding.errors import CheckpointInvalid
from training.backbone import FaceBackbone
from training.dlib_resnet import DESCRIPTOR_LENGTH, DlibResNet, read_dlib_file
from training.iresnet import LAYERS

WRAPPERS = ("state_dict", "model", "model_state")
PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel and of torch.compile
CLASSIFIERS = ("fc.", "classifier.", "head.", "last_linear.")
NUM_NAMED = 3  # keys that a message names before it only counts


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsReport:
    """What `load_weights` did.

    Attributes:
        num_loaded: tensors that came from the file.
        missing: names in the network that keep their own values, such as a new head's.
        left_out: names in the file that were not used, such as a classifier's.
    """

    num_loaded: int
    missing: tuple[str, ...]
    left_out: tuple[str, ...]


def load_weights(network: FaceBackbone, path: Path) -> WeightsReport:
    """Replaces the network's weights by those of a file, all that is meant or none at all.

    A ``.dat`` file is dlib's face network (see `from_dlib`). Otherwise the keys tell which of
    three kinds the file is:

    - a `FaceBackbone`'s own state dict (``body.``, ``head.``), which must fit entirely;
    - a published IResNet of arcface_torch, which must fit entirely, head ``e`` included;
    - a timm model whose body is this network's: its classifier is left out and the head keeps
      its values, and so does a first convolution of 7x7 that `fit_stem` made 3x3.

    Counters of batches (``num_batches_tracked``) may be missing from any of them.

    Raises:
        CheckpointInvalid: not readable, or of another architecture; the network is unchanged.
    """
    is_dlib = path.suffix == ".dat"
    state = from_dlib(network, path) if is_dlib else load_state_dict_file(path)
    own = network.state_dict()
    heads = {key for key in own if key.startswith("head.")}
    optional: set[str] = heads if is_dlib else set()
    left_out: set[str] = set()
    if all(key.startswith(("body.", "head.")) for key in state):
        named = state
    elif "features.running_mean" in state:
        named = from_arcface_torch(state)
    else:
        body = network.body.state_dict()
        left_out = {key for key in state if key.startswith(CLASSIFIERS) and key not in body}
        left_out |= _replaced_stem(network.body, state)
        named = {f"body.{key}": state[key] for key in state.keys() - left_out}
        optional = {f"body.{key}" for key in left_out}
        optional |= heads
    missing = {key for key in own if key not in named}
    needed = {key for key in missing - optional if not key.endswith(".num_batches_tracked")}
    _refuse_misfits(path, named, own, needed)
    network.load_state_dict(named, strict=False)
    return WeightsReport(
        num_loaded=len(named),
        missing=tuple(key for key in own if key in missing),
        left_out=tuple(key for key in state if key in left_out),
    )


def load_state_dict_file(path: Path) -> dict[str, Tensor]:
    """The named tensors of a ``.pt``, ``.pth``, ``.bin`` or ``.safetensors`` file, on the CPU.

    One level of wrapping (``{"state_dict": ...}`` and the like) is taken off, and so is what
    DistributedDataParallel puts before every name. A pickle may hold tensors and plain values
    only: nothing in it is ever executed.

    Raises:
        CheckpointInvalid: missing, damaged, of another kind, or a pickle with foreign classes.
    """
    if path.suffix not in {".pt", ".pth", ".bin", ".safetensors"}:
        raise CheckpointInvalid(f"{path} is no .pt, .pth, .bin or .safetensors file of weights")
    if not path.is_file():
        raise CheckpointInvalid(f"no weights at {path}; give the path of an existing file")
    try:
        if path.suffix == ".safetensors":
            content: object = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the two readers raise nearly anything
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointInvalid(
            f"{path} cannot be read as weights ({type(error).__name__}: {reason}); fetch it "
            "again, or, if it holds more than tensors, save only its state dict where you trust it"
        ) from error
    return _named_tensors(path, content)


def _named_tensors(path: Path, content: object) -> dict[str, Tensor]:
    """The state dict inside of what a file held."""
    if isinstance(content, Mapping):
        wrapped = (content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping))
        content = next(wrapped, content)
    state: dict[str, Tensor] = {}
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointInvalid(
                f"{path} is no state dict: {key!r} holds a {type(value).__name__}, not a tensor; "
                "save only the model's state_dict()"
            )
        if value.is_meta or value.layout != torch.strided:
            raise CheckpointInvalid(f"{path} holds no plain values for {key}; save it as dense")
        state[key] = value
    if not state:
        raise CheckpointInvalid(f"{path} holds no tensors by name; save a model's state_dict()")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def from_arcface_torch(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published IResNet's state dict under this project's names.

    The layout is that of InsightFace's recognition/arcface_torch (backbones/iresnet.py): the
    body's names are kept; bn2, fc and features are the first, third and fourth module of head
    ``e``, and both flatten in the order C, H, W. Two things differ in the head:

    - This project's linear layer has no bias, for the batch norm after it takes any bias out
      again. It is folded exactly: BN(Wx + b) with running mean u is BN(Wx) with u - b.
    - The scale of the last batch norm (``features.weight``) is frozen in both. It is loaded as
      it is, so a file in which it was trained keeps its outputs as well.

    Raises:
        CheckpointInvalid: names that such a state dict does not have.
    """
    heads = {"bn2": "head.0", "fc": "head.2", "features": "head.3"}
    bodies = {"conv1", "bn1", "prelu", "layer1", "layer2", "layer3", "layer4"}
    named: dict[str, Tensor] = {}
    for key, value in state.items():
        module, _, rest = key.partition(".")
        if module not in bodies | heads.keys():
            raise CheckpointInvalid(
                f"{key!r} is no name of arcface_torch's IResNet; such a file holds conv1, bn1, "
                "prelu, layer1 to layer4, bn2, fc and features"
            )
        named[f"{heads[module]}.{rest}" if module in heads else f"body.{key}"] = value
    bias_D = named.pop("head.2.bias", None)
    if bias_D is not None:
        mean_D = named.get("head.3.running_mean")
        if mean_D is None or mean_D.shape != bias_D.shape:
            raise CheckpointInvalid(
                f"fc.bias of shape {tuple(bias_D.shape)} needs a features.running_mean of the "
                "same shape; the state dict was cut or mixed: fetch it again"
            )
        named["head.3.running_mean"] = mean_D.float() - bias_D.float()
    return named


def from_dlib(network: FaceBackbone, file: Path) -> dict[str, Tensor]:
    """The weights of dlib's face network under this project's names.

    Where the head is ``mean``, its linear layer begins as dlib's last one, turned into the longer
    embedding by a fixed rotation, which keeps angles and ratios of distances. Its rows are made
    about 1 long: the batch norm behind takes the length out again, but a step of learning would
    overturn rows as short as dlib's.

    Raises:
        CheckpointInvalid: another backbone, or not that file.
    """
    if not isinstance(network.body, DlibResNet):
        raise CheckpointInvalid(
            f"{file} fits backbone.name=dlib_resnet29, with backbone.head=mean for its last layer"
        )
    body, last = read_dlib_file(file)
    named = {f"body.{key}": value for key, value in body.items()}
    linear = network.state_dict().get("head.2.weight")
    if linear is not None and linear.shape[1] == last.shape[1] and len(linear) >= len(last):
        random = torch.Generator().manual_seed(0)
        turn, _ = torch.linalg.qr(torch.randn(len(linear), DESCRIPTOR_LENGTH, generator=random))
        turned = turn @ last
        named["head.2.weight"] = turned * (len(turned) ** 0.5 / turned.norm())
    return named


def _replaced_stem(body: nn.Module, state: Mapping[str, Tensor]) -> set[str]:
    """The name of a 7x7 first convolution that is 3x3 in the body, or nothing."""
    first = next((item for item in body.named_modules() if isinstance(item[1], nn.Conv2d)), None)
    if first is None or f"{first[0]}.weight" not in state:
        return set()
    key = f"{first[0]}.weight"
    out_channels, in_channels, *kernel = body.state_dict()[key].shape
    is_replaced = kernel == [3, 3] and state[key].shape == (out_channels, in_channels, 7, 7)
    return {key} if is_replaced else set()


def _refuse_misfits(
    path: Path, named: Mapping[str, Tensor], own: Mapping[str, Tensor], needed: set[str]
) -> None:
    """Raises unless every given tensor has a place of its shape and every needed one came."""
    misfits = [f"{key} is not in the file" for key in own if key in needed]
    for key, value in named.items():
        if key not in own:
            misfits.append(f"{key} is not in the network")
        elif value.shape != own[key].shape:
            shapes = f"{tuple(value.shape)} in the file, {tuple(own[key].shape)} in the network"
            misfits.append(f"{key} is {shapes}")
        elif value.is_floating_point() != own[key].is_floating_point():
            misfits.append(f"{key} is {value.dtype} in the file, {own[key].dtype} in the network")
    if not misfits:
        return
    more = f"; and {len(misfits) - NUM_NAMED} more" if len(misfits) > NUM_NAMED else ""
    raise CheckpointInvalid(
        f"{path} is of another architecture: {'; '.join(misfits[:NUM_NAMED])}{more}. Set "
        "backbone.name, backbone.channels, backbone.head and backbone.dimension to those it was "
        f"made with{_advice(named)}"
    )


def _advice(named: Mapping[str, Tensor]) -> str:
    """The published IResNet that has as many blocks as the file, if there is one."""
    blocks = [
        {key.split(".")[2] for key in named if key.startswith(f"body.layer{stage}.")}
        for stage in (1, 2, 3, 4)
    ]
    layers = tuple(len(numbers) for numbers in blocks)
    is_iresnet = "body.layer1.0.prelu.weight" in named
    names = [name for name in LAYERS if is_iresnet and LAYERS[name] == layers]
    return f"; its blocks are those of {names[0]}" if names else ""
