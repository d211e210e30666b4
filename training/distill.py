"""Learning from a stronger network's embeddings of the same training images.

The teacher is the dlib network of the package `face_recognition_models` (128-d, LFW 99.38 % by
its author, public domain). Its vectors are made once, from the clean crops; the student sees
augmented ones. Shape legend: B batch, D student dimension, T teacher dimension.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from embedding.align import ARCFACE_TEMPLATE
from embedding.errors import DataInvalid
from training.data import load_crops, scan_identities

logger = logging.getLogger(__name__)

TEACHER_PX = 150
# Where the teacher expects the eyes in its 150-px chip; found once on LFW crops by the team.
TEACHER_EYES = ((47.7, 47.1), (100.3, 47.1))
CHUNK = 32


def teacher_targets(file: Path, paths: tuple[Path, ...], folder: Path) -> Tensor:
    """The teacher's directions for some images: centred, then of unit length.

    The mean over all images is taken off first: the teacher compares by Euclidean distance and
    its vectors share a large common part that cosines would drown in.

    Args:
        file: written by `write_teacher`.
        paths: images, in the order of the rows that are wanted.
        folder: what the names in the file are relative to.

    Returns:
        (B, T) float32.

    Raises:
        DataInvalid: an image that the teacher has not seen.
    """
    with np.load(file, allow_pickle=False) as stored:
        names, vectors_BT = stored["names"], stored["vectors"]
    rows = {str(name): row for row, name in enumerate(names)}
    wanted = [path.relative_to(folder).as_posix() for path in paths]
    missing = [name for name in wanted if name not in rows]
    if missing:
        raise DataInvalid(
            f"the teacher file {file} lacks {len(missing)} images, the first is {missing[0]}; "
            "make it again with: python -m training teacher"
        )
    centred_BT = vectors_BT - vectors_BT.mean(axis=0)
    return F.normalize(torch.from_numpy(centred_BT[[rows[name] for name in wanted]]))


class Distillation(nn.Module):
    """Two losses that pull a student towards a teacher of another dimension.

    The projection is used in training only and is not exported.
    """

    def __init__(self, dimension: int, teacher_dimension: int) -> None:
        super().__init__()
        self.projection = nn.Linear(dimension, teacher_dimension, bias=False)

    def forward(self, embeddings_BD: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
        """The direction loss and the relation loss, each a scalar.

        Direction: 1 - cos(P x, t), mean over the batch. Relation (after relational knowledge
        distillation, arXiv 1904.05068): for each sample the sum over the others of the squared
        difference between the student's and the teacher's cosine, mean over the batch.
        """
        with torch.autocast(embeddings_BD.device.type, enabled=False):
            unit_BD = F.normalize(embeddings_BD.float())
            projected_BT = F.normalize(self.projection(unit_BD))
            direction = (1.0 - (projected_BT * targets_BT).sum(dim=1)).mean()
            gap_BB = unit_BD @ unit_BD.T - targets_BT @ targets_BT.T
            relation = gap_BB.square().sum() / len(unit_BD)
        return direction, relation


def write_teacher(folder: Path, file: Path, *, num_processes: int) -> int:
    """Embeds every crop of an identity folder with the teacher and stores the vectors.

    Returns:
        The number of images.

    Raises:
        DataInvalid: the teacher's packages are missing.
    """
    paths = tuple(path for one in scan_identities(folder) for path in one.paths)
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    vectors = list(_embed_all(chunks, num_processes))
    names = np.array([path.relative_to(folder).as_posix() for path in paths])
    np.savez(file, names=names, vectors=np.concatenate(vectors))
    return len(paths)


def _embed_all(
    chunks: list[tuple[Path, ...]], num_processes: int
) -> Iterator[NDArray[np.float32]]:
    with ProcessPoolExecutor(num_processes) as pool:
        yield from tqdm(pool.map(_embed_chunk, chunks), total=len(chunks), unit="chunk")


def _embed_chunk(paths: tuple[Path, ...]) -> NDArray[np.float32]:
    """(B, 128) float32 raw vectors of the teacher for crops of 112 px."""
    try:
        import dlib
        import face_recognition_models
    except ImportError as error:
        raise DataInvalid(
            "the teacher needs these packages: "
            "pip install dlib-bin face_recognition_models 'setuptools<80'"
        ) from error
    if not hasattr(_embed_chunk, "network"):
        location = face_recognition_models.face_recognition_model_location()
        _embed_chunk.network = dlib.face_recognition_model_v1(location)  # type: ignore[attr-defined]
    chips = [teacher_chip(crop) for crop in load_crops(paths)]
    vectors = _embed_chunk.network.compute_face_descriptor(chips)  # type: ignore[attr-defined]
    return np.array(vectors, np.float32)


def teacher_chip(crop_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An ArcFace crop moved into the teacher's frame by one fixed similarity: (150, 150, 3)."""
    source = [complex(*point) for point in ARCFACE_TEMPLATE[:2].tolist()]
    target = [complex(*point) for point in TEACHER_EYES]
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
        (TEACHER_PX, TEACHER_PX),
        Image.Transform.AFFINE,
        coefficients,
        resample=Image.Resampling.BICUBIC,
    )
    return np.asarray(chip)
