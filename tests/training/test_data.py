"""Identity folders, the split by identity, and the order of images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedding.errors import DataInvalid
from training.config import AugmentConfig, DataConfig
from training.data import (
    CropSet,
    ResumableSampler,
    load_crops,
    scan_identities,
    split_identities,
)


def test_nobody_trains_who_is_held_out(identities: Path) -> None:
    """The split is by identity and covers everybody once."""
    split = split_identities(DataConfig(folder=identities, num_holdout_sharp=10))
    train = {one.name for one in split.train}
    holdout = {one.name for one in split.holdout}
    assert len(holdout) == 10
    assert not train & holdout
    assert train | holdout == {one.name for one in scan_identities(identities)}


def test_the_same_people_are_held_out_whoever_else_is_there(
    identities: Path, tmp_path: Path
) -> None:
    """A name alone decides: leaving out people who train keeps the held-out ones."""
    split = split_identities(DataConfig(folder=identities, num_holdout_sharp=6))
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for one in [*split.holdout, *split.train[:5]]:
        (fewer / one.name).symlink_to(identities / one.name)
    again = split_identities(DataConfig(folder=fewer, num_holdout_sharp=6))
    assert [one.name for one in again.holdout] == [one.name for one in split.holdout]


def test_softness_is_seen_from_the_files(tmp_path: Path) -> None:
    """An identity of up-sampled images counts as soft."""
    rng = np.random.default_rng(0)
    for name, size in (("sharp", 112), ("soft", 12)):
        (tmp_path / name).mkdir()
        image = Image.fromarray(rng.integers(90, 160, (size, size, 3), dtype=np.uint8))
        image.resize((112, 112), Image.Resampling.BICUBIC).save(
            tmp_path / name / "0.jpg", quality=80
        )
    found = {one.name: one.is_sharp for one in scan_identities(tmp_path)}
    assert found == {"sharp": True, "soft": False}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "missing", "not a folder"),
        (lambda folder: folder, "no subfolder"),
    ],
)
def test_a_folder_without_people_says_what_is_expected(
    tmp_path: Path, make: object, words: str
) -> None:
    """Missing and empty folders are told apart."""
    folder = make(tmp_path)  # type: ignore[operator]
    with pytest.raises(DataInvalid, match=words):
        scan_identities(folder)


def test_too_few_people_for_the_holdout_are_refused(identities: Path) -> None:
    """Asking for more held-out people than there are names both numbers."""
    with pytest.raises(DataInvalid, match=r"asked to hold out 25 sharp .* has 24"):
        split_identities(DataConfig(folder=identities, num_holdout_sharp=25))


def test_nobody_left_to_train_on_is_refused(identities: Path) -> None:
    """Holding out everybody leaves no training set."""
    with pytest.raises(DataInvalid, match="0 identities are left"):
        split_identities(DataConfig(folder=identities, num_holdout_sharp=24))


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    """The path stands in the message."""
    file = tmp_path / "broken.jpg"
    file.write_bytes(b"not an image")
    with pytest.raises(DataInvalid, match=r"broken\.jpg"):
        load_crops((file,))


def test_a_crop_of_another_size_is_refused(tmp_path: Path) -> None:
    """Photographs must be aligned first."""
    file = tmp_path / "large.png"
    Image.new("RGB", (200, 150)).save(file)
    with pytest.raises(DataInvalid, match="200x150"):
        load_crops((file,))


def test_an_epoch_resumed_in_the_middle_goes_on_where_it_was() -> None:
    """The rest of an epoch is the tail of the whole one, and the next epoch has another order."""
    whole = list(ResumableSampler(100, batch_size=8, seed=1, epoch=2))
    rest = list(ResumableSampler(100, batch_size=8, seed=1, epoch=2, first_step=5))
    other = list(ResumableSampler(100, batch_size=8, seed=1, epoch=3))
    assert len(whole) == 96
    assert whole[40:] == rest
    assert [key % 100 for key in whole] != [key % 100 for key in other]


def test_an_image_is_changed_anew_in_each_epoch(identities: Path) -> None:
    """The key carries the epoch, so augmentation differs between epochs and not within one."""
    split = split_identities(DataConfig(folder=identities))
    data = CropSet(split.train, augmentation=AugmentConfig(), seed=0)
    first, again, later = data[3], data[3], data[3 + len(data)]
    assert first["index"] == later["index"] == 3
    np.testing.assert_array_equal(first["crop"], again["crop"])
    assert not np.array_equal(first["crop"], later["crop"])
