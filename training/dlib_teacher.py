"""dlib's face network as a teacher, on chips made the way its author made them.

Shape legend: B batch, T numbers of the descriptor, H, W, C as everywhere.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from embedding.align import ARCFACE_TEMPLATE
from embedding.errors import DataInvalid
from training.dlib_resnet import CHIP_PX, DlibResNet, read_dlib_file

PACKAGE = "face_recognition_models"
FILE = "models/dlib_face_recognition_resnet_model_v1.dat"
# Where the network expects the eyes in its chip; found once on LFW crops by the team.
EYES = ((47.7, 47.1), (100.3, 47.1))
CHUNK = 64


def dlib_file() -> Path:
    """The weights of dlib's face network in the installed package; its code is not imported.

    Raises:
        DataInvalid: the package is missing.
    """
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    file = Path(folders[0]) / FILE if folders else None
    if file is None or not file.is_file():
        raise DataInvalid(
            f"dlib's face network is in the package {PACKAGE}, which is not installed here: "
            f"pip install --no-deps {PACKAGE}"
        )
    return file


def dlib_teacher(file: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """A function from crops (B, 112, 112, 3) to descriptors (B, 128) of no fixed length.

    The descriptor of a crop is the mean of its own and its mirror image's. Its author gives
    99.38 % on LFW for the network.

    Raises:
        CheckpointInvalid: not dlib's file, or a cut one.
    """
    state, last_TC = read_dlib_file(file)
    network = DlibResNet().eval()
    network.load_state_dict(state)

    @torch.inference_mode()
    def embed(crops_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(crops_BHWC), CHUNK):
            chips = np.stack([chip_of_crop(crop) for crop in crops_BHWC[start : start + CHUNK]])
            chips_BCHW = (torch.from_numpy(chips).float().permute(0, 3, 1, 2) - 127.5) / 127.5
            maps = [network.map_of_chips(one) for one in (chips_BCHW, chips_BCHW.flip(-1))]
            means_BC = torch.stack([one.mean(dim=(2, 3)) for one in maps]).mean(dim=0)
            parts.append((means_BC @ last_TC.T).numpy())
        return np.concatenate(parts)

    return embed


def chip_of_crop(crop_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An ArcFace crop moved into dlib's frame by one fixed similarity: (150, 150, 3)."""
    source = [complex(*point) for point in ARCFACE_TEMPLATE[:2].tolist()]
    target = [complex(*point) for point in EYES]
    inverse = (source[1] - source[0]) / (target[1] - target[0])
    shift = source[0] - inverse * target[0]
    coefficients = (
        inverse.real,
        -inverse.imag,
        shift.real,
        inverse.imag,
        inverse.real,
        shift.imag,
    )
    chip = Image.fromarray(crop_HWC).transform(
        (CHIP_PX, CHIP_PX),
        Image.Transform.AFFINE,
        coefficients,
        resample=Image.Resampling.BICUBIC,
    )
    return np.asarray(chip)
