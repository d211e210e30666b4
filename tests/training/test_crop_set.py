"""Augmented crops by key, cached or not, and what becomes of images that cannot be read."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from embedding.errors import DataInvalid
from tests.training.conftest import write_identities
from training.config import AugmentConfig
from training.data.crop_set import CROP_BYTES, BadImages, CropSet
from training.data.identity_folder import IdentityFolder
from training.data.sampling import RunPlan, RunSampler
from training.data.split import Selection, select_all
from training.interrupt import leave_signals_to_parent
from training.ranks import Ranks

PLAIN = AugmentConfig.none()
IN_MEMORY, ON_DISK = 64, 0
BOTH = pytest.mark.parametrize("cache_mb", [IN_MEMORY, ON_DISK], ids=["cached", "uncached"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three identities of two images, for each test to damage."""
    return write_identities(tmp_path / "people", num_identities=3, num_images=2)


@pytest.fixture
def some(identities: Path) -> Selection:
    """Four of the small identities, twenty images."""
    return select_all(IdentityFolder(identities)).of_identities(range(4))


def crop_set(
    selection: Selection, cache_mb: int, *, augmentation: AugmentConfig = PLAIN, seed: int = 0
) -> CropSet:
    """The selection's crops, as they are unless told otherwise."""
    return CropSet(selection, augmentation=augmentation, seed=seed, cache_mb=cache_mb)


def damage(folder: Path, *images: int) -> Selection:
    """The folder's images, with some of them overwritten by text."""
    selection = select_all(IdentityFolder(folder))
    for image in images:
        (folder / selection.key(image)).write_text("no image")
    return selection


def assert_equal(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Two items with the same pixels, label and index."""
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(right[name]), err_msg=name)


@BOTH
def test_an_item_is_a_crop_with_its_class(some: Selection, cache_mb: int) -> None:
    """Unchanged pixels without augmentation, the label, the position, and no complaint."""
    data = crop_set(some, cache_mb)
    item = data[13]
    assert len(data) == 20
    assert item["crop"].dtype == torch.uint8
    np.testing.assert_array_equal(item["crop"].numpy(), some.crop(13))
    assert (item["label"], item["index"], item["bad"]) == (2, 13, -1)


def test_a_cache_changes_nothing(some: Selection) -> None:
    """Cached and uncached crops are the same, with augmentation, over two epochs."""
    cached = crop_set(some, IN_MEMORY, augmentation=AugmentConfig(), seed=5)
    uncached = crop_set(some, ON_DISK, augmentation=AugmentConfig(), seed=5)
    for key in range(40):
        assert_equal(cached[key], uncached[key])


@BOTH
def test_an_image_is_changed_anew_in_each_epoch(some: Selection, cache_mb: int) -> None:
    """The key carries the epoch, so augmentation differs between epochs and not within one."""
    data = crop_set(some, cache_mb, augmentation=AugmentConfig())
    first, again, later = data[3], data[3], data[3 + len(data)]
    assert first["index"] == later["index"] == 3
    np.testing.assert_array_equal(first["crop"], again["crop"])
    assert not np.array_equal(first["crop"], later["crop"])


def test_another_seed_changes_images_otherwise(some: Selection) -> None:
    """Two runs see the same images in two ways."""
    one, other = (
        crop_set(some, IN_MEMORY, augmentation=AugmentConfig(), seed=seed) for seed in (1, 2)
    )
    assert not np.array_equal(one[3]["crop"], other[3]["crop"])


@pytest.mark.parametrize(("num_images", "fits"), [(27, True), (28, False)])
def test_crops_stay_in_memory_if_all_of_them_fit(
    tmp_path: Path, num_images: int, fits: bool
) -> None:
    """27 crops of 37,632 bytes are within a mebibyte, 28 are not."""
    assert (num_images * CROP_BYTES <= 2**20) == fits
    (tmp_path / "ann").mkdir()
    for number in range(num_images):
        Image.new("RGB", (112, 112), (number, 0, 0)).save(tmp_path / "ann" / f"{number:02d}.png")
    data = crop_set(select_all(IdentityFolder(tmp_path)), 1)
    for file in (tmp_path / "ann").iterdir():
        file.unlink()
    if fits:
        assert [int(data[key]["crop"][0, 0, 0]) for key in range(27)] == list(range(27))
    else:
        with pytest.raises(DataInvalid):
            data[0]


@BOTH
@pytest.mark.parametrize(("bad", "stand_in"), [(1, 2), (5, 0)])
def test_a_bad_image_is_replaced_by_the_next(
    folder: Path, cache_mb: int, bad: int, stand_in: int
) -> None:
    """Crop, class and index are the stand-in's own, and the bad one is told; the end wraps."""
    data = crop_set(damage(folder, bad), cache_mb, augmentation=AugmentConfig())
    epoch = 3 * len(data)
    item = data[epoch + bad]
    assert item["bad"] == bad
    assert item["label"] == stand_in // 2
    assert_equal({**item, "bad": -1}, data[epoch + stand_in])


@BOTH
def test_bad_images_in_a_row_are_passed_over(folder: Path, cache_mb: int) -> None:
    """Each of them is told by its own number."""
    data = crop_set(damage(folder, 2, 3, 4), cache_mb)
    items = [data[key] for key in range(6)]
    assert [item["bad"] for item in items] == [-1, -1, 2, 3, 4, -1]
    assert [item["index"] for item in items] == [0, 1, 5, 5, 5, 5]


@BOTH
def test_nothing_but_bad_images_is_refused(folder: Path, cache_mb: int) -> None:
    """The search for a stand-in ends."""
    data = crop_set(damage(folder, *range(6)), cache_mb)
    with pytest.raises(DataInvalid, match="not one training image can be read"):
        data[0]


def test_a_cache_knows_its_bad_images_at_once(folder: Path) -> None:
    """Before the first step; without a cache they show when their turn comes."""
    selection = damage(folder, 1, 4)
    assert crop_set(selection, IN_MEMORY).bad_images == {1, 4}
    assert crop_set(selection, ON_DISK).bad_images == set()


def test_a_bad_image_is_named_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason; a second epoch does not say it again."""
    bad = BadImages(damage(folder, 1, 4), limit=2)
    for images in ({1}, {1, 4}, {4}, set[int]()):
        bad.add(images)
    assert len(bad) == 2
    messages = [record.getMessage() for record in caplog.records]
    assert [message[:41] for message in messages] == [
        "left out: person000/1.jpg cannot be read ",
        "left out: person002/0.jpg cannot be read ",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_an_image_that_heals_is_still_named(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that failed for a moment leaves its trace."""
    BadImages(damage(folder), limit=2).add({3})
    assert "person001/1.jpg could not be read before and can now" in caplog.text


@pytest.mark.parametrize("steps", [[{1, 2, 4}], [{1}, {2}, {4}]], ids=["at once", "one by one"])
def test_too_many_bad_images_stop_the_run(folder: Path, steps: list[set[int]]) -> None:
    """The message has their number, the setting with its value, and some names."""
    bad = BadImages(damage(folder, 1, 2, 4), limit=2)
    *before, last = steps
    for images in before:
        bad.add(images)
    with pytest.raises(
        DataInvalid,
        match=r"3 training images .* data\.max_bad=2: person000/1\.jpg, person001/0\.jpg, p",
    ):
        bad.add(last)


def test_no_bad_image_may_be_put_up_with(folder: Path) -> None:
    """A limit of 0 stops at the first."""
    with pytest.raises(DataInvalid, match=r"1 training images .* data\.max_bad=0"):
        BadImages(damage(folder, 5), limit=0).add({5})


@BOTH
def test_worker_processes_change_nothing(some: Selection, cache_mb: int) -> None:
    """Two workers give the batches that the main process gives, in the same order."""
    data = crop_set(some, cache_mb, augmentation=AugmentConfig())
    sampler = RunSampler(
        some.labels_N,
        RunPlan(batch_size=8, accumulate=2),
        first_step=1,
        num_steps=5,
        ranks=Ranks(),
    )
    alone, helped = (
        DataLoader(
            data,
            batch_sampler=sampler,
            num_workers=num_workers,
            worker_init_fn=leave_signals_to_parent,
        )
        for num_workers in (0, 2)
    )
    num_batches = 0
    for left, right in zip(alone, helped, strict=True):
        assert_equal(left, right)
        num_batches += 1
    assert num_batches == len(sampler) == 8
