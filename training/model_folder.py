"""What exports and imports share: a folder that appears when it is done, its card, its figures.

Shape legend: B images, D embedding dimension.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedding.detect import MtcnnDetector
from embedding.errors import DataInvalid
from embedding.model import InputSpec, ModelCard, model_fingerprint
from embedding.runtime import EmbeddingNet
from training.data.split import Selection
from training.onnx_file import INPUT_NAME
from training.protocols import OpenSetTable, open_set_table, verify_lfw

# Fewer people than this say next to nothing about strangers.
MIN_PEOPLE = 10
# Embeddings shorter than those of all but 1 in 200 held-out sharp faces carry too little.
NORM_FLOOR_QUANTILE = 0.005


def check_is_new(out: Path) -> None:
    """Passes if a model directory may be written there.

    Raises:
        DataInvalid: it exists and is no empty folder.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DataInvalid(f"{out} is not empty; give a new folder")


@contextmanager
def unfinished_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into; it becomes `out` at the end, and goes on an error.

    So nobody finds a model that is not checked and calibrated yet.

    Raises:
        DataInvalid: `out` exists and is no empty folder.
    """
    check_is_new(out)
    unfinished = out.with_name(f"{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        unfinished.rename(out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def holdout_table(
    net: EmbeddingNet, holdout: Selection
) -> tuple[OpenSetTable, NDArray[np.float32]]:
    """The open-set table of held-out people through the runtime, and each image's norm."""
    chunks = [net.embed(crops) for crops in holdout.chunks()]
    vectors_BD = np.concatenate([one.vectors for one in chunks])
    return open_set_table(vectors_BD, holdout.labels_N), np.concatenate([c.norms for c in chunks])


def sharp_norms(holdout: Selection, norms_B: NDArray[np.float32]) -> NDArray[np.float32]:
    """The norms of the images of sharp identities, or all where there are none."""
    is_sharp_B = np.array(holdout.sharp, bool)[holdout.labels_N]
    return norms_B[is_sharp_B] if is_sharp_B.any() else norms_B


def lfw_figures(net: EmbeddingNet, lfw: Path) -> dict[str, Any]:
    """What the card says of LFW, measured through the runtime in the served mode."""
    verification = verify_lfw(lambda crops: net.embed(crops).vectors, lfw)
    tar = {
        f"lfw_tar_at_far_{one.far_wanted:g}": {
            "tar": round(one.tar.rate, 4),
            "accepted": f"{one.tar.num_errors} of {one.tar.num_trials}",
            "false_accepts": f"{one.far.num_errors} of {one.far.num_trials}",
            "threshold": round(one.threshold, 4),
        }
        for one in verification.tar
    }
    accuracy = verification.accuracy
    return {
        "lfw_accuracy": round(accuracy.mean, 4),
        "lfw_deviation_over_folds": round(accuracy.deviation, 4),
        **tar,
    }


def bare_card(
    model: bytes, *, name: str, licence: str, training: Mapping[str, Any], mirrored: bool
) -> ModelCard:
    """A card without thresholds and figures, for a file with our own input.

    Args:
        model: the bytes of ``model.onnx``.
        name: of the model.
        licence: terms of the weights.
        training: how it came to be, for people.
        mirrored: whether the mirror image is added.
    """
    digest = hashlib.sha256(model).hexdigest()
    spec = InputSpec(name=INPUT_NAME)
    fingerprint = model_fingerprint(
        model_sha256=digest,
        input_spec=spec,
        mirrored=mirrored,
        precision="float32",
        detector_fingerprint=MtcnnDetector().fingerprint,
    )
    return ModelCard(
        name=name,
        model_sha256=digest,
        fingerprint=fingerprint,
        mirrored=mirrored,
        licence=licence,
        thresholds=(),
        input=spec,
        training=training,
    )
