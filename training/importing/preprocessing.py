"""What a foreign network wants done to a crop before it sees it.

Shape legend: B images, H, W height and width, C colours.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid

Color = Literal["RGB", "BGR"]
Channels = tuple[float, float, float]

# What the service feeds to every network; see `embedding.model.InputSpec`.
SERVED_MEAN = SERVED_STD = 127.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """(v - mean) / std of the channels in some order, v from 0 to 255.

    Attributes:
        color: order of the channels that the network takes.
        mean: subtracted, one number a channel, in the order of `color`.
        std: what the difference is divided by, in the order of `color`.
    """

    color: Color
    mean: Channels
    std: Channels

    def __str__(self) -> str:
        return f"{self.color}, mean {_text(self.mean)}, std {_text(self.std)}"

    @property
    def scale(self) -> NDArray[np.float64]:
        """(3,) factor from what the service feeds to what the network takes."""
        return np.asarray(SERVED_STD / np.array(self.std), np.float64)

    @property
    def offset(self) -> NDArray[np.float64]:
        """(3,) what is added afterwards."""
        offset = (SERVED_MEAN - np.array(self.mean)) / np.array(self.std)
        return np.asarray(offset, np.float64)

    def images(
        self, crops_BHWC: NDArray[np.uint8], *, after: "Preprocessing"
    ) -> NDArray[np.float32]:
        """What to feed to a network wrapped with `after` (RGB), so that it sees this one's result.

        So one loaded network tries many preprocessings.

        Args:
            crops_BHWC: uint8 RGB.
            after: what the wrapped network does to its input itself.

        Returns:
            (B, 3, H, W) float32.
        """
        ordered_BHWC = crops_BHWC if self.color == "RGB" else crops_BHWC[..., ::-1]
        wanted = (ordered_BHWC - np.array(self.mean)) / np.array(self.std)
        images_BHWC = (wanted - after.offset) / after.scale
        return np.ascontiguousarray(images_BHWC.transpose(0, 3, 1, 2), np.float32)


SERVED = Preprocessing(color="RGB", mean=(SERVED_MEAN,) * 3, std=(SERVED_STD,) * 3)
PIXELS = Preprocessing(color="RGB", mean=(0.0,) * 3, std=(1.0,) * 3)


def channels(text: str, *, option: str) -> Channels:
    """One number or three as three.

    Args:
        text: such as ``127.5`` or ``123.675,116.28,103.53``.
        option: where it came from, for the message.

    Raises:
        DataInvalid: not one or three finite numbers.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(math.isfinite(number) for number in numbers):
        raise DataInvalid(
            f"{option} is {text!r}; give one number or three with commas between, in the order of "
            "the network's channels, on the scale of 0 to 255"
        )
    first, second, third = numbers * (3 // len(numbers))
    return (first, second, third)


def check_numbers(mean: Channels, std: Channels) -> None:
    """Passes if a mean and a standard deviation are on the scale of 0 to 255.

    Raises:
        DataInvalid: a standard deviation that is not positive or below 1: written for values
            from 0 to 1.
    """
    if min(std) < 1.0:
        raise DataInvalid(
            f"--mean {_text(mean)} --std {_text(std)}: a standard deviation is at least 1, on the "
            "scale of 0 to 255; multiply numbers meant for values from 0 to 1 by 255 (0.5 is "
            "127.5; for v / 255 give --mean 0 --std 255)"
        )


def _text(numbers: Channels) -> str:
    kept = numbers[:1] if len(set(numbers)) == 1 else numbers
    return ",".join(f"{number:g}" for number in kept)
