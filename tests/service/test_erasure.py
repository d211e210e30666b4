"""Removing a person over HTTP: the receipt, preliminary and final."""

from pathlib import Path

import pytest

from index.cli.main import main
from service.auth import Role
from tests.service.support import FakeService, check_problem


def test_a_removal_answers_a_receipt_that_becomes_final(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer holds a signed receipt; after the purge its final form can be got and checked."""
    subject = service.enroll("ann")["ann"]
    path = f"/v1/galleries/default/subjects/{subject}"
    headers = service.headers()
    check_problem(service.http.get(f"{path}/erasure", headers=headers), 404, "subject_not_found")
    removed = service.http.delete(path, headers=headers)
    content = removed.json()["receipt"]["content"]
    assert (content["subject_id"], content["num_templates"]) == (subject, 1)
    assert not content["final"]
    assert content["purge_due_at"] > content["removed_at"]
    service.parts.galleries.maintain()
    final = service.http.get(f"{path}/erasure", headers=headers)
    assert final.json()["content"]["final"]
    key = final.json()["public_key"]
    for document, expected in ((removed.text, "not final"), (final.text, "is final")):
        file = tmp_path / "receipt.json"
        file.write_text(document)
        main_exits(["receipt", "verify", str(file), "--public-key", key], 0)
        assert expected in capsys.readouterr().out
        file.write_text(document.replace('"num_templates":1', '"num_templates":2'))
        main_exits(["receipt", "verify", str(file), "--public-key", key], 1)


def main_exits(arguments: list[str], code: int) -> None:
    """Runs ``facegallery-index`` and checks its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert int(caught.value.code or 0) == code


def test_a_deleted_gallery_answers_a_receipt_too(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is signed, becomes final, is asked for by the name, and by nobody but an admin."""
    service.enroll("ann", "ben")
    headers = service.headers()
    path = "/v1/galleries/default"
    check_problem(service.http.get(f"{path}/erasure", headers=headers), 404, "gallery_not_found")
    removed = service.http.delete(path, headers=headers)
    content = removed.json()["receipt"]["content"]
    assert (content["subject_id"], content["num_subjects"]) == (None, 2)
    assert (removed.json()["num_templates"], content["final"]) == (2, False)
    service.parts.galleries.maintain()
    final = service.http.get(f"{path}/erasure", headers=headers)
    assert final.json()["content"]["final"]
    file = tmp_path / "receipt.json"
    file.write_text(final.text)
    main_exits(["receipt", "verify", str(file), "--public-key", final.json()["public_key"]], 0)
    assert "is final" in capsys.readouterr().out
    operator = service.headers(Role.OPERATOR)
    check_problem(service.http.get(f"{path}/erasure", headers=operator), 403, "key_forbidden")
    other = service.http.get("/v1/galleries/DEFAULT/erasure", headers=headers)
    check_problem(other, 404, "gallery_not_found")
