"""The short form of `python -m benchmarks.hostile`: hostile uploads to a server over sockets."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.hostile_attack import attack, keep
from benchmarks.hostile_photos import HostilePhotos
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.listening import Running, listening

NUM_UPLOADS = 600
MAX_PIXELS = 1_000_000
SEED = 7


@pytest.fixture(scope="module")
def photos() -> HostilePhotos:
    """Made of a fake face."""
    with Image.open(io.BytesIO(make_photo(["ann"]))) as portrait:
        return HostilePhotos(portrait.convert("RGB"), seed=SEED, max_pixels=MAX_PIXELS)


@pytest.fixture
def running(settings: Settings) -> Iterator[Running]:
    """A server that accepts a million pixels."""
    with listening(settings.model_copy(update={"max_photo_pixels": MAX_PIXELS})) as started:
        yield started


def test_a_seed_makes_the_same_uploads_again(photos: HostilePhotos) -> None:
    """What failed once can be sent once more, and another seed sends something else."""
    with Image.open(io.BytesIO(make_photo(["ann"]))) as portrait:
        again = HostilePhotos(portrait.convert("RGB"), seed=SEED, max_pixels=MAX_PIXELS)
        other = HostilePhotos(portrait.convert("RGB"), seed=SEED + 1, max_pixels=MAX_PIXELS)
    some = [photos.upload(number) for number in range(50)]
    assert some == [again.upload(number) for number in range(50)]
    assert some != [other.upload(number) for number in range(50)]


def test_hostile_uploads_get_clear_answers(
    running: Running, photos: HostilePhotos, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is answered as its kind must be; none is a fault, and nobody is left in the gallery."""
    seen = attack(running.url, photos, range(NUM_UPLOADS), headers=running.headers, num_callers=4)
    told = [
        f"{failure.upload.kind}, {failure.route}: {failure.answer}" for failure in seen.failures
    ]
    assert told == []
    assert sum(seen.statuses.values()) == NUM_UPLOADS
    assert {each.partition(":")[0] for each in seen.kinds} == {*photos.kinds, "broken form"}
    assert {"accepted", "photo_unreadable", "photo_too_many_pixels", "request_malformed"} <= set(
        seen.codes
    )
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert running.parts.galleries.get("default").num_subjects == 0
    assert running.identify().status_code == 200


def test_a_failure_is_kept(running: Running, photos: HostilePhotos, tmp_path: Path) -> None:
    """What was not answered as it must be is written to a file: here, a service without a key."""
    seen = attack(running.url, photos, range(1), headers={}, num_callers=1)
    failure = seen.failures[0]
    assert failure.answer == "401 key_missing"
    path = keep(failure, tmp_path / "kept", seed=SEED)
    assert path.read_bytes() == photos.upload(0).content
