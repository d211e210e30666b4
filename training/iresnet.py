"""IResNet, the body that ArcFace was published with (arXiv 1801.07698, section 3.1).

Shape legend: B batch, C channels, H, W map size.
"""

from collections.abc import Mapping

from torch import Tensor, nn

# Blocks in each of the four stages; 100 and 200 are named after their convolutions.
LAYERS: Mapping[str, tuple[int, int, int, int]] = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
    "iresnet200": (6, 26, 60, 6),
}
WIDTHS = (64, 128, 256, 512)
INIT_STD = 0.1  # of convolutions, as in arcface_torch


class IRBlock(nn.Module):
    """BN - 3x3 convolution - BN - PReLU - strided 3x3 convolution - BN, plus the shortcut.

    Nothing follows the sum, so an identity path runs through a whole stage. The shortcut is a
    1x1 convolution and a BN where the shape changes.

    Args:
        in_channels: channels of the map that comes in.
        out_channels: channels of the map that goes out.
        stride: of the second convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.prelu = nn.PReLU(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, map_BCHW: Tensor) -> Tensor:
        """The next map, (B, out_channels, H / stride, W / stride)."""
        residual = self.prelu(self.bn2(self.conv1(self.bn1(map_BCHW))))
        residual = self.bn3(self.conv2(residual))
        shortcut = map_BCHW if self.downsample is None else self.downsample(map_BCHW)
        summed_BCHW: Tensor = residual + shortcut
        return summed_BCHW


class IResNet(nn.Module):
    """The body without its head: crops (B, 3, 112, 112) to a map (B, C, 7, 7).

    The map is that before the first BN of head ``e``. The names of the modules are those of
    arcface_torch's published state dicts, which therefore load (see `training.weights`).

    Args:
        layers: blocks of each of the four stages; `LAYERS` has the published ones.
        widths: channels of each stage; the stem has those of the first, C is the last.
    """

    def __init__(
        self,
        layers: tuple[int, int, int, int],
        *,
        widths: tuple[int, int, int, int] = WIDTHS,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.prelu = nn.PReLU(widths[0])
        self.layer1 = _stage(layers[0], widths[0], widths[0])
        self.layer2 = _stage(layers[1], widths[0], widths[1])
        self.layer3 = _stage(layers[2], widths[1], widths[2])
        self.layer4 = _stage(layers[3], widths[2], widths[3])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=INIT_STD)

    def forward(self, crops_BCHW: Tensor) -> Tensor:
        """The map (B, C, H / 16, W / 16) of normalised crops."""
        map_BCHW: Tensor = self.prelu(self.bn1(self.conv1(crops_BCHW)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            map_BCHW = stage(map_BCHW)
        return map_BCHW


def _stage(num_blocks: int, in_channels: int, out_channels: int) -> nn.Sequential:
    """Blocks of one width; the first of them halves the map."""
    rest = (IRBlock(out_channels, out_channels) for _ in range(num_blocks - 1))
    return nn.Sequential(IRBlock(in_channels, out_channels, stride=2), *rest)
