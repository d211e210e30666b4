"""Small identity folders made of noise: enough to learn by heart, nobody's face."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from training.config import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    HeadConfig,
    OptimConfig,
    TrainConfig,
)


def write_identities(folder: Path, *, num_identities: int, num_images: int) -> Path:
    """Each identity is one blurred colour pattern; its images differ by a little noise."""
    rng = np.random.default_rng(7)
    for identity in range(num_identities):
        person = folder / f"person{identity:03d}"
        person.mkdir(parents=True)
        pattern = Image.fromarray(rng.integers(0, 256, (14, 14, 3), dtype=np.uint8))
        pattern = pattern.resize((112, 112), Image.Resampling.BICUBIC)
        for number in range(num_images):
            noise = rng.normal(0, 12, (112, 112, 3))
            pixels = np.clip(np.asarray(pattern, np.float32) + noise, 0, 255).astype(np.uint8)
            image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.7))
            image.save(person / f"{number}.jpg", quality=92)
    return folder


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 identities of 5 images."""
    folder = tmp_path_factory.mktemp("identities")
    return write_identities(folder, num_identities=24, num_images=5)


@pytest.fixture
def config(identities: Path, tmp_path: Path) -> TrainConfig:
    """A run of seconds: 12 steps of 16 images, 12 people held out."""
    return TrainConfig(
        run_folder=tmp_path / "run",
        data=DataConfig(source=identities, num_holdout_sharp=12, num_workers=0),
        augment=AugmentConfig(),
        backbone=BackboneConfig(name="resnet18", channels=(16, 16, 16, 16)),
        head=HeadConfig(scale=16.0, margin_rad=0.2),
        optim=OptimConfig(lr=0.05),
        epochs=4,
        batch_size=16,
        precision="float32",
        device="cpu",
    )


def write_lfw(folder: Path, identities: Path, lines: list[str]) -> Path:
    """LFW's layout, made of the first four small identities, with these lines as the list."""
    for number in range(4):
        name = f"person{number:03d}"
        person = folder / "aligned" / name
        person.mkdir(parents=True)
        for image in range(5):
            (person / f"{name}_{image + 1:04d}.jpg").symlink_to(identities / name / f"{image}.jpg")
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def lfw(identities: Path, tmp_path: Path) -> Path:
    """Two folds of two matched and two mismatched pairs."""
    a, b, c, d = (f"person{number:03d}" for number in range(4))
    lines = [
        "2\t2",
        f"{a}\t1\t2", f"{b}\t1\t3", f"{a}\t1\t{b}\t1", f"{c}\t2\t{d}\t1",
        f"{c}\t1\t2", f"{d}\t1\t3", f"{a}\t1\t{c}\t1", f"{b}\t2\t{d}\t1",
    ]  # fmt: skip
    return write_lfw(tmp_path, identities, lines)
