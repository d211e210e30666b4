"""A run becomes a model directory that the serving code opens and that agrees with torch."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from embedding.embedder import FaceEmbedder
from embedding.errors import CheckpointInvalid, DataInvalid, ExportDisagrees
from embedding.model import MODEL_FILE, NO_LIVENESS, ModelDirectory
from embedding.runtime import EmbeddingNet
from training.config import TrainConfig
from training.data.opening import open_store
from training.data.split import Selection, split_store
from training.evaluate import torch_embedder
from training.export import Agreement, check_agreement, export_model, load_network
from training.onnx_file import onnx_bytes
from training.trainer import Trainer


@pytest.fixture
def run_folder(config: TrainConfig) -> Path:
    """A finished run of three steps."""
    config = replace(config, epochs=1)
    Trainer(config, split_store(open_store(config.data.source), config.data)).run()
    return config.run_folder


def holdout_of(config: TrainConfig) -> Selection:
    """The people whom a run held out."""
    return split_store(open_store(config.data.source), config.data).holdout


def exported(run_folder: Path, out: Path, *, mirrored: bool = True) -> ModelDirectory:
    """The run as a model directory."""
    return export_model(
        run_folder,
        out,
        name="tiny",
        licence="none",
        description="three steps on noise",
        mirrored=mirrored,
    )


def test_an_exported_run_is_served(run_folder: Path, tmp_path: Path) -> None:
    """The card is complete, the fingerprint holds, and the weights are stored as float16."""
    directory = exported(run_folder, tmp_path / "model")
    embedder = FaceEmbedder.open(tmp_path / "model")
    assert embedder.fingerprint == directory.card.fingerprint
    assert {one.fpir for one in directory.card.thresholds} == {0.05, 0.01, 0.001}
    assert all(one.extrapolated for one in directory.card.thresholds if one.fpir == 0.001)
    assert directory.card.norm_floor > 0
    assert directory.card.notes.startswith(NO_LIVENESS)
    assert "folder" not in json.dumps(directory.card.training)
    model = onnx.load(tmp_path / "model" / MODEL_FILE)
    stored = {one.data_type for one in model.graph.initializer if np.prod(one.dims) >= 2048}
    assert stored == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize("mirrored", [True, False])
def test_the_served_file_gives_what_torch_gives(
    run_folder: Path, tmp_path: Path, mirrored: bool
) -> None:
    """Cosine of at least 0.999 on crops, with and without the mirror image."""
    directory = exported(run_folder, tmp_path / "model", mirrored=mirrored)
    network, config = load_network(run_folder)
    crops = np.concatenate(list(holdout_of(config).chunks()))
    served = EmbeddingNet(directory).embed(crops).vectors
    cosines = (served * torch_embedder(network, mirrored=mirrored)(crops)).sum(axis=1)
    assert cosines.min() >= 0.999
    assert directory.card.mirrored is mirrored


def test_another_network_is_told_from_the_exported_one(run_folder: Path, tmp_path: Path) -> None:
    """The check compares for real: weights that changed after the export are noticed."""
    directory = exported(run_folder, tmp_path / "model")
    network, config = load_network(run_folder)
    crops = holdout_of(config).crops(range(5))
    assert isinstance(check_agreement(network, directory, crops), Agreement)
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight)
    with pytest.raises(ExportDisagrees, match="disagree"):
        check_agreement(network, directory, crops)


def test_a_weight_beyond_float16_is_refused() -> None:
    """Rather no file than an infinite weight in it."""
    linear = nn.Linear(3 * 112 * 112, 4)
    with torch.no_grad():
        linear.weight[0, 0] = 1e6
    network = nn.Sequential(nn.Flatten(), linear)
    with pytest.raises(ExportDisagrees, match="too large for float16"):
        onnx_bytes(network)


def test_a_folder_in_use_is_not_written_over(run_folder: Path, tmp_path: Path) -> None:
    """An existing model stays as it is."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "keep").write_text("me")
    with pytest.raises(DataInvalid, match="not empty"):
        exported(run_folder, tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["keep"]


def test_a_run_that_held_nobody_out_cannot_be_calibrated(
    config: TrainConfig, tmp_path: Path
) -> None:
    """Thresholds from training people would be lies; the message says what to set."""
    config = replace(config, epochs=1, data=replace(config.data, num_holdout_sharp=0))
    Trainer(config, split_store(open_store(config.data.source), config.data)).run()
    with pytest.raises(DataInvalid, match="num_holdout_sharp"):
        exported(config.run_folder, tmp_path / "model")


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    """No checkpoint, no export."""
    with pytest.raises(CheckpointInvalid, match="no checkpoint"):
        load_network(tmp_path)
