"""dlib's face network (Davis King, 2017, public domain) as a body that can be fine-tuned.

29 convolutions and 5.6 million numbers, trained by its author on about three million faces. Its
layers are those of dlib's example ``dnn_face_recognition_ex``; its normalisation layers hold
constants and are folded into the convolutions. It sees a 150-px chip, which `DlibResNet` makes
out of the ArcFace crop.

Shape legend: B batch, C channels, H, W map size.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from embedding.errors import CheckpointInvalid

STEM_CHANNELS = 32
# Output channels, number of blocks, whether the first of them halves the map.
STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
OUTPUT_CHANNELS = STAGES[-1][0]
DESCRIPTOR_LENGTH = 128  # numbers that dlib's last layer gives

# The author's mean colour and divisor, for values in [0, 255].
MEAN_RGB = (122.782, 117.001, 104.298)
DIVISOR = 256.0

# The chip is the crop's square of 100 px with this corner, enlarged to 150 px: the eyes lie
# where dlib's own alignment has them, within a pixel. The square hangs over the crop's lower
# edge by 8 px, which are black.
CHIP_PX, SQUARE_PX, LEFT_PX, TOP_PX, CROP_PX = 150, 100, 7, 20, 112


class DlibBlock(nn.Module):
    """Two 3x3 convolutions beside the input, which is pooled where the map is halved.

    The two ways may end in maps of different size, and the second has no more channels than the
    input: as in dlib, the smaller one is filled up with zeros.
    """

    def __init__(self, in_channels: int, out_channels: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        stride, padding = (2, 0) if halves else (1, 1)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1)

    def forward(self, map_BCHW: Tensor) -> Tensor:
        """The next map."""
        inner_BCHW: Tensor = self.conv2(F.relu(self.conv1(map_BCHW)))
        if not self.halves:
            return F.relu(map_BCHW + inner_BCHW)
        outer_BCHW = F.avg_pool2d(map_BCHW, 2)
        side = max(int(outer_BCHW.shape[2]), int(inner_BCHW.shape[2]))
        channels = inner_BCHW.shape[1]
        return F.relu(_filled(outer_BCHW, channels, side) + _filled(inner_BCHW, channels, side))


def _filled(map_BCHW: Tensor, channels: int, side: int) -> Tensor:
    """The map with zeros after it, up to so many channels and to side x side."""
    missing_C, missing_px = channels - map_BCHW.shape[1], side - map_BCHW.shape[2]
    return F.pad(map_BCHW, (0, missing_px, 0, missing_px, 0, missing_C))


class DlibResNet(nn.Module):
    """Crops (B, 3, 112, 112) in [-1, 1] to a map (B, 256, 2, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 7, 2)
        blocks: list[nn.Module] = []
        channels = STEM_CHANNELS
        for width, num_blocks, halves in STAGES:
            for number in range(num_blocks):
                blocks.append(DlibBlock(channels, width, halves=halves and number == 0))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, crops_BCHW: Tensor) -> Tensor:
        """The map (B, 256, 2, 2) of normalised crops."""
        return self.map_of_chips(chips_of_crops(crops_BCHW))

    def map_of_chips(self, chips_BCHW: Tensor) -> Tensor:
        """The same for chips (B, 3, 150, 150) in [-1, 1]."""
        pooled_BCHW = F.max_pool2d(F.relu(self.stem(chips_BCHW)), 3, 2)
        map_BCHW: Tensor = self.blocks(pooled_BCHW)
        return map_BCHW


def chips_of_crops(crops_BCHW: Tensor) -> Tensor:
    """(B, 3, 150, 150) chips of ArcFace crops, both in [-1, 1]."""
    below_px = TOP_PX + SQUARE_PX - CROP_PX
    padded_BCHW = F.pad(crops_BCHW, (0, 0, 0, below_px), value=-1.0)
    square_BCHW = padded_BCHW[:, :, TOP_PX:, LEFT_PX : LEFT_PX + SQUARE_PX]
    return F.interpolate(
        square_BCHW, size=(CHIP_PX, CHIP_PX), mode="bilinear", align_corners=False
    )


def read_dlib_file(file: Path) -> tuple[dict[str, Tensor], Tensor]:
    """The weights of ``dlib_face_recognition_resnet_model_v1.dat``.

    Returns:
        A state dict of `DlibResNet`, and dlib's last layer (128, 256), which turns the mean over
        the map into its descriptor.

    Raises:
        CheckpointInvalid: not that file, or a cut one.
    """
    try:
        reader = _Tensors(file.read_bytes(), file)
    except OSError as error:
        raise CheckpointInvalid(f"{file} cannot be read: {error.strerror}") from error
    state: dict[str, Tensor] = {}
    for name, module in DlibResNet().named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        weight, bias = _split(reader.take(module.weight.numel() + module.out_channels), module)
        scale, shift = reader.take(2 * module.out_channels).view(2, -1)
        state[f"{name}.weight"] = weight * scale.view(-1, 1, 1, 1)
        state[f"{name}.bias"] = bias * scale + shift
    last = reader.take(OUTPUT_CHANNELS, DESCRIPTOR_LENGTH).view(OUTPUT_CHANNELS, -1).T
    return _for_unit_range(state), last.contiguous()


def _split(numbers: Tensor, module: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """A convolution's weights and, behind them, its biases."""
    num_weights = module.weight.numel()
    return numbers[:num_weights].view_as(module.weight), numbers[num_weights:]


def _for_unit_range(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights for values in [-1, 1] instead of (v - mean) / 256.

    The first convolution has no padding, so it takes in the change exactly.
    """
    weight = state["stem.weight"]
    offset_C = (127.5 - torch.tensor(MEAN_RGB)) / DIVISOR
    shift = (weight * offset_C.view(1, 3, 1, 1)).sum(dim=(1, 2, 3))
    return {
        **state,
        "stem.weight": weight * (127.5 / DIVISOR),
        "stem.bias": state["stem.bias"] + shift,
    }


class _Tensors:
    """The tensors of a dlib file in their order.

    Each begins with a version and four sizes, as integers of variable length, and goes on with
    the numbers as little-endian float32. What lies between them is not needed.
    """

    def __init__(self, content: bytes, file: Path) -> None:
        self._content, self._file, self._position = content, file, 0

    def take(self, *sizes: int) -> Tensor:
        """The numbers of the next tensor of these sizes, in one row."""
        header = b"\x01\x02" + b"".join(
            _integer(size) for size in (*sizes, *(1,) * (4 - len(sizes)))
        )
        found = self._content.find(header, self._position)
        start = found + len(header)
        end = start + 4 * int(np.prod(sizes))
        if found < 0 or end > len(self._content):
            raise CheckpointInvalid(
                f"{self._file} is not dlib's face network, or was cut: no tensor of {sizes} "
                "numbers; take dlib_face_recognition_resnet_model_v1.dat from the package "
                "face_recognition_models"
            )
        self._position = end
        numbers: NDArray[np.float32] = np.frombuffer(self._content[start:end], "<f4").astype(
            np.float32
        )
        if not np.isfinite(numbers).all():
            raise CheckpointInvalid(f"{self._file} holds NaN or infinity; fetch it again")
        return torch.from_numpy(numbers)


def _integer(value: int) -> bytes:
    """A positive integer as dlib writes it: the number of bytes, then the bytes, lowest first."""
    length = (value.bit_length() + 7) // 8
    return bytes([length]) + value.to_bytes(length, "little")
