"""Tiny foreign networks, exported as others do, and people made of noise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tests.training.conftest import write_identities
from training.importing.importer import Imported, import_model

Pixels = NDArray[np.uint8]
CAFFE_MEAN, CAFFE_STD = (104.0, 117.0, 123.0), (57.0, 58.0, 59.0)


class TinyFace(nn.Module):
    """512 numbers from 14 x 14 patches of a crop, NCHW."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv2d(3, 4, 8, stride=8)
        self.linear = nn.Linear(4 * 14 * 14, 512)

    def forward(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        """(B, 512)."""
        features = torch.relu(self.conv(images_BCHW))
        embeddings: torch.Tensor = self.linear(features.flatten(1))
        return embeddings


class AwkwardFace(TinyFace):
    """From NHWC, with fixed sizes inside, an embedding of four axes and a second output."""

    def forward(self, images_BHWC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        """(1, 512, 1, 1) and (1, 3)."""
        images_BCHW = images_BHWC.permute(0, 3, 1, 2)
        large = nn.functional.interpolate(images_BCHW, (120, 120), mode="bilinear")
        embeddings = super().forward(large[..., :112, 4:116])
        unit = nn.functional.normalize(embeddings) * 20
        return unit.reshape(1, 512, 1, 1), torch.sigmoid(embeddings.reshape(1, 8, -1)[:, :3, 0])


class FoldedFace(nn.Module):
    """Sees who it is in one channel, and only if values below the mean come as it expects.

    Dark and bright halves of the pattern fit onto each other when 205 grey levels are added to
    what is below zero.
    """

    def __init__(self, *, channel: int, mean: float, std: float) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.channel, self.fold, self.centre = channel, 205 / std, (230 - mean) / std
        self.pool = nn.AvgPool2d(8)
        self.linear = nn.Linear(14 * 14, 512)

    def forward(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        """(B, 512)."""
        shades = images_BCHW[:, self.channel]
        folded = torch.where(shades < 0, shades + self.fold, shades) - self.centre
        embeddings: torch.Tensor = self.linear(self.pool(folded).flatten(1))
        return embeddings


def save(
    network: nn.Module, file: Path, *, shape: Sequence[int], outputs: Sequence[str] = ("683",)
) -> Path:
    """Exports as others do, with names of theirs; a batch of 2 or more is dynamic."""
    dynamic = ({0: torch.export.Dim("n", min=1, max=64)},) if shape[0] > 1 else None
    torch.onnx.export(
        network.eval(),
        (torch.zeros(*shape),),
        str(file),
        input_names=["input.1"],
        output_names=list(outputs),
        dynamic_shapes=dynamic,
        opset_version=18,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return file


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TinyFace with a dynamic batch, for RGB, 127.5 and 127.5."""
    return save(TinyFace(), tmp_path_factory.mktemp("tiny") / "tiny.onnx", shape=(2, 3, 112, 112))


@pytest.fixture(scope="session")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AwkwardFace for a batch of exactly one."""
    file = tmp_path_factory.mktemp("awkward") / "awkward.onnx"
    return save(AwkwardFace(), file, shape=(1, 112, 112, 3), outputs=("embedding", "pose"))


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven people of three images."""
    folder = tmp_path_factory.mktemp("people")
    return write_identities(folder, num_identities=11, num_images=3)


@pytest.fixture(scope="session")
def crops() -> Pixels:
    """Eight crops of noise."""
    return np.random.default_rng(5).integers(0, 256, (8, 112, 112, 3), dtype=np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Importing:
    """An import with the options that most tests share."""

    data: Path
    out: Path

    def __call__(self, file: Path, **options: Any) -> Imported:
        """What `import_model` makes of a file."""
        known = {"color": "RGB", "mean": (127.5,) * 3, "std": (127.5,) * 3}
        return import_model(
            file, self.out, **{"data": self.data, "licence": "mine", **known, **options}
        )


@pytest.fixture
def importing(people: Path, tmp_path: Path) -> Importing:
    """Imports into a new folder, with the preprocessing given unless a test says otherwise."""
    return Importing(data=people, out=tmp_path / "model")


@pytest.fixture
def changed(tiny: Path, tmp_path: Path) -> Callable[[Callable[[onnx.ModelProto], object]], Path]:
    """Writes the tiny network after a change to its graph."""

    def write(change: Callable[[onnx.ModelProto], object]) -> Path:
        model = onnx.load(tiny)
        change(model)
        file = tmp_path / "changed.onnx"
        file.write_bytes(model.SerializeToString())
        return file

    return write


def own_embeddings(
    network: Callable[[torch.Tensor], torch.Tensor],
    crops_BHWC: Pixels,
    prepare: Callable[[Pixels], NDArray[Any]],
) -> NDArray[np.float32]:
    """Unit embeddings of the torch network on its own preprocessing, with the mirror image."""
    total = torch.zeros(1, 512)
    for view in (crops_BHWC, crops_BHWC[:, :, ::-1]):
        images = torch.from_numpy(np.ascontiguousarray(prepare(view), np.float32))
        with torch.inference_mode():
            total = total + network(images)
    return nn.functional.normalize(total).numpy()


def set_weight(model: onnx.ModelProto, name: str, change: Callable[..., object]) -> None:
    """Replaces one weight of a graph."""
    (weight,) = (one for one in model.graph.initializer if one.name == name)
    values = change(numpy_helper.to_array(weight))
    weight.CopyFrom(numpy_helper.from_array(np.asarray(values, np.float32), name))


def least_cosine(one_BD: NDArray[np.float32], other_BD: NDArray[np.float32]) -> float:
    """Of any row with its own."""
    return float((one_BD * other_BD).sum(axis=1).min())


def with_input_of(kind: int) -> Callable[[onnx.ModelProto], None]:
    """A change that makes the network take another type and cast it itself."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.elem_type = kind
        model.graph.input[0].name = "pixels"
        cast = helper.make_node("Cast", ["pixels"], ["input.1"], to=TensorProto.FLOAT)
        nodes = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend([cast, *nodes])

    return change
