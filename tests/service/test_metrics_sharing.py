"""What a process tells the others of itself."""

import asyncio
import logging
from pathlib import Path

import pytest

from service import metrics_sharing
from service.metrics_sharing import FOLDER_VARIABLE, telling

PRIVATE = "a name"


def test_a_failure_does_not_end_the_telling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that is full for a while is logged, and told to again."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(metrics_sharing, "TOLD_EVERY_S", 0.001)
    tried: list[int] = []
    told = asyncio.Event()

    def tell() -> None:
        tried.append(1)
        if len(tried) == 1:
            raise OSError(28, PRIVATE)
        told.set()

    async def scene() -> None:
        async with telling(tell), asyncio.timeout(60.0):
            await told.wait()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    assert "No space left" in caplog.text
    assert PRIVATE not in caplog.text
