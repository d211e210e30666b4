"""Small nets described as data, so that ``runtime.py`` alone knows the inference library.

Arrays come in the layout in which Keras stores them: kernels (H, W, in, out), dense weights
(in, out).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv:
    """Convolution without padding, stride 1.

    Attributes:
        kernel: float32 (H, W, in, out).
        bias: float32 (out,).
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PRelu:
    """x where x > 0, slope * x elsewhere; one slope a channel, float32 (channels,)."""

    slope: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool:
    """Maximum over square windows, stride 2; ``ceil`` keeps the cut-off window at the end."""

    size: int
    ceil: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenWHC:
    """(B, C, H, W) -> (B, W * H * C): columns outermost, as the Matlab original had it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense:
    """x @ weights + bias.

    Attributes:
        weights: float32 (in, out).
        bias: float32 (out,).
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax:
    """Softmax over the channels."""


Layer = Conv | PRelu | MaxPool | FlattenWHC | Dense | Softmax


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetPlan:
    """A net with one uint8 input (B, H, W, 3) and one output a head.

    Attributes:
        side_px: height and width of the input, None when they may be of any size.
        mean: subtracted from the input.
        std: what the difference is divided by.
        trunk: layers that all heads share.
        heads: layers of each output; a convolutional output stays (B, C, H, W).
    """

    side_px: int | None
    mean: float
    std: float
    trunk: tuple[Layer, ...]
    heads: tuple[tuple[Layer, ...], ...]
