"""The page with all that can be switched on: reviews and kept faces."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from index.key_ring import KeyRing
from service.settings import ENV_PREFIX, Settings
from tests.fakes import make_photo
from tests.service.browsing import Desk
from tests.service.server_process import Server, start

ANN, BEN = make_photo(["ann"]), make_photo(["ben"])


@contextmanager
def whole_service(folder: Path, model: Path) -> Iterator[Server]:
    """A running service with a review queue that keeps sealed crops.

    Args:
        folder: empty; gets data and keys.
        model: a model directory.
    """
    keys = folder / "keys" / "sealing.keys"
    keys.parent.mkdir()
    KeyRing.generate(keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"{ENV_PREFIX}REVIEWS", "true")
        patch.setenv(f"{ENV_PREFIX}KEEP_CROPS", "true")
        patch.setenv(f"{ENV_PREFIX}SEALING_KEY_FILE", str(keys))
        running = start(Settings(data_folder=folder / "data", model=str(model)))
    yield running
    running.process.kill()
    running.process.communicate()


def gallery_with_twins(desk: Desk, name: str) -> str:
    """A gallery where Ann's face is a review, because her twin has it, too; its name."""
    gallery = desk.gallery(name)
    for person in ("Ann", "Twin"):
        desk.enroll(ANN, person, gallery=gallery)
    return gallery


def queue(desk: Desk, gallery: str, *, source: str = "door-1") -> None:
    """Identifies Ann for the queue."""
    desk.api(
        "POST",
        "/v1/identify",
        data={"gallery": gallery, "queue_reviews": "true", "source": source},
        files={"photo": ANN},
    )
