"""Galleries as files over HTTP: streamed out, taken in from memory, all or nothing."""

import asyncio
import dataclasses
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select, update

from embedding.errors import StoreCorrupt, TransferOff
from index.key_ring import KeyRing
from index.store.tables import templates
from index.transfer import export_stream
from service.async_client import AsyncHttpClient
from service.auth import Role
from service.cli import main
from service.http_client import HttpClient, connect
from service.settings import Settings
from service.transfer import _code as code_of
from service.transfer import export_file
from tests.fakes import FakeDetector, make_photo
from tests.index.samples import new_template, unit_vectors
from tests.service.server_process import start
from tests.service.support import FakeService, check_problem, fake_service, post_raw, write_model

PARQUET = "application/vnd.apache.parquet"


@pytest.fixture
def open_service(settings: Settings) -> Iterator[FakeService]:
    """A service that gives galleries out."""
    with fake_service(settings.model_copy(update={"http_export": True})) as started:
        yield started


def _export(service: FakeService, gallery: str = "default", **headers: str) -> Any:
    return service.http.get(
        f"/v1/galleries/{gallery}/export", headers=headers or service.headers()
    )


def _import(
    service: FakeService, content: bytes, gallery: str = "default", kind: str = PARQUET
) -> Any:
    return service.http.post(
        f"/v1/galleries/{gallery}/import",
        headers=service.headers() | {"Content-Type": kind},
        content=content,
    )


def _actions(service: FakeService) -> list[tuple[str, str]]:
    entries = service.parts.galleries.audit.entries()
    return [(e.action, e.outcome) for e in entries if e.action.startswith("gallery.")]


def _fill(service: FakeService, num: int) -> None:
    """More templates than one row group holds."""
    gallery = service.parts.galleries.get("default")
    template = new_template(unit_vectors(1)[0], fingerprint=gallery.fingerprint)
    gallery.enroll([template] * num, name="Many")


def test_a_gallery_moves_to_another_service(
    open_service: FakeService, tmp_path: Path, fake_model: Path
) -> None:
    """People are found there under the same ids, at once; both sides are audited."""
    ids = open_service.enroll("ann", "ben")
    answer = _export(open_service)
    assert (answer.status_code, answer.headers["content-type"]) == (200, PARQUET)
    assert _actions(open_service)[-2:] == [("gallery.export", "begun"), ("gallery.export", "done")]
    other = Settings(data_folder=tmp_path / "other", model=str(fake_model))
    with fake_service(other) as service:
        done = _import(service, answer.content).json()
        assert (done["num_templates"], done["num_subjects"], done["num_present"]) == (2, 2, 0)
        assert _actions(service)[-1] == ("gallery.import", "done")
        found = service.http.post(
            "/v1/identify", headers=service.headers(), files={"photo": make_photo(["ann"])}
        ).json()["faces"][0]
        assert (found["decision"], found["subject"]["id"]) == ("match", ids["ann"])
        again = _import(service, answer.content).json()
        assert (again["num_templates"], again["num_present"]) == (0, 2)
        assert service.num_templates() == 2


def test_giving_out_is_off_unless_allowed(service: FakeService) -> None:
    """By default no key, an admin's neither, gets embeddings out of the service."""
    service.enroll("ann")
    check_problem(_export(service), 404, "transfer_off")
    assert ("gallery.export", "begun") not in _actions(service)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.IDENTIFIER, Role.AUDITOR])
def test_only_admins(open_service: FakeService, role: Role) -> None:
    """No other role gets a file, or gives one."""
    headers = open_service.headers(role)
    check_problem(_export(open_service, **headers), 403, "key_forbidden")
    answer = open_service.http.post(
        "/v1/galleries/default/import", headers=headers, content=b"PAR1"
    )
    check_problem(answer, 403, "key_forbidden")


def test_no_such_gallery(open_service: FakeService) -> None:
    """Neither way makes one, in other letters neither."""
    for name in ("absent", "DEFAULT", "default~1", "..%2Fdefault"):
        assert _export(open_service, name).status_code in {404, 409}
        answer = _import(open_service, b"PAR1", name)
        assert answer.status_code in {404, 409}
    assert [each.name for each in open_service.parts.galleries.list()] == ["default"]


def test_many_parts_make_a_whole_file(open_service: FakeService) -> None:
    """A gallery of several row groups comes as a file that is in order; an empty one, too."""
    empty = _export(open_service)
    assert pq.read_table(io.BytesIO(empty.content)).num_rows == 0
    _fill(open_service, 9000)
    table = pq.read_table(io.BytesIO(_export(open_service).content))
    assert table.num_rows == 9000
    assert _import(open_service, _export(open_service).content).json()["num_present"] == 9000


def test_the_others_go_on_while_a_file_is_fetched(open_service: FakeService) -> None:
    """Between two parts people come and go: a slow reader holds nobody up."""
    _fill(open_service, 9000)
    galleries = open_service.parts.galleries
    parts = export_stream(galleries, "default")
    content = next(parts)
    open_service.enroll("ann")
    gallery = galleries.get("default")
    many = gallery.find_subject(name="Many")
    assert many is not None
    last = gallery.templates(many.id)[-1]
    gallery.remove_template(last.id)
    table = pq.read_table(io.BytesIO(content + b"".join(parts)))
    assert table.num_rows == 8999
    assert last.id not in table["template_id"].to_pylist()
    assert set(table["name"].to_pylist()) == {"Many"}


def test_a_file_that_is_given_up_is_told(open_service: FakeService) -> None:
    """The log tells that it was begun, and how far it went."""
    _fill(open_service, 9000)
    parts = export_stream(open_service.parts.galleries, "default")
    next(parts)
    parts.close()
    entry = list(open_service.parts.galleries.audit.entries())[-1]
    assert (entry.action, entry.outcome) == ("gallery.export", "stopped")
    assert 0 < entry.facts["num_templates"] < 9000  # type: ignore[operator]


@pytest.mark.parametrize("why", ["slow", "gone", "fails"])
def test_a_file_that_does_not_end_is_seen_as_such(open_service: FakeService, why: str) -> None:
    """Too slow, gone, or a damaged template: its last part is never sent."""
    _fill(open_service, 9000)
    settings = open_service.settings.model_copy(update={"transfer_timeout_s": 0.3})
    parts = dataclasses.replace(
        open_service.parts, settings=settings if why == "slow" else open_service.settings
    )
    if why == "fails":
        with parts.galleries.store.database.transaction() as connection:
            newest = select(func.max(templates.c.id)).scalar_subquery()
            connection.execute(update(templates).where(templates.c.id == newest).values(norm=9.0))
    answer = export_file(parts, "default")
    sent: list[dict[str, Any]] = []
    sending = asyncio.Event()

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            sending.set()
            await asyncio.sleep(0 if why == "fails" else 60)

    async def receive() -> dict[str, Any]:
        await sending.wait()
        await asyncio.sleep(0 if why == "gone" else 60)
        return {"type": "http.disconnect"}

    async def run() -> None:
        await answer({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)

    if why == "fails":
        with pytest.raises(StoreCorrupt):
            asyncio.run(run())
    else:
        asyncio.run(run())
    assert all(message.get("more_body", True) for message in sent)
    entry = list(parts.galleries.audit.entries())[-1]
    assert entry.action == "gallery.export"
    assert entry.outcome == ("store_corrupt" if why == "fails" else "stopped")
    with parts.galleries.claims.claimed(_code(open_service)) as free:
        assert free


def test_one_at_a_time(open_service: FakeService) -> None:
    """While a gallery is given out or taken in, others hear when to come again."""
    galleries = open_service.parts.galleries
    code = _code(open_service)
    with galleries.claims.claimed(code) as free:
        assert free
        for answer in (_export(open_service), _import(open_service, b"PAR1")):
            check_problem(answer, 429, "overloaded")
            assert answer.headers["retry-after"] == "30"
    assert _export(open_service).status_code == 200
    assert _export(open_service).status_code == 200


def _code(service: FakeService) -> bytes:
    return code_of(service.parts.galleries.get("default").id)


def test_two_imports_do_not_lie_in_memory_together(service: FakeService) -> None:
    """Of another gallery neither: the limit of bytes is that of the process."""
    service.parts.create_gallery("other")
    lock: asyncio.Lock = service.app.state.importing

    async def held() -> None:
        await lock.acquire()

    asyncio.run(held())
    check_problem(_import(service, b"PAR1", "other"), 429, "overloaded")
    lock.release()
    assert _import(service, b"PAR1", "other").status_code == 422


def test_another_model_is_refused(open_service: FakeService, tmp_path: Path) -> None:
    """A file of another model than the gallery's is a conflict, and nothing is written."""
    open_service.enroll("ann")
    content = _export(open_service).content
    model = write_model(tmp_path / "model", seed=5, name="other")
    other = Settings(data_folder=tmp_path / "other", model=str(model))
    with fake_service(other) as service:
        check_problem(_import(service, content), 409, "model_mismatch")
        assert service.num_templates() == 0
        entries = list(service.parts.galleries.audit.entries())
        assert entries[-1].outcome == "model_mismatch"


def _damaged(content: bytes) -> dict[str, bytes]:
    middle = len(content) // 2
    return {
        "empty": b"",
        "words": b"not a file at all" * 100,
        "magic": b"PAR1PAR1",
        "cut": content[:-10],
        "half": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "photo": make_photo(["ann"]),
        "footer": content[:-8] + b"\xff\xff\xff\x7fPAR1",
    }


@pytest.mark.parametrize(
    "how", ["empty", "words", "magic", "cut", "half", "flipped", "photo", "footer"]
)
def test_damage_is_refused(open_service: FakeService, how: str) -> None:
    """A clear refusal, all that was there stays, and nothing else comes."""
    open_service.enroll("ann")
    content = _export(open_service).content
    open_service.parts.galleries.get("default").remove_subject(
        open_service.parts.galleries.get("default").subjects().subjects[0].id
    )
    open_service.enroll("ben")
    check_problem(_import(open_service, _damaged(content)[how]), 422, "request_invalid")
    names = [each.name for each in open_service.parts.galleries.get("default").subjects().subjects]
    assert names == ["ben"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0, 0.0])
def test_bad_vectors_are_refused(open_service: FakeService, value: float) -> None:
    """NaN, infinite, not of unit length, zero; of two people none is written."""
    open_service.enroll("ann", "ben")
    content = _export(open_service).content
    table = pq.read_table(io.BytesIO(content))
    vectors = [list(each) for each in table["embedding"].to_pylist()]
    vectors[1] = [value] * 512
    metadata = {
        name: told
        for name, told in pq.read_metadata(io.BytesIO(content)).metadata.items()
        if name.startswith(b"facegallery.") and name != b"facegallery.content_sha256"
    }
    column = pa.array(vectors, type=table.schema.field("embedding").type)
    position = table.schema.get_field_index("embedding")
    changed = table.set_column(position, "embedding", column).replace_schema_metadata(metadata)
    file = io.BytesIO()
    pq.write_table(changed, file)
    open_service.parts.galleries.delete("default")
    open_service.parts.create_gallery("default")
    check_problem(_import(open_service, file.getvalue()), 422, "embedding_invalid")
    assert open_service.num_templates() == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data", ""])
def test_other_kinds_are_refused(service: FakeService, kind: str) -> None:
    """Only a Parquet file is read, as itself."""
    check_problem(_import(service, b"PAR1", kind=kind), 415, "unsupported_media_type")


def test_too_large_is_refused_while_it_comes(settings: Settings) -> None:
    """Reading stops at the limit, whether the length was announced or not."""
    small = settings.model_copy(update={"max_import_bytes": 10_000})
    with fake_service(small) as service:
        check_problem(_import(service, bytes(10_001)), 413, "request_too_large")
        headers = service.headers() | {"Content-Type": PARQUET}
        answer = post_raw(service.app, "/v1/galleries/default/import", headers, bytes(1000), 1000)
        assert answer.status == 413
        assert answer.num_bytes_read < 20_000
        check_problem(_import(service, bytes(10_000)), 422, "request_invalid")


def test_nothing_is_written_to_a_disk_in_the_clear(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With sealing on, neither way leaves a vector in data or temporary folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    key_file = tmp_path / "seal.keys"
    KeyRing.generate(key_file)
    sealed = settings.model_copy(update={"http_export": True, "sealing_key_file": key_file})
    with fake_service(sealed) as service:
        service.enroll("ann")
        content = _export(service).content
        vector = pq.read_table(io.BytesIO(content))["embedding"].to_pylist()[0]
        pattern = np.array(vector, dtype="<f4").tobytes()[100:200]
        service.parts.galleries.delete("default")
        service.parts.create_gallery("default")
        assert _import(service, content).json()["num_templates"] == 1
        assert [path for path in temporary.rglob("*") if path.is_file()] == []
        for folder in (settings.data_folder, temporary):
            for path in folder.rglob("*"):
                assert not path.is_file() or pattern not in path.read_bytes()
                assert not path.is_file() or b"PAR1" not in path.read_bytes()


def test_who_was_erased_does_not_come_back(settings: Settings, tmp_path: Path) -> None:
    """The ledger keeps them out, and the answer names their templates."""
    remembering = settings.model_copy(
        update={"http_export": True, "removal_ledger": tmp_path / "removals.ledger"}
    )
    with fake_service(remembering) as service:
        ids = service.enroll("ann", "ben")
        content = _export(service).content
        service.parts.galleries.get("default").remove_subject(ids["ann"])
        done = _import(service, content).json()
        assert (done["num_left_out"], len(done["left_out"]), done["has_ledger"]) == (1, 1, True)
        assert service.num_templates() == 1


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
