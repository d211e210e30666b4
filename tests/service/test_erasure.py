"""Removing a person over HTTP: the receipt, preliminary and final."""

from pathlib import Path

import pytest

from index.cli.main import main
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
