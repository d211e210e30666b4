"""The three nets of MTCNN (Zhang et al., arXiv 1604.02878) with the weights of package mtcnn.

The package is located but never imported: importing it would pull TensorFlow. Its weights are
joblib dumps, that is pickles, of lists of arrays; they are read only if their hash is the one
that was reviewed.
"""

import hashlib
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import joblib
import numpy as np
from numpy.typing import NDArray

from embedding.errors import ModelInvalid
from embedding.layers import Conv, Dense, FlattenWHC, Layer, MaxPool, NetPlan, PRelu, Softmax

# SHA-256 of the files in mtcnn 1.0.0.
WEIGHTS_SHA256: Final = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}

# What the nets were trained with: (v - 127.5) / 128.
_MEAN: Final = 127.5
_STD: Final = 128.0


def weights_folder() -> Path:
    """Where the installed package mtcnn keeps its weights.

    Raises:
        ModelInvalid: the package is not installed.
    """
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or not spec.submodule_search_locations:
        raise ModelInvalid("the package mtcnn, which holds the detector's weights, is missing")
    return Path(spec.submodule_search_locations[0]) / "assets" / "weights"


def load_weights(name: str, *, folder: Path | None = None) -> list[NDArray[np.float32]]:
    """The arrays of "pnet", "rnet" or "onet", in Keras order and layout.

    Raises:
        ModelInvalid: the file is missing or is not the one that was reviewed.
    """
    file = (weights_folder() if folder is None else folder) / f"{name}.lz4"
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelInvalid(f"cannot read {file}: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != WEIGHTS_SHA256[name]:
        raise ModelInvalid(
            f"{file} has sha256 {found}, expected {WEIGHTS_SHA256[name]}: install mtcnn 1.0.0"
        )
    arrays: list[NDArray[np.float32]] = joblib.load(io.BytesIO(data))
    return arrays


def pnet_plan(weights: Sequence[NDArray[np.float32]]) -> NetPlan:
    """Proposals at any size: box offsets (B, 4, H, W), probabilities (B, 2, H, W)."""
    return _plan(
        None,
        trunk=(
            *_conv(weights, 0),
            MaxPool(size=2, ceil=True),
            *_conv(weights, 3),
            *_conv(weights, 6),
        ),
        heads=(
            (Conv(kernel=weights[9], bias=weights[10]),),
            (Conv(kernel=weights[11], bias=weights[12]), Softmax()),
        ),
    )


def rnet_plan(weights: Sequence[NDArray[np.float32]]) -> NetPlan:
    """Refinement of 24x24 patches: box offsets (B, 4), probabilities (B, 2)."""
    return _plan(
        24,
        trunk=(
            *_conv(weights, 0),
            MaxPool(size=3, ceil=True),
            *_conv(weights, 3),
            MaxPool(size=3, ceil=False),
            *_conv(weights, 6),
            FlattenWHC(),
            *_dense(weights, 9),
        ),
        heads=(
            (Dense(weights=weights[12], bias=weights[13]),),
            (Dense(weights=weights[14], bias=weights[15]), Softmax()),
        ),
    )


def onet_plan(weights: Sequence[NDArray[np.float32]]) -> NetPlan:
    """Output of 48x48 patches: box offsets (B, 4), landmarks (B, 10), probabilities (B, 2).

    Landmarks are five x, then five y, as shares of the patch.
    """
    return _plan(
        48,
        trunk=(
            *_conv(weights, 0),
            MaxPool(size=3, ceil=True),
            *_conv(weights, 3),
            MaxPool(size=3, ceil=False),
            *_conv(weights, 6),
            MaxPool(size=2, ceil=True),
            *_conv(weights, 9),
            FlattenWHC(),
            *_dense(weights, 12),
        ),
        heads=(
            (Dense(weights=weights[15], bias=weights[16]),),
            (Dense(weights=weights[17], bias=weights[18]),),
            (Dense(weights=weights[19], bias=weights[20]), Softmax()),
        ),
    )


def _plan(
    side_px: int | None, *, trunk: tuple[Layer, ...], heads: tuple[tuple[Layer, ...], ...]
) -> NetPlan:
    return NetPlan(side_px=side_px, mean=_MEAN, std=_STD, trunk=trunk, heads=heads)


def _conv(weights: Sequence[NDArray[np.float32]], first: int) -> tuple[Layer, Layer]:
    kernel, bias, slope = weights[first : first + 3]
    return Conv(kernel=kernel, bias=bias), PRelu(slope=slope.reshape(-1))


def _dense(weights: Sequence[NDArray[np.float32]], first: int) -> tuple[Layer, Layer]:
    kernel, bias, slope = weights[first : first + 3]
    return Dense(weights=kernel, bias=bias), PRelu(slope=slope.reshape(-1))
