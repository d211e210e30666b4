"""Which training images do not look like their own identity: the pass after sub-centre ArcFace.

With K centres a class, clean images gather around one, the dominant centre, and strays around the
others (ECCV 2020, Deng et al., section 3.3). Images far from the dominant centre are listed, and a
new run leaves them out. Shape legend: B images, D embedding dimension, K centres a class.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.checkpoint import load_class_rows, load_state
from training.config import TrainConfig
from training.data.split import Selection
from training.device import choose_device
from training.evaluate import torch_embedder
from training.export import network_of, split_of_run
from training.heads import HEADS
from training.protocols import embed_selection

logger = logging.getLogger(__name__)

MAX_ANGLE_DEG = 75.0
CHUNK = 65_536  # images whose centres are in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """An image that is far from its identity's dominant centre.

    Attributes:
        key: the store's name of the image.
        angle_deg: how far.
    """

    key: str
    angle_deg: float


def find_strays(run_folder: Path, *, max_angle_deg: float = MAX_ANGLE_DEG) -> list[Stray]:
    """The strays among a run's training images, farthest first.

    Args:
        run_folder: a finished run, best with head.num_subcentres=3.
        max_angle_deg: what is farther from the dominant centre is a stray.

    Raises:
        CheckpointInvalid: no checkpoint there, or a damaged one.
        DataInvalid: a run without centres on the sphere, or whose data is not there any more.
    """
    state = load_state(run_folder)
    config = TrainConfig.from_json(state["config"])
    kind = HEADS.get(config.head.name)
    if kind is None or not kind.unit_centres:
        raise DataInvalid(f"the head {config.head.name} has no centres on the sphere; use arcface")
    train = split_of_run(run_folder).train
    rows = load_class_rows(run_folder, 0, train.num_identities)
    readable = train.without_unreadable()
    if readable.num_identities < train.num_identities:
        raise DataInvalid("an identity has no image that can be read; mend or exclude them first")
    train = readable
    network = network_of(config, state["backbone"]).to(choose_device("auto"))
    unit_BD = embed_selection(torch_embedder(network, mirrored=False), train)
    centres_RD = F.normalize(rows["classifier.centres_RD"])
    angles_B = angles_to_dominant(
        unit_BD, train.labels_N, centres_RD, num_subcentres=config.head.num_subcentres
    )
    return _strays(train, angles_B, max_angle_deg)


def _strays(train: Selection, angles_B: NDArray[np.float64], max_angle_deg: float) -> list[Stray]:
    far = np.flatnonzero(angles_B > max_angle_deg)
    logger.info("%d of %d images are strays", len(far), len(train))
    return [
        Stray(key=train.key(int(image)), angle_deg=round(float(angles_B[image]), 1))
        for image in far[np.argsort(-angles_B[far])]
    ]


def angles_to_dominant(
    unit_BD: NDArray[np.float32],
    labels_B: NDArray[np.int64],
    centres_RD: torch.Tensor,
    *,
    num_subcentres: int,
) -> NDArray[np.float64]:
    """(B,) angle in degrees between each image and the dominant centre of its class.

    The dominant centre is the one that is nearest to most of the class's images; of several the
    first.

    Args:
        unit_BD: unit embeddings.
        labels_B: their classes.
        centres_RD: unit centres, the K of a class in neighbouring rows.
        num_subcentres: K.
    """
    labels = torch.from_numpy(labels_B)
    centres_CKD = centres_RD.view(-1, num_subcentres, centres_RD.shape[1])
    parts = [
        torch.einsum("bd,bkd->bk", some_BD, centres_CKD[some_labels])
        for some_BD, some_labels in zip(
            torch.split(torch.from_numpy(unit_BD), CHUNK), torch.split(labels, CHUNK), strict=True
        )
    ]
    cosines_BK = torch.cat(parts)
    votes_CK = torch.zeros(len(centres_CKD), num_subcentres)
    votes_CK.index_put_(
        (labels, cosines_BK.argmax(dim=1)), torch.ones(len(labels)), accumulate=True
    )
    dominant_B = votes_CK.argmax(dim=1)[labels]
    cosines_B = cosines_BK.gather(1, dominant_B[:, None])[:, 0].double().clamp(-1.0, 1.0)
    degrees_B: NDArray[np.float64] = torch.rad2deg(torch.acos(cosines_B)).numpy()
    return degrees_B
