"""Learning from a stronger network: any function from crops to vectors.

A teacher either embeds the clean crops once (``python -m training teacher`` writes a file), or
every batch as it is augmented (an ONNX file, or a callable given to `Trainer`). Shape legend:
B batch, H, W height and width, C colours, D student dimension, T teacher dimension.
"""

import logging
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from embedding.align import CROP_SIZE_PX
from embedding.errors import DataInvalid, ModelInvalid
from embedding.runtime import OnnxRuntimeNet
from training.data.opening import open_store
from training.data.split import select_all
from training.dlib_teacher import dlib_file, dlib_teacher

# (B, 112, 112, 3) RGB uint8 -> (B, T) float32, of any length.
Teacher = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

logger = logging.getLogger(__name__)

CHUNK = 64

# What NumPy raises for files that are no archives of arrays, or damaged ones.
_UNREADABLE = (OSError, EOFError, TypeError, ValueError, LookupError, BadZipFile, zlib.error)


def teacher_targets(file: Path, keys: Sequence[str], *, max_missing: int = 0) -> Tensor:
    """A teacher's directions for some images, of unit length.

    If the file says that its teacher compares by Euclidean distance, the mean over all images is
    taken off first: such vectors share a large common part that cosines would drown in.

    Args:
        file: written by `write_teacher`.
        keys: names of images in their store, in the order of the rows that are wanted.
        max_missing: how many of them the teacher need not have seen, since it could not read
            them either; their rows are zero.

    Returns:
        (B, T) float32.

    Raises:
        DataInvalid: not such a file, or too many images that the teacher has not seen.
    """
    names, vectors_BT, is_centred = _read_teacher(file)
    rows = {str(name): row for row, name in enumerate(names)}
    missing = [key for key in keys if key not in rows]
    if len(missing) > max_missing:
        raise DataInvalid(
            f"the teacher file {file} lacks {len(missing)} images, the first is {missing[0]}; "
            "make it again with: python -m training teacher"
        )
    if is_centred:
        vectors_BT = vectors_BT - vectors_BT.mean(axis=0)
    targets_BT = torch.zeros(len(keys), vectors_BT.shape[1])
    known = [place for place, key in enumerate(keys) if key in rows]
    wanted = vectors_BT[[rows[keys[place]] for place in known]]
    targets_BT[known] = F.normalize(torch.from_numpy(wanted))
    return targets_BT


def _read_teacher(file: Path) -> tuple[NDArray[np.str_], NDArray[np.float32], bool]:
    """Names, (B, T) vectors, and whether they are to be centred."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            names, vectors_BT = stored["names"], stored["vectors"].astype(np.float32)
            is_centred = bool(stored["is_centred"])
        if names.ndim != 1 or vectors_BT.ndim != 2 or len(names) != len(vectors_BT):
            raise ValueError(f"{names.shape} names for {vectors_BT.shape} vectors")
    except _UNREADABLE as error:
        raise DataInvalid(
            f"{file} cannot be read as a teacher file ({error}); make it with: "
            "python -m training teacher"
        ) from error
    return names, vectors_BT, is_centred


class Distillation(nn.Module):
    """Two losses that pull a student towards a teacher.

    Where the dimensions differ, a linear projection comes between them for the direction loss. It
    is used in training only and is not exported.
    """

    def __init__(self, dimension: int, teacher_dimension: int) -> None:
        super().__init__()
        self.projection: nn.Module = nn.Identity()
        if dimension != teacher_dimension:
            self.projection = nn.Linear(dimension, teacher_dimension, bias=False)

    def forward(self, embeddings_BD: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
        """The direction loss and the relation loss, each a scalar.

        Direction: 1 - cos(P x, t), mean over the batch. Relation (after relational knowledge
        distillation, arXiv 1904.05068): for each sample the sum over the others of the squared
        difference between the student's and the teacher's cosine, mean over the batch.

        Args:
            embeddings_BD: raw embeddings of the student.
            targets_BT: the teacher's, of unit length.
        """
        with torch.autocast(embeddings_BD.device.type, enabled=False):
            unit_BD = F.normalize(embeddings_BD.float())
            projected_BT = F.normalize(self.projection(unit_BD))
            direction = (1.0 - (projected_BT * targets_BT).sum(dim=1)).mean()
            gap_BB = unit_BD @ unit_BD.T - targets_BT @ targets_BT.T
            relation = gap_BB.square().sum() / len(unit_BD)
        return direction, relation


def onnx_teacher(file: Path) -> Teacher:
    """An ONNX model as a teacher: (B, 3, 112, 112) RGB, (v - 127.5) / 127.5, in; (B, T) out.

    Raises:
        DataInvalid: no such file, or a model of another form.
    """
    try:
        net = OnnxRuntimeNet(file.read_bytes())
    except (OSError, ModelInvalid) as error:
        raise DataInvalid(f"{file} cannot be used as a teacher: {error}") from error
    shapes = net.input_shapes
    wanted = (None, 3, CROP_SIZE_PX, CROP_SIZE_PX)
    fits = len(shapes) == 1 and len(shapes[0]) == 4
    if not fits or any(
        found not in (one, None) for found, one in zip(shapes[0], wanted, strict=True)
    ):
        raise DataInvalid(f"{file} wants inputs {shapes}; a teacher takes (B, 3, 112, 112)")
    if len(net.output_shapes[0]) != 2:
        raise DataInvalid(f"{file} gives {net.output_shapes}; a teacher gives one vector a crop")

    def embed(crops_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        crops_BCHW = (crops_BHWC.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
        vectors_BT: NDArray[np.float32] = net.run_rows(crops_BCHW)[0]
        return vectors_BT

    return embed


def write_teacher(source: Path, file: Path, *, onnx: Path | None = None) -> int:
    """Embeds every crop of a store with a teacher and stores the vectors.

    Args:
        source: identity folders, records or tar shards.
        file: what to write, ``.npz``.
        onnx: the teacher; None is dlib's network, out of its installed package.

    Returns:
        The number of images.

    Raises:
        DataInvalid: no image that can be read, or a teacher that cannot be used.
    """
    if not file.parent.is_dir():
        raise DataInvalid(f"there is no folder {file.parent} to write the vectors to")
    teacher = dlib_teacher(dlib_file()) if onnx is None else onnx_teacher(onnx)
    selection = select_all(open_store(source)).without_unreadable()
    if not len(selection):
        raise DataInvalid(f"not one image in {source} can be read")
    num_chunks = -(-len(selection) // CHUNK)
    chunks = tqdm(selection.chunks(CHUNK), total=num_chunks, unit="chunk", disable=None)
    vectors = [teacher(chunk) for chunk in chunks]
    names = np.array([selection.key(image) for image in range(len(selection))])
    with file.open("wb") as stream:
        np.savez(
            stream,
            names=names,
            vectors=np.concatenate(vectors),
            is_centred=np.array(onnx is None),
        )
    return len(selection)
