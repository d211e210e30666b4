"""Weights from elsewhere load entirely, with the same outputs, or not at all."""

import os
import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from embedding.errors import CheckpointInvalid
from training.backbone import FaceBackbone
from training.config import BackboneConfig
from training.weights import from_arcface_torch, load_state_dict_file, load_weights

WIDTHS = (16, 16, 32, 32)
ARCFACE = BackboneConfig(name="iresnet18", channels=WIDTHS, head="e", dimension=32)
TIMM = BackboneConfig(name="resnet18", channels=WIDTHS, dimension=32)


class ReferenceBlock(nn.Module):
    """A block with the names of arcface_torch's, written apart from ours."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(n) for n in (before, width, width))
        self.conv1 = nn.Conv2d(before, width, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.prelu = nn.PReLU(width)
        if stride == 2:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """The sum of both branches."""
        inner = self.prelu(self.bn2(self.conv1(self.bn1(maps))))
        outer = self.downsample(maps) if hasattr(self, "downsample") else maps
        return torch.add(self.bn3(self.conv2(inner)), outer)


class ReferenceIResNet(nn.Module):
    """IResNet-18 as arcface_torch lays it out: a linear layer with bias, then `features`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(WIDTHS[0]), nn.PReLU(WIDTHS[0])
        for number, (before, width) in enumerate(zip((16, *WIDTHS), WIDTHS, strict=False), 1):
            blocks = (ReferenceBlock(before, width, 2), ReferenceBlock(width, width, 1))
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.bn2 = nn.BatchNorm2d(WIDTHS[3])
        self.fc = nn.Linear(WIDTHS[3] * 49, 32)
        self.features = nn.BatchNorm1d(32)

    def forward(self, crops: Tensor) -> Tensor:
        """Embeddings, not normalised."""
        maps = self.prelu(self.bn1(self.conv1(crops)))
        for number in (1, 2, 3, 4):
            maps = self.get_submodule(f"layer{number}")(maps)
        embeddings: Tensor = self.features(self.fc(self.bn2(maps).flatten(1)))
        return embeddings


@pytest.fixture(scope="module")
def reference() -> ReferenceIResNet:
    """With random statistics, scales and biases, so that nothing cancels by chance."""
    torch.manual_seed(3)
    network = ReferenceIResNet().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    nn.init.normal_(network.fc.bias)
    return network


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_an_arcface_torch_file_gives_the_same_embeddings(
    reference: ReferenceIResNet, tmp_path: Path, training: bool
) -> None:
    """The bias is folded exactly, and `features.weight` counts even where it is not 1."""
    torch.save(reference.state_dict(), tmp_path / "backbone.pth")
    network = FaceBackbone(ARCFACE)
    report = load_weights(network, tmp_path / "backbone.pth")
    crops = torch.randn(3, 3, 112, 112)
    reference.train(training)
    expected = reference(crops)
    reference.eval()
    torch.testing.assert_close(network.train(training)(crops), expected, rtol=1e-4, atol=1e-5)
    assert report.num_loaded == len(network.state_dict())
    assert (report.missing, report.left_out) == ((), ())


def test_the_frozen_scale_stays_frozen(reference: ReferenceIResNet, tmp_path: Path) -> None:
    """It is loaded as it is, and no gradient changes it afterwards."""
    torch.save(reference.state_dict(), tmp_path / "backbone.pth")
    network = FaceBackbone(ARCFACE)
    load_weights(network, tmp_path / "backbone.pth")
    scale = dict(network.named_parameters())["head.3.weight"]
    torch.testing.assert_close(scale, reference.features.weight)
    assert not scale.requires_grad


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"fc_scale": torch.ones(1)}, "'fc_scale' is no name"),
        ({"fc.bias": torch.ones(7)}, r"fc\.bias of shape \(7,\)"),
    ],
    ids=["unknown name", "bias of another length"],
)
def test_what_is_no_arcface_torch_network_is_refused(
    reference: ReferenceIResNet, changed: dict[str, Tensor], words: str
) -> None:
    """A name or shape that cannot be mapped is never dropped in silence."""
    with pytest.raises(CheckpointInvalid, match=words):
        from_arcface_torch({**reference.state_dict(), **changed})


def test_a_body_from_timm_starts_a_face_network(tmp_path: Path) -> None:
    """The body is timm's but for the 7x7 convolution that the crop's size rules out."""
    options = {"channels": WIDTHS, "stem_width": WIDTHS[0]}
    source = timm.create_model("resnet18", num_classes=10, **options)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    network = FaceBackbone(TIMM)
    report = load_weights(network, tmp_path / "model.safetensors")
    stage = network.body.get_submodule("layer4").state_dict()
    torch.testing.assert_close(stage, source.layer4.state_dict(), rtol=0, atol=0)
    assert set(report.left_out) == {"conv1.weight", "fc.weight", "fc.bias"}
    assert report.missing == (
        "body.conv1.weight",
        *(key for key in network.state_dict() if key.startswith("head.")),
    )
    assert report.num_loaded == len(source.state_dict()) - 3


@pytest.mark.parametrize("config", [ARCFACE, TIMM], ids=["iresnet", "resnet"])
def test_our_own_state_dict_comes_back(config: BackboneConfig, tmp_path: Path) -> None:
    """What a `FaceBackbone` gave, another one of the same configuration takes entirely."""
    source, network = FaceBackbone(config), FaceBackbone(config)
    torch.save(source.state_dict(), tmp_path / "network.pt")
    report = load_weights(network, tmp_path / "network.pt")
    torch.testing.assert_close(network.state_dict(), source.state_dict(), rtol=0, atol=0)
    assert (report.num_loaded, report.missing) == (len(source.state_dict()), ())


def test_a_missing_counter_of_batches_is_only_reported(tmp_path: Path) -> None:
    """Files of early torch versions have none, and nothing depends on it."""
    state = FaceBackbone(TIMM).state_dict()
    del state["body.bn1.num_batches_tracked"]
    torch.save(state, tmp_path / "network.pt")
    report = load_weights(FaceBackbone(TIMM), tmp_path / "network.pt")
    assert report.missing == ("body.bn1.num_batches_tracked",)


def changed_state(case: str) -> dict[str, Tensor]:
    """A state dict of ours with one thing wrong."""
    state = FaceBackbone(ARCFACE).state_dict()
    if case == "missing":
        del state["body.bn1.weight"]
    elif case == "shape":
        state["body.conv1.weight"] = torch.zeros(32, 3, 3, 3)
    elif case == "stem":  # only a timm file may bring another first kernel
        state["body.conv1.weight"] = torch.zeros(16, 3, 7, 7)
    elif case == "unknown":
        state["body.conv9.weight"] = torch.zeros(1)
    elif case == "integers":
        state["body.bn1.weight"] = torch.ones(16, dtype=torch.int8)
    elif case == "deeper":
        state = FaceBackbone(BackboneConfig(name="iresnet34", channels=WIDTHS)).state_dict()
    elif case == "body":
        state = {"conv1.weight": torch.zeros(16, 3, 7, 7), "fc.weight": torch.zeros(10, 32)}
    return state


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("missing", r"body\.bn1\.weight is not in the file"),
        ("shape", r"\(32, 3, 3, 3\) in the file, \(16, 3, 3, 3\) in the network"),
        ("stem", r"\(16, 3, 7, 7\) in the file"),
        ("unknown", r"body\.conv9\.weight is not in the network"),
        ("integers", r"torch\.int8 in the file"),
        ("deeper", r"more\. Set backbone\.name.*; its blocks are those of iresnet34"),
        ("body", r"body\.bn1\.weight is not in the file"),
    ],
)
def test_another_architecture_is_refused_and_nothing_changes(
    case: str, words: str, tmp_path: Path
) -> None:
    """The message names what does not fit and what to set; not one tensor is loaded."""
    torch.save(changed_state(case), tmp_path / "other.pt")
    network = FaceBackbone(ARCFACE)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(CheckpointInvalid, match=words):
        load_weights(network, tmp_path / "other.pt")
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.safetensors"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
def test_every_file_kind_gives_the_named_tensors(name: str, prefix: str, tmp_path: Path) -> None:
    """With or without the prefixes of parallel and compiled networks."""
    state = {f"{prefix}conv.weight": torch.randn(2, 3), f"{prefix}bn.bias": torch.randn(3)}
    if name.endswith("safetensors"):
        save_file(state, tmp_path / name)
    else:
        torch.save(state, tmp_path / name)
    loaded = load_state_dict_file(tmp_path / name)
    assert sorted(loaded) == ["bn.bias", "conv.weight"]
    torch.testing.assert_close(loaded["bn.bias"], state[f"{prefix}bn.bias"], rtol=0, atol=0)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state"])
def test_one_wrapper_is_taken_off(wrapper: str, tmp_path: Path) -> None:
    """What else a training checkpoint holds beside the weights is ignored."""
    torch.save({"epoch": 3, wrapper: {"bn.bias": torch.zeros(3)}}, tmp_path / "checkpoint.pt")
    assert list(load_state_dict_file(tmp_path / "checkpoint.pt")) == ["bn.bias"]


class Executes:
    """Would make a folder when a trusting reader unpickles it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("kind", ["zip", "bare"])
def test_a_pickle_that_would_execute_is_refused(kind: str, tmp_path: Path) -> None:
    """Foreign code in a file of weights is named, and never runs."""
    trap = {"state_dict": {"bn.bias": torch.zeros(3)}, "hook": Executes(tmp_path / "ran")}
    path = tmp_path / "trap.pth"
    if kind == "zip":
        torch.save(trap, path)
    else:
        path.write_bytes(pickle.dumps(trap["hook"], protocol=2))
    with pytest.raises(CheckpointInvalid, match=r"trap\.pth cannot be read as weights.*trust it"):
        load_state_dict_file(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"no weights", b"PK\x03\x04" + b"\0" * 60, b"\xff" * 9, b"\x80\x02]q."],
    ids=["empty", "zeros", "text", "zip head", "ones", "pickle"],
)
def test_damaged_bytes_are_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    """Whatever a reader makes of them, the caller gets one error with the path."""
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointInvalid, match="damaged"):
        load_state_dict_file(path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_cut_file_is_refused(suffix: str, share: float, tmp_path: Path) -> None:
    """A download that stopped half way is no network."""
    path = tmp_path / f"cut{suffix}"
    state = {"bn.bias": torch.randn(300)}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointInvalid, match="cannot be read as weights"):
        load_state_dict_file(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(3)], "holds no tensors by name"),
        ({}, "holds no tensors by name"),
        ({"bn.bias": torch.zeros(3), "epoch": 3}, "'epoch' holds a int"),
        ({"state_dict": {"model": {"bn.bias": torch.zeros(3)}}}, "'model' holds a dict"),
        ({"bn.bias": torch.zeros(3, device="meta")}, "save it as dense"),
    ],
    ids=["list", "empty", "number", "two wrappers", "no values"],
)
def test_a_file_of_something_else_is_refused(content: object, words: str, tmp_path: Path) -> None:
    """Readable, but no state dict."""
    torch.save(content, tmp_path / "else.pt")
    with pytest.raises(CheckpointInvalid, match=words):
        load_state_dict_file(tmp_path / "else.pt")


@pytest.mark.parametrize(
    ("name", "words"),
    [("none.pt", "no weights at"), ("model.onnx", r"is no \.pt, \.pth, \.bin or \.safetensors")],
)
def test_a_path_that_cannot_be_is_refused(name: str, words: str, tmp_path: Path) -> None:
    """A missing file and another kind of file say so."""
    with pytest.raises(CheckpointInvalid, match=words):
        load_state_dict_file(tmp_path / name)
