"""Tests of batches that callers share."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedding.batching import SharedBatches
from embedding.embedder import FaceEmbedder
from embedding.errors import ModelInvalid, PhotoUnreadable, RequestInvalid
from embedding.runtime import Embeddings
from tests.fakes import PEOPLE, FakeDetector, make_photo, write_fake_model

LONG_S = 60.0
"""Longer than any test: who waits so long fails by the test's own limit."""


def crops(*values: int) -> NDArray[np.uint8]:
    """One crop for each value, filled with it."""
    return np.stack([np.full((112, 112, 3), value, np.uint8) for value in values])


class FakeNet:
    """Its embedding of a crop is the crop's value; 255 is a crop that breaks the net."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        self.entered = threading.Semaphore(0)

    def __call__(self, crops_BHWC: NDArray[np.uint8]) -> Embeddings:
        """The values as vectors and norms; waits while held."""
        self.sizes.append(len(crops_BHWC))
        self.entered.release()
        self.hold.wait(LONG_S)
        values_B = crops_BHWC[:, 0, 0, 0].astype(np.float32)
        if 255 in values_B:
            raise ModelInvalid("a broken crop")
        return Embeddings(vectors=values_B[:, None].repeat(4, axis=1), norms=values_B)


def waiting(batches: SharedBatches, num: int) -> None:
    """Returns once so many callers wait for their turn."""
    for _ in range(20_000):
        if len(batches._waiting) >= num:
            return
        time.sleep(0.001)
    raise AssertionError(f"{num} callers never waited")


def test_alone_starts_at_once() -> None:
    """Nobody else is announced: the net runs without a wait, whatever the limit."""
    net = FakeNet()
    batches = SharedBatches(net, max_wait_s=LONG_S)
    assert batches.embed(crops(3, 4)).norms.tolist() == [3, 4]
    with batches.announced() as embed:
        assert embed(crops(5)).norms.tolist() == [5]
    assert (net.sizes, batches.counts) == ([2, 1], (2, 3))


def test_who_comes_during_a_run_shares_the_next() -> None:
    """Three callers who wait for one run go together, and each gets its own."""
    net = FakeNet()
    batches = SharedBatches(net, max_wait_s=0)
    net.hold.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batches.embed, crops(1))
        net.entered.acquire()
        others = [pool.submit(batches.embed, crops(*each)) for each in ([2], [3, 4], [5])]
        waiting(batches, 3)
        net.hold.set()
        assert first.result().norms.tolist() == [1]
        assert [each.result().norms.tolist() for each in others] == [[2], [3, 4], [5]]
    assert net.sizes == [1, 4]


def test_announced_crops_are_waited_for() -> None:
    """Who comes first waits for the one who said to come, and both share a run."""
    net = FakeNet()
    batches = SharedBatches(net, max_wait_s=LONG_S)
    with ThreadPoolExecutor(1) as pool, batches.announced() as late:
        early = pool.submit(batches.embed, crops(1))
        waiting(batches, 1)
        assert net.sizes == []
        assert late(crops(2)).norms.tolist() == [2]
        assert early.result().norms.tolist() == [1]
    assert net.sizes == [2]


def test_a_wait_ends_with_a_failed_announcement() -> None:
    """A photo that turns out to be broken keeps nobody waiting."""
    net = FakeNet()
    batches = SharedBatches(net, max_wait_s=LONG_S)
    with ThreadPoolExecutor(1) as pool:
        broken = batches.announced()
        broken.__enter__()
        early = pool.submit(batches.embed, crops(1))
        waiting(batches, 1)
        error = PhotoUnreadable("broken")
        assert not broken.__exit__(type(error), error, None)
        assert early.result().norms.tolist() == [1]


def test_a_wait_is_bounded() -> None:
    """An announced caller who does not come is not waited for longer than the limit."""
    net = FakeNet()
    batches = SharedBatches(net, max_wait_s=0.001)
    with batches.announced():
        assert batches.embed(crops(1)).norms.tolist() == [1]


def test_a_full_batch_waits_for_nobody() -> None:
    """Once a batch is full it goes, and what does not fit goes next."""
    net = FakeNet()
    batches = SharedBatches(net, max_wait_s=LONG_S, max_crops=4)
    with ThreadPoolExecutor(2) as pool, batches.announced():
        one = pool.submit(batches.embed, crops(1, 2, 3))
        waiting(batches, 1)
        assert batches.embed(crops(4, 5, 6, 7, 8)).norms.tolist() == [4, 5, 6, 7, 8]
        assert net.sizes == [5]
        two = pool.submit(batches.embed, crops(9))
        assert (one.result().norms.tolist(), two.result().norms.tolist()) == ([1, 2, 3], [9])
    assert net.sizes == [5, 4]


def test_one_caller_s_error_is_its_own() -> None:
    """A crop that breaks the net is told to its caller; those of the same batch get theirs."""
    net = FakeNet()
    batches = SharedBatches(net, max_wait_s=0)
    net.hold.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batches.embed, crops(1))
        net.entered.acquire()
        broken, fine = (pool.submit(batches.embed, crops(each)) for each in (255, 2))
        waiting(batches, 2)
        with pytest.raises(RequestInvalid):
            batches.embed(crops(1)[:, :50])
        net.hold.set()
        assert (first.result().norms.tolist(), fine.result().norms.tolist()) == ([1], [2])
        with pytest.raises(ModelInvalid, match="broken"):
            broken.result()
    assert batches.embed(crops(3)).norms.tolist() == [3]


def test_no_crops_are_no_run() -> None:
    """A photo without a face waits for nobody and runs nothing that counts."""
    batches = SharedBatches(FakeNet(), max_wait_s=LONG_S)
    with batches.announced(), batches.announced() as embed:
        assert len(embed(crops(1)[:0]).norms) == 0
    assert batches.counts == (0, 0)


def test_photos_of_many_threads_keep_their_faces(tmp_path: Path) -> None:
    """Photos that are analyzed at the same time get the embeddings that each has alone."""
    embedder = FaceEmbedder.open(
        write_fake_model(tmp_path / "fake"), detector=FakeDetector(), batch_wait_s=0.05
    )
    photos = [make_photo(list(PEOPLE)[:num]) for num in (1, 2, 0, 3, 6, 4)] * 3
    alone = [embedder.analyze(photo) for photo in photos]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(embedder.analyze, photos))
    for one, other in zip(alone, together, strict=True):
        assert len(one.faces) == len(other.faces)
        for face, same in zip(one.faces, other.faces, strict=True):
            assert face.box == same.box
            assert np.abs(face.embedding - same.embedding).max() < 1e-5
