"""Galleries given out and taken in: whole, by admins, one at a time, never onto a disk."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from index.key_ring import KeyRing
from service.auth import Role
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem, fake_service
from tests.service.transfer.moving import (
    PARQUET,
    actions,
    claim_of_default,
    export_gallery,
    fill,
    import_gallery,
)


def test_a_gallery_moves_to_another_service(
    open_service: FakeService, tmp_path: Path, fake_model: Path
) -> None:
    """People are found there under the same ids, at once; both sides are audited."""
    ids = open_service.enroll("ann", "ben")
    answer = export_gallery(open_service)
    assert (answer.status_code, answer.headers["content-type"]) == (200, PARQUET)
    assert actions(open_service)[-2:] == [("gallery.export", "begun"), ("gallery.export", "done")]
    other = Settings(data_folder=tmp_path / "other", model=str(fake_model))
    with fake_service(other) as service:
        done = import_gallery(service, answer.content).json()
        assert (done["num_templates"], done["num_subjects"], done["num_present"]) == (2, 2, 0)
        assert actions(service)[-1] == ("gallery.import", "done")
        found = service.http.post(
            "/v1/identify", headers=service.headers(), files={"photo": make_photo(["ann"])}
        ).json()["faces"][0]
        assert (found["decision"], found["subject"]["id"]) == ("match", ids["ann"])
        again = import_gallery(service, answer.content).json()
        assert (again["num_templates"], again["num_present"]) == (0, 2)
        assert service.num_templates() == 2


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.IDENTIFIER, Role.AUDITOR])
def test_only_admins(open_service: FakeService, role: Role) -> None:
    """No other role gets a file, or gives one."""
    headers = open_service.headers(role)
    check_problem(export_gallery(open_service, **headers), 403, "key_forbidden")
    answer = open_service.http.post(
        "/v1/galleries/default/import", headers=headers, content=b"PAR1"
    )
    check_problem(answer, 403, "key_forbidden")


def test_no_such_gallery(open_service: FakeService) -> None:
    """Neither way makes one, in other letters neither."""
    for name in ("absent", "DEFAULT", "default~1", "..%2Fdefault"):
        assert export_gallery(open_service, name).status_code in {404, 409}
        answer = import_gallery(open_service, b"PAR1", name)
        assert answer.status_code in {404, 409}
    assert [each.name for each in open_service.parts.galleries.list()] == ["default"]


def test_many_parts_make_a_whole_file(open_service: FakeService) -> None:
    """A gallery of several row groups comes as a file that is in order; an empty one, too."""
    empty = export_gallery(open_service)
    assert pq.read_table(io.BytesIO(empty.content)).num_rows == 0
    fill(open_service, 9000)
    table = pq.read_table(io.BytesIO(export_gallery(open_service).content))
    assert table.num_rows == 9000
    assert (
        import_gallery(open_service, export_gallery(open_service).content).json()["num_present"]
        == 9000
    )


def test_one_at_a_time(open_service: FakeService) -> None:
    """While a gallery is given out or taken in, others hear when to come again."""
    galleries = open_service.parts.galleries
    code = claim_of_default(open_service)
    with galleries.claims.claimed(code) as free:
        assert free
        for answer in (export_gallery(open_service), import_gallery(open_service, b"PAR1")):
            check_problem(answer, 429, "overloaded")
            assert answer.headers["retry-after"] == "30"
    assert export_gallery(open_service).status_code == 200
    assert export_gallery(open_service).status_code == 200


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
        content = export_gallery(service).content
        vector = pq.read_table(io.BytesIO(content))["embedding"].to_pylist()[0]
        pattern = np.array(vector, dtype="<f4").tobytes()[100:200]
        service.parts.galleries.delete("default")
        service.parts.create_gallery("default")
        assert import_gallery(service, content).json()["num_templates"] == 1
        assert [path for path in temporary.rglob("*") if path.is_file()] == []
        for folder in (settings.data_folder, temporary):
            for path in folder.rglob("*"):
                assert not path.is_file() or pattern not in path.read_bytes()
                assert not path.is_file() or b"PAR1" not in path.read_bytes()
