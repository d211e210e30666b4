"""Clients and commands that move galleries."""

import asyncio
import io
import os
from pathlib import Path

import httpx
import pytest

from embedding.errors import TransferOff
from service.async_client import AsyncHttpClient
from service.cli import main
from service.http_client import HttpClient, connect
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo
from tests.service.server_process import start
from tests.service.support import FakeService, fake_service


def test_the_clients_move_a_gallery(settings: Settings) -> None:
    """Out into a file and in again, over a real connection, in both forms; a refusal is typed."""
    os.environ["FACEGALLERY_HTTP_EXPORT"] = "true"
    try:
        server = start(settings)
    finally:
        del os.environ["FACEGALLERY_HTTP_EXPORT"]
    try:
        with connect(server.url, key=str(server.key)) as client:
            client.enroll([make_photo(["ann"])], gallery="default", subject="ann")
            file = io.BytesIO()
            client.export_gallery("default", file)
            client.delete_gallery("default")
            client.create_gallery("default")
            assert client.import_gallery("default", file.getvalue()).num_templates == 1

        async def move() -> int:
            headers = {"Authorization": f"Bearer {server.key}"}
            async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
                asynchronous = AsyncHttpClient(http)
                again = io.BytesIO()
                await asynchronous.export_gallery("default", again)
                done = await asynchronous.import_gallery("default", again.getvalue())
                return done.num_present

        assert asyncio.run(move()) == 1
    finally:
        server.process.kill()
        server.process.communicate()


def test_a_refused_export_is_typed(service: FakeService) -> None:
    """The clients raise the error of the problem, and write nothing."""
    with httpx.Client(
        base_url="http://test", headers=service.headers(), transport=_Through(service)
    ) as http:
        file = io.BytesIO()
        with pytest.raises(TransferOff):
            HttpClient(http).export_gallery("default", file)
        assert file.getvalue() == b""


class _Through(httpx.BaseTransport):
    def __init__(self, service: FakeService) -> None:
        self._service = service

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._service.http.request(
            request.method, request.url.path, headers=dict(request.headers)
        )
        return httpx.Response(
            answer.status_code, headers=dict(answer.headers), content=answer.content
        )


def test_the_commands(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Clear text must be meant; a file that is there stays; damage is told; it comes in again."""
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(settings.data_folder))
    monkeypatch.setenv("FACEGALLERY_MODEL", str(settings.model))
    with fake_service(settings) as service:
        service.enroll("ann")
    file = tmp_path / "people.parquet"

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main(["galleries", *arguments], detector=FakeDetector())
        said = capsys.readouterr()
        return int(caught.value.code or 0), said.out + said.err

    code, said = run("export", "default", str(file))
    assert (code, "--clear-text" in said, file.exists()) == (3, True, False)
    assert run("export", "absent", str(file), "--clear-text")[0] == 3
    assert not file.exists()
    assert run("export", "default", str(file), "--clear-text")[0] == 0
    assert file.stat().st_mode & 0o777 == 0o600
    code, said = run("export", "default", str(file), "--clear-text")
    assert (code, "exists already" in said) == (3, True)
    code, said = run("import", "default", str(file))
    assert (code, "1 templates were there already" in said) == (0, True)
    file.write_bytes(b"PAR1")
    assert run("import", "default", str(file))[0] == 3
