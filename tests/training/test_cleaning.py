"""Images that do not look like their own identity are found, and only those."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from embedding.errors import DataInvalid
from training.cleaning import angles_to_dominant, find_strays
from training.config import AugmentConfig, HeadConfig, TrainConfig
from training.data.opening import open_store
from training.data.split import split_store
from training.trainer import Trainer


def test_angles_equal_a_loop_over_images() -> None:
    """The dominant centre is the one nearest to most images; angles are to it, in degrees."""
    torch.manual_seed(0)
    unit, centres = F.normalize(torch.randn(12, 5)), F.normalize(torch.randn(6, 5))
    labels = np.repeat([0, 1], 6)
    found = angles_to_dominant(unit.numpy(), labels, centres, num_subcentres=3)
    for identity in (0, 1):
        own = centres[3 * identity : 3 * identity + 3].double()
        images = range(6 * identity, 6 * identity + 6)
        votes = [0, 0, 0]
        for image in images:
            votes[int((own @ unit[image].double()).argmax())] += 1
        dominant = own[votes.index(max(votes))]
        for image in images:
            cosine = float(unit[image].double() @ dominant)
            assert found[image] == pytest.approx(math.degrees(math.acos(cosine)), abs=1e-3)


def test_a_swapped_image_is_the_farthest_stray(
    config: TrainConfig, identities: Path, tmp_path: Path
) -> None:
    """After a short run with sub-centres; a run without it then goes through."""
    data = tmp_path / "data"
    shutil.copytree(identities, data)
    shutil.copy(data / "person001" / "0.jpg", data / "person000" / "0.jpg")
    config = replace(
        config,
        data=replace(config.data, source=data, num_holdout_sharp=0),
        augment=AugmentConfig.none(),
        head=HeadConfig(scale=16.0, margin_rad=0.2, num_subcentres=3),
        epochs=6,
    )
    train = split_store(open_store(data), config.data).train
    Trainer(config, split_store(open_store(data), config.data)).run()
    strays = find_strays(config.run_folder, max_angle_deg=60.0)
    assert strays[0].key == "person000/0.jpg"
    assert len(strays) < 0.2 * len(train)
    everything = find_strays(config.run_folder, max_angle_deg=0.0)
    assert len(everything) == len(train)
    angles = [stray.angle_deg for stray in everything]
    assert angles == sorted(angles, reverse=True)


def test_a_head_without_the_sphere_has_no_strays(config: TrainConfig) -> None:
    """Softmax has no angles to speak of."""
    config = replace(config, head=HeadConfig(name="softmax"), epochs=1)
    Trainer(config, split_store(open_store(config.data.source), config.data)).run()
    with pytest.raises(DataInvalid, match="softmax has no centres on the sphere"):
        find_strays(config.run_folder)
