"""What a run begins with, and which parts of the network stay as they are."""

import logging
from pathlib import Path

from torch import nn

from embedding.errors import CheckpointInvalid, DataInvalid
from training.backbone import FaceBackbone
from training.checkpoint import load_state
from training.config import StartConfig
from training.weights import load_weights

logger = logging.getLogger(__name__)


def start_from(network: FaceBackbone, config: StartConfig) -> None:
    """Loads the configured weights into the network, all of them or none.

    Raises:
        DataInvalid: nothing lies at the path.
        CheckpointInvalid: it is of another architecture, or cannot be read.
    """
    path = config.weights
    if path is None:
        if config.freeze_body or config.body_lr < 1.0:
            logger.warning("start.weights is not set: a body at random learns little or nothing")
        return
    if not path.exists():
        raise DataInvalid(f"no weights at {path}; give the folder of a run or a file of weights")
    if path.is_dir():
        _load_run(network, path)
        return
    report = load_weights(network, path)
    logger.info(
        "%d tensors loaded from %s; left out: %s; missing: %s",
        report.num_loaded,
        path,
        ", ".join(report.left_out) or "none",
        ", ".join(report.missing) or "none",
    )


def _load_run(network: FaceBackbone, path: Path) -> None:
    """The averaged weights of another run's last checkpoint."""
    state = load_state(path)
    try:
        network.load_state_dict(state["average"])
    except (RuntimeError, KeyError) as error:
        raise CheckpointInvalid(
            f"{path} is a run of another architecture; set backbone as in its config.json"
        ) from error
    logger.info("begins with the weights of %s", path)


def freeze(network: FaceBackbone, config: StartConfig) -> None:
    """Takes what shall not learn out of learning; call it after every ``train()``."""
    if config.freeze_body:
        network.body.requires_grad_(False)
        network.body.eval()
    if config.freeze_norm:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
