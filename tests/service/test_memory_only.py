"""Promise 1: photos are not stored, not even in a temporary file."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings
from tests.fakes import make_photo
from tests.service.support import MiB, fake_service, with_ballast

_watching: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    """Notes every file that Python opens for writing, and every temporary one."""
    if _watching is None:
        return
    if event == "open" and isinstance(arguments[2], int):
        path, _, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _watching.append(str(path))
    elif event.startswith("tempfile."):
        _watching.append(str(arguments[0]))


sys.addaudithook(_note)


@contextmanager
def written_files() -> Iterator[list[str]]:
    """The paths that are opened for writing meanwhile, also of files deleted at once."""
    global _watching
    _watching = []
    try:
        yield _watching
    finally:
        _watching = None


def test_the_watch_sees_spooling() -> None:
    """A spooled file that rolls over is seen, so that the next test means something."""
    with written_files() as paths, tempfile.SpooledTemporaryFile(max_size=10) as file:
        file.write(bytes(100))
    assert len(paths) > 0


def test_photos_never_reach_the_disk(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After uploads of 5 MiB no file was written, and no folder holds their bytes."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    photo, ballast = with_ballast(make_photo(["ann"]), 5 * MiB)
    with fake_service(settings) as service:
        headers = service.headers()
        with written_files() as paths:
            enrolled = service.http.post(
                "/v1/enroll",
                headers=headers,
                data={"subject": "ann"},
                files=[("photos", ("a.png", photo))],
            )
            found = service.http.post("/v1/identify", headers=headers, files={"photo": photo})
            refused = service.http.post(
                "/v1/enroll",
                headers=headers,
                data={"subject": "ann"},
                files=[("photos", ("a.png", photo[:-30]))],
            )
        assert (enrolled.status_code, found.status_code) == (201, 200)
        assert refused.status_code == 422
    assert paths == []
    assert list(temporary.iterdir()) == []
    stored = b"".join(
        path.read_bytes() for path in settings.data_folder.rglob("*") if path.is_file()
    )
    assert len(stored) < MiB
    for start in range(0, len(ballast), 64 * 1024):
        assert ballast[start : start + 32] not in stored
    assert photo[:64] not in stored
