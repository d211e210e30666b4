"""The audit log over HTTP: who may read what, and that nothing that is done is missing."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from embedding.errors import SettingsInvalid
from index.audit.entries import AuditEvent
from index.galleries import Galleries
from index.store.audit_reading import verify_exports
from service.auth import Role
from service.settings import Settings, check_settings
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem, fake_service

PHOTO = make_photo(["ann"])


def _entries(service: FakeService, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    answer = service.http.get("/v1/audit?limit=1000", headers=headers or service.headers())
    assert answer.status_code == 200
    entries: list[dict[str, Any]] = answer.json()["entries"]
    return entries


def _done(service: FakeService, key_id: str) -> list[tuple[str, str]]:
    return [(e["action"], e["outcome"]) for e in _entries(service) if e["actor"] == key_id]


def _id(headers: dict[str, str]) -> str:
    return headers["Authorization"].split("_")[1]


def test_what_a_key_does_stands_under_its_id(service: FakeService) -> None:
    """Enroll, identify, removal, gallery and key changes name the key, in their order."""
    headers = service.headers()
    enrolled = service.http.post(
        "/v1/enroll", headers=headers, data={"subject": "ann"}, files=[("photos", ("a", PHOTO))]
    )
    path = f"/v1/galleries/default/subjects/{enrolled.json()['subject_id']}"
    service.http.post("/v1/identify", headers=headers, files={"photo": PHOTO})
    service.http.delete(path, headers=headers)
    service.http.post("/v1/galleries", headers=headers, json={"name": "other"})
    service.http.delete("/v1/galleries/other", headers=headers)
    made = service.http.post("/v1/keys", headers=headers, json={"role": "auditor"})
    service.http.delete(f"/v1/keys/{made.json()['key_id']}", headers=headers)
    found = _done(service, _id(headers))
    assert sorted(found) == sorted(
        (action, "done")
        for action in (
            "subject.enroll",
            "identify",
            "subject.remove",
            "gallery.create",
            "gallery.delete",
            "key.create",
            "key.revoke",
        )
    )


def test_an_identification_names_whom_it_named(service: FakeService) -> None:
    """A match stands under the pseudonym of the enroll; a stranger is only counted."""
    service.enroll("ann")
    for person in ("ann", "ben"):
        photo = make_photo([person])
        service.http.post("/v1/identify", headers=service.headers(), files={"photo": photo})
    enrolled = [e for e in _entries(service) if e["action"] == "subject.enroll"]
    ann, ben = (e for e in _entries(service) if e["action"] == "identify")
    assert ann["subjects"] == enrolled[0]["subjects"]
    assert ann["facts"] == {"num_match": 1, "num_review": 0, "num_unknown": 0}
    assert (ben["subjects"], ben["facts"]["num_unknown"]) == ([], 1)


def test_identifications_can_be_left_out(settings: Settings) -> None:
    """The setting leaves them out, and nothing else."""
    changed = settings.model_copy(update={"audit_identifies": False})
    with fake_service(changed) as service:
        service.enroll("ann")
        service.http.post("/v1/identify", headers=service.headers(), files={"photo": PHOTO})
        actions = {each["action"] for each in _entries(service)}
    assert "identify" not in actions
    assert "subject.enroll" in actions


def test_refusals_of_a_valid_key_are_entered(service: FakeService) -> None:
    """What a key may not do stands there with the error's code; requests without a key do not."""
    headers = service.headers(Role.IDENTIFIER)
    service.http.get("/v1/keys", headers=headers)
    service.http.delete("/v1/galleries/default", headers=headers)
    service.http.post("/v1/identify", headers=headers, files={"photo": b"no photo"})
    service.http.get("/v1/keys")
    service.http.delete("/v1/galleries/default", headers={"Authorization": "Bearer fg_x"})
    assert _done(service, _id(headers)) == [
        ("GET /v1/keys", "key_forbidden"),
        ("DELETE /v1/galleries/{gallery}", "key_forbidden"),
        ("POST /v1/identify", "photo_unreadable"),
    ]
    others = [each for each in _entries(service) if each["actor"] != _id(headers)]
    assert not any(each["action"].startswith("DELETE") for each in others)


def test_no_name_and_no_id_of_a_person_is_in_it(service: FakeService) -> None:
    """The whole log, as it is exported, holds neither a name nor a subject's id."""
    ids = service.enroll("ann", "ben")
    service.http.post("/v1/identify", headers=service.headers(), files={"photo": PHOTO})
    text = service.http.get("/v1/audit/export", headers=service.headers()).text
    assert not any(each in text for each in (*ids, *ids.values()))


def test_a_tied_auditor_reads_its_galleries(service: FakeService) -> None:
    """Entries of other galleries, and of keys, are not shown to a key that is tied."""
    service.parts.create_gallery("mine")
    service.enroll("ann")
    headers = service.headers(Role.AUDITOR, galleries=["mine"])
    mine = service.parts.galleries.get("mine").id
    assert {each["gallery_id"] for each in _entries(service, headers)} == {mine}
    export = service.http.get("/v1/audit/export", headers=headers).text.splitlines()
    assert {json.loads(each)["gallery_id"] for each in export} == {mine}


def test_pages_and_export_agree(service: FakeService) -> None:
    """Pages of two give the entries of the export; a forged cursor is refused."""
    service.enroll("ann", "ben", "cat")
    headers = service.headers(Role.AUDITOR)
    found, cursor = [], ""
    while cursor is not None:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = service.http.get("/v1/audit", params=query, headers=headers).json()
        found += [each["number"] for each in page["entries"]]
        cursor = page["next_cursor"]
    export = service.http.get("/v1/audit/export", headers=headers).text.splitlines()
    assert found == [json.loads(each)["number"] for each in export]
    forged = service.http.get("/v1/audit?cursor=AAAA", headers=headers)
    check_problem(forged, 422, "request_invalid")


@pytest.mark.parametrize("limit", ["0", "1001", "x"])
def test_the_limit_of_a_page_is_checked(shared_service: FakeService, limit: str) -> None:
    """A page has 1 to 1000 entries."""
    answer = shared_service.http.get(f"/v1/audit?limit={limit}", headers=shared_service.headers())
    check_problem(answer, 422, "request_invalid")


def test_entries_are_asked_for(service: FakeService) -> None:
    """By order, key, family and refusal, alone and together; a tied key stays in its galleries."""
    service.enroll("ann")
    service.http.post("/v1/galleries", headers=service.headers(), json={"name": "other"})
    identifier = service.headers(Role.IDENTIFIER)
    service.http.get("/v1/galleries", headers=identifier)
    service.http.post("/v1/identify", headers=identifier, files={"photo": PHOTO})

    def found(query: str, headers: dict[str, str] | None = None) -> list[str]:
        answer = service.http.get(f"/v1/audit?{query}", headers=headers or service.headers())
        assert answer.status_code == 200
        return [each["action"] for each in answer.json()["entries"]]

    headers = service.headers()
    assert found("newest_first=true", headers) == found("limit=1000", headers)[::-1]
    assert found("action=subject") == ["subject.enroll"]
    assert found("action=subj") == []
    assert found("refused=true") == ["GET /v1/galleries"]
    assert sorted(found(f"actor={_id(identifier)}")) == ["GET /v1/galleries", "identify"]
    assert found(f"actor={_id(identifier)}&action=identify") == ["identify"]
    tied = service.headers(Role.AUDITOR, galleries=["other"])
    assert found("action=gallery", tied) == ["gallery.create"]
    assert found("action=key", tied) == []


@pytest.mark.parametrize("query", ["actor=%00", "action=a%00b", "actor=%C3%A9", "refused=2"])
def test_what_no_entry_has_is_refused(service: FakeService, query: str) -> None:
    """Before the database is asked, which may not take it."""
    answer = service.http.get(f"/v1/audit?{query}", headers=service.headers())
    check_problem(answer, 422, "request_invalid")


def test_a_page_with_nothing_wanted_leads_on(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where few of many entries are wanted, pages may be empty and still have a next one."""
    monkeypatch.setattr("index.store.audit_log.MOST_LOOKED_AT", 1)
    service.enroll("ann")
    headers = service.headers(Role.AUDITOR)
    cursor, actions, num_pages = "", list[str](), 0
    while cursor is not None:
        path = f"/v1/audit?newest_first=true&action=subject&cursor={cursor}".removesuffix(
            "&cursor="
        )
        answer = service.http.get(path, headers=headers)
        actions += [each["action"] for each in answer.json()["entries"]]
        cursor = answer.json()["next_cursor"]
        num_pages += 1
    assert actions == ["subject.enroll"]
    assert num_pages > 2


def test_old_entries_go_by_themselves_and_an_export_verifies(
    settings: Settings, tmp_path: Path
) -> None:
    """With the setting the upkeep cuts, the API gives the rest, and its export is proved."""
    archive, export = tmp_path / "archive", tmp_path / "rest.jsonl"
    archive.mkdir()
    with Galleries.open(settings.data_folder, upkeep_s=None) as galleries:
        for days in (50, 40, 20):
            at = datetime.now(UTC) - timedelta(days=days)
            galleries.audit.record(AuditEvent(action=f"{days} days", at=at))
    changed = settings.model_copy(update={"audit_keep_days": 30.0, "audit_archive": archive})
    with fake_service(changed) as service:
        service.parts.galleries.maintain()
        assert _entries(service)[0]["action"] == "20 days"
        query, headers = "/v1/audit?newest_first=true&limit=1", service.headers()
        while (page := service.http.get(query, headers=headers).json())["next_cursor"]:
            query = query.partition("&cursor=")[0] + f"&cursor={page['next_cursor']}"
        assert page["entries"][-1]["action"] == "20 days"
        answer = service.http.get("/v1/audit/export", headers=service.headers())
        export.write_bytes(answer.content)
        tied = service.headers(galleries=["default"])
        lines = service.http.get("/v1/audit/export", headers=tied).text.splitlines()
        assert all("number" in json.loads(each) for each in lines)
    assert verify_exports(settings.data_folder, [export]).whole
    whole = verify_exports(settings.data_folder, [*archive.iterdir(), export])
    assert (whole.findings, whole.cut.count) == ([], 0)


def test_an_archive_needs_a_limit(settings: Settings, tmp_path: Path) -> None:
    """A folder for what is cut off, without a limit, is a mistake."""
    with pytest.raises(SettingsInvalid, match="audit_keep_days"):
        check_settings(settings.model_copy(update={"audit_archive": tmp_path}))
