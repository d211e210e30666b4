"""Galleries taken in from memory, all or nothing."""

import asyncio
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.settings import Settings
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem, fake_service, post_raw, write_model
from tests.service.transfer.moving import PARQUET, export_gallery, import_gallery


def test_two_imports_do_not_lie_in_memory_together(service: FakeService) -> None:
    """Of another gallery neither: the limit of bytes is that of the process."""
    service.parts.create_gallery("other")
    lock: asyncio.Lock = service.app.state.importing

    async def held() -> None:
        await lock.acquire()

    asyncio.run(held())
    check_problem(import_gallery(service, b"PAR1", "other"), 429, "overloaded")
    lock.release()
    assert import_gallery(service, b"PAR1", "other").status_code == 422


def test_another_model_is_refused(open_service: FakeService, tmp_path: Path) -> None:
    """A file of another model than the gallery's is a conflict, and nothing is written."""
    open_service.enroll("ann")
    content = export_gallery(open_service).content
    model = write_model(tmp_path / "model", seed=5, name="other")
    other = Settings(data_folder=tmp_path / "other", model=str(model))
    with fake_service(other) as service:
        check_problem(import_gallery(service, content), 409, "model_mismatch")
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
    content = export_gallery(open_service).content
    open_service.parts.galleries.get("default").remove_subject(
        open_service.parts.galleries.get("default").subjects().subjects[0].id
    )
    open_service.enroll("ben")
    check_problem(import_gallery(open_service, _damaged(content)[how]), 422, "request_invalid")
    names = [each.name for each in open_service.parts.galleries.get("default").subjects().subjects]
    assert names == ["ben"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0, 0.0])
def test_bad_vectors_are_refused(open_service: FakeService, value: float) -> None:
    """NaN, infinite, not of unit length, zero; of two people none is written."""
    open_service.enroll("ann", "ben")
    content = export_gallery(open_service).content
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
    check_problem(import_gallery(open_service, file.getvalue()), 422, "embedding_invalid")
    assert open_service.num_templates() == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data", ""])
def test_other_kinds_are_refused(service: FakeService, kind: str) -> None:
    """Only a Parquet file is read, as itself."""
    check_problem(import_gallery(service, b"PAR1", kind=kind), 415, "unsupported_media_type")


def test_too_large_is_refused_while_it_comes(settings: Settings) -> None:
    """Reading stops at the limit, whether the length was announced or not."""
    small = settings.model_copy(update={"max_import_bytes": 10_000})
    with fake_service(small) as service:
        check_problem(import_gallery(service, bytes(10_001)), 413, "request_too_large")
        headers = service.headers() | {"Content-Type": PARQUET}
        answer = post_raw(service.app, "/v1/galleries/default/import", headers, bytes(1000), 1000)
        assert answer.status == 413
        assert answer.num_bytes_read < 20_000
        check_problem(import_gallery(service, bytes(10_000)), 422, "request_invalid")


def test_who_was_erased_does_not_come_back(settings: Settings, tmp_path: Path) -> None:
    """The ledger keeps them out, and the answer names their templates."""
    remembering = settings.model_copy(
        update={"http_export": True, "removal_ledger": tmp_path / "removals.ledger"}
    )
    with fake_service(remembering) as service:
        ids = service.enroll("ann", "ben")
        content = export_gallery(service).content
        service.parts.galleries.get("default").remove_subject(ids["ann"])
        done = import_gallery(service, content).json()
        assert (done["num_left_out"], len(done["left_out"]), done["has_ledger"]) == (1, 1, True)
        assert service.num_templates() == 1
