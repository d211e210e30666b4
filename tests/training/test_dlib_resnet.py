"""dlib's face network: its file, its layers as its author has them, and our use of it."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from embedding.errors import CheckpointInvalid, DataInvalid
from training.backbone import FaceBackbone
from training.config import BackboneConfig
from training.dlib_resnet import (
    DIVISOR,
    MEAN_RGB,
    STAGES,
    STEM_CHANNELS,
    DlibResNet,
    chips_of_crops,
    read_dlib_file,
)
from training.dlib_teacher import PACKAGE, chip_of_crop, dlib_file, dlib_teacher
from training.weights import load_weights

NAME = "dlib_face_recognition_resnet_model_v1.dat"


def encoded(sizes: tuple[int, ...], numbers: NDArray[np.float32]) -> bytes:
    """A tensor as dlib stores it: version 2, four sizes, little-endian float32."""
    content = b"\x01\x02"
    for size in (*sizes, *(1,) * (4 - len(sizes))):
        length = 1 if size < 256 else 2 if size < 65_536 else 3
        content += bytes([length]) + size.to_bytes(length, "little")
    return content + numbers.astype("<f4").tobytes()


def convolutions() -> Iterator[tuple[int, int, int]]:
    """Input channels, output channels and kernel of each convolution, from the image on."""
    yield 3, STEM_CHANNELS, 7
    channels = STEM_CHANNELS
    for width, num_blocks, _ in STAGES:
        for _ in range(num_blocks):
            yield channels, width, 3
            yield width, width, 3
            channels = width


@pytest.fixture(scope="module")
def layers() -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Random weights, biases, scales and shifts of all convolutions."""
    random = torch.Generator().manual_seed(0)
    made = []
    for before, after, kernel in convolutions():
        deviation = (2.0 / (before * kernel**2)) ** 0.5
        made.append(
            (
                deviation * torch.randn(after, before, kernel, kernel, generator=random),
                0.1 * torch.randn(after, generator=random),
                0.5 + 0.5 * torch.rand(after, generator=random),
                0.1 * torch.randn(after, generator=random),
            )
        )
    return made


@pytest.fixture(scope="module")
def last() -> Tensor:
    """The last layer as dlib stores it, (256, 128)."""
    return torch.randn(256, 128, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def file(
    tmp_path_factory: pytest.TempPathFactory,
    layers: list[tuple[Tensor, Tensor, Tensor, Tensor]],
    last: Tensor,
) -> Path:
    """A file with the layout of dlib's, other values, and other things in between."""
    content = b"\x01\x01loss_metric_2\x03\n"
    for weight, bias, scale, shift in layers:
        convolution = torch.cat([weight.flatten(), bias]).numpy()
        content += b"con_4" + encoded((len(convolution),), convolution)
        content += b"affine_" + encoded((2 * len(scale),), torch.cat([scale, shift]).numpy())
    content += b"fc_2" + encoded((256, 128), last.numpy().ravel()) + b"the end"
    path = tmp_path_factory.mktemp("dlib") / NAME
    path.write_bytes(content)
    return path


def slow_map(chips_BHWC: Tensor, layers: list[tuple[Tensor, Tensor, Tensor, Tensor]]) -> Tensor:
    """The network as its author's example writes it, layer by layer, nothing folded."""
    left = iter(layers)

    def convolved(x: Tensor, *, stride: int, padding: int) -> Tensor:
        weight, bias, scale, shift = next(left)
        y = F.conv2d(x, weight, bias, stride, padding)
        return y * scale[:, None, None] + shift[:, None, None]

    x = (chips_BHWC.permute(0, 3, 1, 2) - torch.tensor(MEAN_RGB)[:, None, None]) / DIVISOR
    x = F.max_pool2d(F.relu(convolved(x, stride=2, padding=0)), 3, 2)
    for _, num_blocks, halves in STAGES:
        for number in range(num_blocks):
            down = halves and number == 0
            y = F.relu(convolved(x, stride=2 if down else 1, padding=0 if down else 1))
            y = convolved(y, stride=1, padding=1)
            if down:
                x = F.avg_pool2d(x, 2)
            sides = [max(a, b) for a, b in zip(x.shape[1:], y.shape[1:], strict=True)]
            total = torch.zeros(len(x), *sides)
            for part in (x, y):
                total[:, : part.shape[1], : part.shape[2], : part.shape[3]] += part
            x = F.relu(total)
    return x


def test_the_network_equals_its_author_s_layers(
    file: Path, layers: list[tuple[Tensor, Tensor, Tensor, Tensor]], last: Tensor
) -> None:
    """Folding the constants into the convolutions changes nothing but rounding."""
    state, last_TC = read_dlib_file(file)
    network = DlibResNet().eval()
    network.load_state_dict(state)
    chips_BHWC = torch.randint(0, 256, (2, 150, 150, 3), generator=torch.Generator()).float()
    with torch.no_grad():
        ours = network.map_of_chips((chips_BHWC.permute(0, 3, 1, 2) - 127.5) / 127.5)
        slow = slow_map(chips_BHWC, layers)
    assert ours.shape == (2, 256, 2, 2)
    torch.testing.assert_close(ours, slow, rtol=1e-3, atol=1e-4 * float(slow.abs().max()))
    torch.testing.assert_close(last_TC, last.T)


def test_a_backbone_begins_with_the_file(file: Path, last: Tensor) -> None:
    """The body is the file's, and the head keeps the angles of dlib's last layer."""
    network = FaceBackbone(BackboneConfig(name="dlib_resnet29", head="mean"))
    report = load_weights(network, file)
    assert report.num_loaded == 2 * 29 + 1
    assert all(name.startswith("head.3.") for name in report.missing)
    ours = network.state_dict()["head.2.weight"]
    assert ours.shape == (512, 256)
    assert float(ours.norm(dim=1).square().mean()) == pytest.approx(1.0, rel=1e-4)
    means = torch.rand(8, 256)
    expected, found = F.normalize(means @ last), F.normalize(means @ ours.T)
    torch.testing.assert_close(found @ found.T, expected @ expected.T, rtol=1e-4, atol=1e-4)


def test_another_head_keeps_its_own_values(file: Path) -> None:
    """Only the body comes from the file where the head is another one."""
    network = FaceBackbone(BackboneConfig(name="dlib_resnet29", head="e"))
    before = network.state_dict()["head.2.weight"].clone()
    load_weights(network, file)
    torch.testing.assert_close(network.state_dict()["head.2.weight"], before)


def test_another_body_refuses_the_file(file: Path) -> None:
    """The message names the backbone that fits."""
    network = FaceBackbone(BackboneConfig(name="mobilefacenet"))
    with pytest.raises(CheckpointInvalid, match="dlib_resnet29"):
        load_weights(network, file)


@pytest.mark.parametrize("keep", [0, 100, 5000, 1_000_000])
def test_a_cut_file_is_refused(file: Path, tmp_path: Path, keep: int) -> None:
    """Whatever is missing, the message says which file to take."""
    cut = tmp_path / NAME
    cut.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointInvalid, match="face_recognition_models"):
        read_dlib_file(cut)


def test_numbers_that_are_none_are_refused(file: Path, tmp_path: Path) -> None:
    """NaN in the first convolution."""
    content = bytearray(file.read_bytes())
    place = content.find(b"con_4") + 60
    content[place : place + 8] = b"\xff" * 8
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(CheckpointInvalid, match="NaN"):
        read_dlib_file(tmp_path / NAME)


def test_a_chip_shows_the_crop_where_dlib_wants_it() -> None:
    """The chip made in the network and the one made by a similarity transform nearly agree."""
    ramp = np.linspace(0, 255, 112)
    crop_HWC = np.stack([*np.meshgrid(ramp, ramp), np.full((112, 112), 90.0)], axis=2)
    crop_HWC = crop_HWC.astype(np.uint8)
    crops_BCHW = (torch.from_numpy(crop_HWC).float().permute(2, 0, 1)[None] - 127.5) / 127.5
    inside_HWC = chips_of_crops(crops_BCHW)[0].permute(1, 2, 0).numpy()[:130] * 127.5 + 127.5
    exact_HWC = chip_of_crop(crop_HWC)[:130].astype(np.float32)
    assert np.abs(inside_HWC - exact_HWC).max() < 4  # 2.3 values are a pixel of the ramp


def test_a_teacher_takes_the_mean_of_both_sides(file: Path) -> None:
    """A crop and its mirror image have one descriptor, of 128 numbers."""
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3)).astype(np.uint8)
    teacher = dlib_teacher(file)
    vectors = teacher(crops)
    assert vectors.shape == (3, 128)
    # The eyes of the template are not quite symmetrical, so neither is the chip.
    ours, mirrored = (
        v / np.linalg.norm(v, axis=1, keepdims=True)
        for v in (vectors, teacher(np.ascontiguousarray(crops[:, :, ::-1])))
    )
    assert (ours * mirrored).sum(axis=1).min() > 0.99


def test_a_missing_package_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to install it."""
    monkeypatch.setattr("training.dlib_teacher.PACKAGE", "no_such_package")
    with pytest.raises(DataInvalid, match="pip install --no-deps no_such_package"):
        dlib_file()


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason=f"the package {PACKAGE} is missing")
def test_the_real_file_can_be_read() -> None:
    """All its tensors are where they should be."""
    state, last_TC = read_dlib_file(dlib_file())
    assert state["stem.weight"].shape == (32, 3, 7, 7)
    assert last_TC.shape == (128, 256)
