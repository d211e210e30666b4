"""A checkpoint becomes a model directory: ONNX, checked, calibrated and described.

Shape legend: B images, D embedding dimension, P probes, S subjects.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from embedding.embedder import FaceEmbedder
from embedding.errors import CheckpointInvalid, DataInvalid, ExportDisagrees
from embedding.model import (
    EMBEDDING_DIMENSION,
    MODEL_FILE,
    NO_LIVENESS,
    ModelDirectory,
    write_card,
)
from embedding.runtime import EmbeddingNet, OnnxRuntimeNet
from training.backbone import FaceBackbone
from training.calibration import Calibration, calibrate
from training.checkpoint import load_state
from training.config import TrainConfig
from training.data.opening import open_store
from training.data.split import Selection, Split, split_store
from training.evaluate import torch_embedder
from training.model_folder import (
    MIN_PEOPLE,
    NORM_FLOOR_QUANTILE,
    bare_card,
    holdout_table,
    sharp_norms,
    unfinished_folder,
)
from training.model_folder import lfw_figures as lfw_figures
from training.onnx_file import onnx_bytes
from training.run_state import identities_of

logger = logging.getLogger(__name__)

MIN_AGREEMENT = 0.999
NUM_AGREEMENT_CROPS = 500


def load_network(run_folder: Path) -> tuple[nn.Module, TrainConfig]:
    """The averaged weights of a run's last checkpoint, ready to evaluate, and its configuration.

    Raises:
        CheckpointInvalid: none there, or damaged.
    """
    state = load_state(run_folder)
    config = TrainConfig.from_json(state["config"])
    return network_of(config, state["average"]), config


def split_of_run(run_folder: Path) -> Split:
    """Who trained in a run and who was held out, as its data says now.

    Held-out images that cannot be read are left out.

    Raises:
        CheckpointInvalid: no checkpoint, or the data is not what the run was trained on.
    """
    state = load_state(run_folder)
    config = TrainConfig.from_json(state["config"])
    split = split_store(open_store(config.data.source), config.data)
    if state["identities"] != identities_of(split.train.names):
        raise CheckpointInvalid(
            f"{config.data.source} no longer holds what {run_folder} was trained on "
            f"({state['identities']}, now {identities_of(split.train.names)}); people who trained "
            "could be taken for held-out ones: bring the data back as it was"
        )
    return Split(train=split.train, holdout=split.holdout.without_unreadable())


def network_of(config: TrainConfig, weights: Mapping[str, Tensor]) -> FaceBackbone:
    """The network of a configuration with given weights, ready to evaluate."""
    network = FaceBackbone(config.backbone)
    network.load_state_dict(weights)
    return network.eval()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the runtimes are from torch in float32, in the served mode.

    Attributes:
        openvino: smallest cosine between an OpenVINO and a torch embedding.
        onnxruntime: the same for ONNX Runtime.
        alone_or_batch: largest difference of any similarity between embedding crops one by one
            and all at once, on OpenVINO.
        num_crops: crops compared.
    """

    openvino: float
    onnxruntime: float
    alone_or_batch: float
    num_crops: int


def check_agreement(
    network: nn.Module, directory: ModelDirectory, crops_BHWC: NDArray[np.uint8]
) -> Agreement:
    """Compares torch, ONNX Runtime and OpenVINO on the same crops.

    Raises:
        ExportDisagrees: a cosine below 0.999, or similarities that depend on the batch.
    """
    net = EmbeddingNet(directory)
    batch_BD = net.embed(crops_BHWC).vectors
    alone_BD = np.concatenate([net.embed(crop[None]).vectors for crop in crops_BHWC])
    torch_BD = torch_embedder(network, mirrored=directory.card.mirrored)(crops_BHWC)
    other = EmbeddingNet(directory, engine=OnnxRuntimeNet(directory.read_model()))
    other_BD = other.embed(crops_BHWC).vectors
    agreement = Agreement(
        openvino=float((batch_BD * torch_BD).sum(axis=1).min()),
        onnxruntime=float((other_BD * torch_BD).sum(axis=1).min()),
        alone_or_batch=float(np.abs(alone_BD @ alone_BD.T - batch_BD @ batch_BD.T).max()),
        num_crops=len(crops_BHWC),
    )
    if min(agreement.openvino, agreement.onnxruntime) < MIN_AGREEMENT:
        raise ExportDisagrees(f"the exported network and torch disagree: {agreement}")
    if agreement.alone_or_batch > 1e-3:
        raise ExportDisagrees(f"similarities depend on the batch: {agreement}")
    return agreement


def export_model(
    run_folder: Path,
    out: Path,
    *,
    name: str,
    licence: str,
    description: str,
    mirrored: bool = True,
    lfw: Path | None = None,
) -> ModelDirectory:
    """Writes a model directory from a run's last checkpoint.

    The identities that the run held out set the thresholds; LFW, when given, is only measured.

    Raises:
        DataInvalid: the run held out nobody, or `out` exists and is no empty folder.
        ExportDisagrees: the runtimes do not give what torch gives.
    """
    network, config = load_network(run_folder)
    if config.backbone.dimension != EMBEDDING_DIMENSION:
        raise DataInvalid(
            f"the run's embeddings have {config.backbone.dimension} numbers; the service takes "
            f"{EMBEDDING_DIMENSION}"
        )
    holdout = split_of_run(run_folder).holdout
    if holdout.num_identities < MIN_PEOPLE:
        raise DataInvalid(
            f"the run held out {holdout.num_identities} identities; thresholds need at least "
            f"{MIN_PEOPLE}: train with --set data.num_holdout_sharp=150, or what the folder can "
            "spare"
        )
    with unfinished_folder(out) as unfinished:
        model = onnx_bytes(network)
        (unfinished / MODEL_FILE).write_bytes(model)
        card = bare_card(
            model,
            name=name,
            licence=licence,
            training={"description": description, "config": _public_config(config)},
            mirrored=mirrored,
        )
        write_card(unfinished, card)
        directory = ModelDirectory.open(unfinished)
        crops = holdout.crops(range(min(len(holdout), NUM_AGREEMENT_CROPS)))
        agreement = check_agreement(network, directory, crops)
        logger.info("%s", agreement)
        net = EmbeddingNet(directory)
        table, norms_B = holdout_table(net, holdout)
        floor = np.quantile(sharp_norms(holdout, norms_B), NORM_FLOOR_QUANTILE)
        calibration = calibrate(table, holdout.sharp)
        card = replace(
            card,
            thresholds=calibration.thresholds,
            accuracy=({} if lfw is None else lfw_figures(net, lfw))
            | {"calibration": calibration.as_json()},
            notes=_notes(holdout, calibration),
            norm_floor=round(float(floor), 3),
        )
        write_card(unfinished, card)
        FaceEmbedder.open(unfinished)
    return ModelDirectory.open(out)


def _notes(holdout: Selection, calibration: Calibration) -> str:
    """How the thresholds of the card were measured, in words."""
    return (
        f"{NO_LIVENESS} {holdout.num_identities} people never trained "
        f"({sum(holdout.sharp)} with sharp images). "
        f"{calibration.in_words()}"
    )


def _public_config(config: TrainConfig) -> dict[str, Any]:
    """The configuration for the card: everything but folders and files of this machine."""
    values: dict[str, Any] = json.loads(config.to_json())
    del values["run_folder"], values["data"]["source"]
    for group, name in (("distill", "teacher"), ("start", "weights"), ("data", "exclude")):
        values[group][name] = values[group][name] is not None
    return values
