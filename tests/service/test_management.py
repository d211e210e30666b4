"""Tests of the routes around galleries, subjects, keys, models and health."""

import logging
import os
from typing import Any

import pytest

from embedding.errors import ModelInvalid
from service.assembly import open_parts
from service.auth import Role
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo
from tests.service.support import FakeService, check_problem, fake_service


def test_default_gallery_at_first_start(service: FakeService) -> None:
    """A fresh data folder has one empty gallery with the model of the settings."""
    galleries = service.http.get("/v1/galleries", headers=service.headers()).json()["galleries"]
    assert [(g["name"], g["num_subjects"], g["model"]) for g in galleries] == [
        ("default", 0, "fake")
    ]


def test_gallery_is_made_used_and_deleted(service: FakeService) -> None:
    """People of one gallery are strangers in another, and go with it."""
    headers = service.headers()
    made = service.http.post("/v1/galleries", headers=headers, json={"name": "door"})
    assert made.status_code == 201
    service.http.post(
        "/v1/enroll",
        headers=headers,
        data={"subject": "ann", "gallery": "door"},
        files=[("photos", ("a", make_photo(["ann"])))],
    )
    found = {
        gallery: service.http.post(
            "/v1/identify",
            headers=headers,
            data={"gallery": gallery},
            files={"photo": make_photo(["ann"])},
        ).json()["faces"][0]["decision"]
        for gallery in ("default", "door")
    }
    assert found == {"default": "unknown", "door": "match"}
    removed = service.http.delete("/v1/galleries/door", headers=headers).json()
    assert removed["num_templates"] == removed["receipt"]["content"]["num_templates"] == 1
    again = service.http.get("/v1/galleries/door/subjects", headers=headers)
    assert (again.status_code, again.json()["code"]) == (404, "gallery_not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "default"}, 409, "gallery_exists"),
        ({"name": "a b"}, 422, "name_invalid"),
        ({"name": ""}, 422, "name_invalid"),
        ({"name": "new", "model": "absent"}, 409, "model_not_found"),
        ({"name": "new", "model": "/etc"}, 409, "model_not_found"),
        ({"name": 7}, 422, "request_invalid"),
        ({}, 422, "request_invalid"),
    ],
)
def test_gallery_that_cannot_be_made(
    shared_service: FakeService, body: dict[str, object], status: int, code: str
) -> None:
    """A gallery with a bad name or model is refused; a model is never a path over HTTP."""
    answer = shared_service.http.post("/v1/galleries", headers=shared_service.headers(), json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_subjects_page_by_cursor(service: FakeService) -> None:
    """The pages together are all subjects, in the order of their enrollment."""
    service.enroll("dan", "ann", "cat", "ben", "eve")
    names: list[str] = []
    query = {"limit": "2"}
    while True:
        page = service.http.get(
            "/v1/galleries/default/subjects", headers=service.headers(), params=query
        ).json()
        names += [each["name"] for each in page["subjects"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert names == ["dan", "ann", "cat", "ben", "eve"]


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"cursor": "forged"}]
)
def test_page_that_cannot_be_given(shared_service: FakeService, query: dict[str, str]) -> None:
    """A limit out of range or a cursor from nowhere is refused."""
    answer = shared_service.http.get(
        "/v1/galleries/default/subjects", headers=shared_service.headers(), params=query
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_subject_is_shown_and_removed(service: FakeService) -> None:
    """A subject can be looked at until it is removed; then it is not found."""
    path = f"/v1/galleries/default/subjects/{service.enroll('ann')['ann']}"
    assert service.http.get(path, headers=service.headers()).json()["name"] == "ann"
    removed = service.http.delete(path, headers=service.headers()).json()
    assert removed["num_templates"] == 1
    for method in ("GET", "DELETE"):
        answer = service.http.request(method, path, headers=service.headers())
        assert (answer.status_code, answer.json()["code"]) == (404, "subject_not_found")


def test_keys_over_http(service: FakeService) -> None:
    """A key is made, shown once, listed without its secret, and revoked."""
    headers = service.headers()
    made = service.http.post(
        "/v1/keys", headers=headers, json={"role": "operator", "galleries": ["default"]}
    ).json()
    listed = service.http.get("/v1/keys", headers=headers)
    assert made["key"].startswith(f"fg_{made['key_id']}_")
    assert made["key"] not in listed.text
    own = {"Authorization": f"Bearer {made['key']}"}
    assert service.http.get("/v1/galleries", headers=own).status_code == 200
    revoked = service.http.delete(f"/v1/keys/{made['key_id']}", headers=headers)
    assert revoked.json()["revoked_at"] is not None
    assert service.http.get("/v1/galleries", headers=own).status_code == 401


def test_key_cannot_revoke_itself(service: FakeService) -> None:
    """The key in use stays good."""
    headers = service.headers()
    key_id = headers["Authorization"].split("_")[1]
    answer = service.http.delete(f"/v1/keys/{key_id}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "key_forbidden")
    assert service.http.get("/v1/keys", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "body", [{"role": "owner"}, {"role": "admin", "galleries": []}, {"role": "admin", "x": 1}]
)
def test_key_that_cannot_be_made(shared_service: FakeService, body: dict[str, object]) -> None:
    """An unknown role, an empty list of galleries or an unknown field is refused."""
    answer = shared_service.http.post("/v1/keys", headers=shared_service.headers(), json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_models(shared_service: FakeService) -> None:
    """The model for new galleries comes first, with its licence."""
    models = shared_service.http.get("/v1/models", headers=shared_service.headers()).json()
    first = models["models"][0]
    assert (first["name"], first["default"], first["licence"]) == ("fake", True, "for tests")


def test_health(shared_service: FakeService) -> None:
    """Without a key the service tells that it lives and is ready, and nothing else."""
    assert shared_service.http.get("/healthz").json() == {"status": "ok"}
    ready = shared_service.http.get("/readyz").json()
    assert ready == {"status": "ok", "staleness_s": 0.0, "upkeep_failing_s": 0.0}


def test_everything_is_there_after_a_restart(settings: Settings) -> None:
    """Subjects, templates and keys outlive the process that acknowledged them."""
    with fake_service(settings) as service:
        headers = service.headers()
        ids = service.enroll("ann", "ben")
    with fake_service(settings) as service:
        answer = service.http.post(
            "/v1/identify", headers=headers, files={"photo": make_photo(["ben"])}
        )
        assert answer.json()["faces"][0]["subject"]["id"] == ids["ben"]


def test_request_ids(shared_service: FakeService) -> None:
    """An answer carries the caller's request id, or one of its own for an odd one."""
    own = shared_service.http.get("/healthz", headers={"X-Request-ID": "trace-7"})
    assert own.headers["x-request-id"] == "trace-7"
    odd = shared_service.http.get("/healthz", headers={"X-Request-ID": "a b\tc"})
    assert len(odd.headers["x-request-id"]) == 32
    assert "server" not in odd.headers


def test_log_holds_ids_only(service: FakeService, caplog: pytest.LogCaptureFixture) -> None:
    """One line a request with route, status and key id; no name, no key."""
    caplog.set_level(logging.DEBUG)
    headers = service.headers(Role.OPERATOR)
    service.http.post(
        "/v1/enroll",
        headers=headers,
        data={"subject": "Ada Lovelace"},
        files=[("photos", ("portrait of Ada.png", make_photo(["ann"])))],
    )
    service.http.get("/v1/galleries/default/subjects/Ada", headers=headers)
    key = headers["Authorization"].removeprefix("Bearer ")
    lines = [record.getMessage() for record in caplog.records if "request id=" in record.message]
    assert any("route=/v1/enroll status=201" in line for line in lines)
    assert any("route=/v1/galleries/{gallery}/subjects/{subject_id}" in line for line in lines)
    assert all(f"key={key.split('_')[1]}" in line for line in lines)
    ours = " ".join(r.getMessage() for r in caplog.records if r.name != "httpx2")
    assert "Ada" not in ours
    assert key.split("_", 2)[2] not in caplog.text


def test_method_that_is_not_allowed(shared_service: FakeService) -> None:
    """The answer lists every method that the path has."""
    answer = shared_service.http.put("/v1/keys", headers=shared_service.headers())
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


def test_workers_on_any_system(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process cannot ask which cores are its own, all of them count."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert service.parts.num_workers == os.cpu_count()


def test_rates_that_the_model_does_not_hold(settings: Settings) -> None:
    """A rate without thresholds in the model's card stops the start and names the settings."""
    other = settings.model_copy(update={"fpir": 0.02})
    with (
        pytest.raises(ModelInvalid, match="FACEGALLERY_FPIR"),
        open_parts(other, detector=FakeDetector()) as parts,
    ):
        parts.warm_up()


def test_galleries_and_keys_page_by_cursor(service: FakeService) -> None:
    """The pages together are all that the key reaches; a cursor of another list is refused."""
    for name in ("attic", "cellar", "door", "gate"):
        service.parts.create_gallery(name)
    tied = service.headers(Role.OPERATOR, galleries=["attic", "default", "gate"])
    everything = service.headers()
    found = {
        "galleries": _all_pages(service, "/v1/galleries", tied, "galleries"),
        "keys": _all_pages(service, "/v1/keys", everything, "keys"),
    }
    assert [each["name"] for each in found["galleries"]] == ["attic", "default", "gate"]
    assert [each["key_id"] for each in found["keys"]] == [
        each.key_id for each in service.parts.keys.list()
    ]
    cursor = service.http.get("/v1/galleries?limit=1", headers=tied).json()["next_cursor"]
    asked = {"cursor": cursor}
    refused = service.http.get("/v1/keys", headers=everything, params=asked)
    check_problem(refused, 422, "request_invalid")


def _all_pages(
    service: FakeService, path: str, headers: dict[str, str], name: str
) -> list[dict[str, Any]]:
    """What a list holds, read two at a time."""
    found: list[dict[str, Any]] = []
    query = {"limit": "2"}
    while True:
        page = service.http.get(path, headers=headers, params=query).json()
        found += page[name]
        if page["next_cursor"] is None:
            return found
        assert len(page[name]) == 2
        query["cursor"] = page["next_cursor"]
