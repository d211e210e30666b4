"""The body of MobileFaceNet (arXiv 1804.07573, table 1), a million parameters for a phone.

Shape legend: B batch, C channels, H, W map size.
"""

from torch import Tensor, nn

STEM_CHANNELS = 64
# Rows of table 1: expansion t, output channels c, repeats n, stride of the first repeat s.
STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


class Bottleneck(nn.Module):
    """An inverted residual: widen 1x1, depth-wise 3x3, narrow 1x1 without a non-linearity.

    The input is added where the shape stays the same.

    Args:
        in_channels: channels of the map that comes in.
        out_channels: channels of the map that goes out.
        expansion: by which `in_channels` are multiplied in between.
        stride: of the depth-wise convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, expansion: int, stride: int
    ) -> None:
        super().__init__()
        wide = expansion * in_channels
        self.expand = _conv_bn_prelu(in_channels, wide, 1)
        self.depthwise = _conv_bn_prelu(wide, wide, 3, stride=stride, groups=wide)
        self.project = nn.Conv2d(wide, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, map_BCHW: Tensor) -> Tensor:
        """The next map, (B, out_channels, H / stride, W / stride)."""
        narrow_BCHW: Tensor = self.bn(self.project(self.depthwise(self.expand(map_BCHW))))
        return map_BCHW + narrow_BCHW if self.adds_input else narrow_BCHW


class MobileFaceNet(nn.Module):
    """The body up to the last bottleneck: crops (B, 3, 112, 112) to a map (B, 128, 7, 7).

    Head ``gdc`` of `training.backbone` is the rest of the paper's table.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = STEM_CHANNELS
        self.stem = _conv_bn_prelu(3, channels, 3, stride=2)
        self.depthwise = _conv_bn_prelu(channels, channels, 3, groups=channels)
        stages: list[nn.Module] = []
        for expansion, width, num_repeats, stride in STAGES:
            blocks = [Bottleneck(channels, width, expansion=expansion, stride=stride)]
            for _ in range(num_repeats - 1):
                blocks.append(Bottleneck(width, width, expansion=expansion, stride=1))
            stages.append(nn.Sequential(*blocks))
            channels = width
        self.blocks = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, crops_BCHW: Tensor) -> Tensor:
        """The map (B, 128, H / 16, W / 16) of normalised crops."""
        map_BCHW: Tensor = self.blocks(self.depthwise(self.stem(crops_BCHW)))
        return map_BCHW


def _conv_bn_prelu(
    in_channels: int, out_channels: int, kernel_px: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution that keeps the size of the map but for its stride, a BN and a PReLU."""
    padding = kernel_px // 2
    return nn.Sequential(
        nn.Conv2d(
            in_channels, out_channels, kernel_px, stride, padding, groups=groups, bias=False
        ),
        nn.BatchNorm2d(out_channels),
        nn.PReLU(out_channels),
    )
