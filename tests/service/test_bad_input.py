"""Bad input: each a clear 4xx with a code, never a 5xx, and nothing is half done."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from service.auth import Role
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.support import (
    FakeService,
    MiB,
    bomb,
    check_problem,
    fake_service,
    with_ballast,
    write_model,
)

pytestmark = pytest.mark.usefixtures("nothing_is_written")

GOOD = make_photo(["ann"])


def _post(
    service: FakeService, path: str, photo: bytes, fields: dict[str, str] | None = None
) -> Any:
    data = {"/v1/enroll": {"subject": "bob"}, "/v1/verify": {"subject": "ann"}}.get(path, {})
    part = "photos" if data else "photo"
    return service.http.post(
        path,
        headers=service.headers(),
        data=data | (fields or {}),
        files=[(part, ("photo.jpg", photo))],
    )


PHOTOS = {
    "zero bytes": (b"", 422, "photo_unreadable"),
    "text": (b"This is no photo, whatever its name says.", 422, "photo_unreadable"),
    "truncated PNG": (GOOD[: len(GOOD) // 2], 422, "photo_unreadable"),
    "truncated JPEG": (make_photo(["ann"], kind="JPEG")[:700], 422, "photo_unreadable"),
    "bomb": (bomb(), 413, "photo_too_many_pixels"),
    "large photo": (with_ballast(GOOD, 6 * MiB)[0], 413, "photo_too_large"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "photo_unreadable"),
}


@pytest.mark.parametrize("path", ["/v1/enroll", "/v1/identify", "/v1/verify", "/v1/detect"])
@pytest.mark.parametrize("name", PHOTOS)
def test_photo_that_is_none(shared_service: FakeService, path: str, name: str) -> None:
    """What is not a photo within the limits is refused by every route that takes one."""
    photo, status, code = PHOTOS[name]
    check_problem(_post(shared_service, path, photo), status, code)


FIELDS: dict[str, tuple[dict[str, str], int, str]] = {
    "unknown gallery": ({"gallery": "absent"}, 404, "gallery_not_found"),
    "gallery with a path": ({"gallery": "../default"}, 404, "gallery_not_found"),
    "unknown subject": ({"subject": "", "subject_id": "absent"}, 422, "request_invalid"),
    "name with a slash": ({"subject": "a/b"}, 422, "name_invalid"),
    "name with NUL": ({"subject": "a\0b"}, 422, "name_invalid"),
    "long name": ({"subject": "x" * 10_000}, 422, "name_invalid"),
    "huge name": ({"subject": "x" * 100_000}, 400, "request_malformed"),
    "empty name": ({"subject": " "}, 422, "name_invalid"),
    "long external id": ({"external_id": "x" * 10_000}, 422, "name_invalid"),
    "junk for yes or no": ({"force": "perhaps"}, 422, "request_invalid"),
    "empty for yes or no": ({"dry_run": ""}, 422, "request_invalid"),
    "unknown face": ({"face": "best"}, 422, "request_invalid"),
    "unknown field": ({"threshold": "0.1"}, 422, "request_invalid"),
    "box without a face": ({"box": "0,0,10,10"}, 422, "face_not_at_box"),
    "box of three numbers": ({"box": "0,0,10"}, 422, "request_invalid"),
    "box of words": ({"box": "a,b,c,d"}, 422, "request_invalid"),
    "box of NaN": ({"box": "nan,0,10,10"}, 422, "request_invalid"),
    "box of infinity": ({"box": "0,0,inf,10"}, 422, "request_invalid"),
    "box inside out": ({"box": "10,10,0,0"}, 422, "request_invalid"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_field_of_enroll(shared_service: FakeService, name: str) -> None:
    """A field that cannot be meant is refused, with a code that says which rule is broken."""
    fields, status, code = FIELDS[name]
    check_problem(_post(shared_service, "/v1/enroll", GOOD, fields), status, code)


def test_unknown_subject_id(shared_service: FakeService) -> None:
    """Templates for a subject that does not exist are refused."""
    answer = shared_service.http.post(
        "/v1/enroll",
        headers=shared_service.headers(),
        data={"subject_id": "absent"},
        files=[("photos", ("photo", GOOD))],
    )
    check_problem(answer, 404, "subject_not_found")


def test_enroll_of_nobody(shared_service: FakeService) -> None:
    """An enroll that does not say whom is refused."""
    answer = shared_service.http.post(
        "/v1/enroll", headers=shared_service.headers(), files=[("photos", ("photo", GOOD))]
    )
    check_problem(answer, 422, "request_invalid")


def test_enroll_without_a_face(shared_service: FakeService) -> None:
    """A photo without a face makes no template."""
    check_problem(_post(shared_service, "/v1/enroll", make_photo([])), 422, "no_face")


def test_enroll_with_several_faces(shared_service: FakeService) -> None:
    """With several faces the caller says which."""
    check_problem(
        _post(shared_service, "/v1/enroll", make_photo(["ann", "ben"])), 422, "several_faces"
    )


def test_box_with_several_photos(shared_service: FakeService) -> None:
    """A box belongs to one photo."""
    answer = shared_service.http.post(
        "/v1/enroll",
        headers=shared_service.headers(),
        data={"subject": "bob", "box": "28,28,140,168"},
        files=[("photos", ("a", GOOD)), ("photos", ("b", GOOD))],
    )
    check_problem(answer, 422, "request_invalid")


def test_too_many_photos(shared_service: FakeService) -> None:
    """The number of photos in a request is bounded."""
    answer = shared_service.http.post(
        "/v1/enroll",
        headers=shared_service.headers(),
        data={"subject": "bob"},
        files=[("photos", (str(number), GOOD)) for number in range(33)],
    )
    check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize("number", ["0", "-1", "101", "many", "1e9", "NaN"])
def test_number_of_candidates(shared_service: FakeService, number: str) -> None:
    """A number of candidates out of range is refused."""
    answer = _post(shared_service, "/v1/identify", GOOD, {"num_candidates": number})
    check_problem(answer, 422, "request_invalid")


def test_photo_twice(shared_service: FakeService) -> None:
    """Identify takes one photo; of two none is silently left out."""
    answer = shared_service.http.post(
        "/v1/identify",
        headers=shared_service.headers(),
        files=[("photo", ("a", GOOD)), ("photo", ("b", GOOD))],
    )
    check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize(
    ("method", "address", "told"),
    [
        ("POST", "/v1/identify?gallery=other", "fields go into the body"),
        ("GET", "/v1/galleries/default/subjects?limitt=1", "limit, cursor, name, external_id"),
        ("GET", "/v1/audit?gallery=default", "limit, cursor"),
        ("GET", "/v1/galleries/default/subjects?limit=1&limit=2", "twice"),
        ("DELETE", "/v1/galleries/default?dry_run=true", "there are none"),
    ],
)
def test_query_that_would_have_no_effect(
    shared_service: FakeService, method: str, address: str, told: str
) -> None:
    """A parameter that the route does not know, or has twice, is refused and not passed over."""
    files = {"photo": GOOD} if method == "POST" else None
    answer = shared_service.http.request(
        method, address, headers=shared_service.headers(), files=files
    )
    check_problem(answer, 422, "request_invalid")
    assert told in answer.json()["detail"]


def test_a_method_that_there_is_not(shared_service: FakeService) -> None:
    """The document names the methods that there are, as the header does."""
    answer = shared_service.http.put("/v1/galleries", headers=shared_service.headers())
    check_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"
    assert answer.json()["detail"] == "this route takes only GET, POST"


def test_field_twice(shared_service: FakeService) -> None:
    """A field that is given twice is not guessed at."""
    answer = shared_service.http.post(
        "/v1/identify",
        headers=shared_service.headers(),
        data={"gallery": ["default", "other"]},
        files={"photo": GOOD},
    )
    check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize(
    "header",
    ["", "fg_x", "Bearer", "Bearer ", "Bearer fg_x", "Basic YTpi", "Bearer fg_" + "x" * 9000],
)
def test_malformed_key(shared_service: FakeService, header: str) -> None:
    """Whatever is not a key is a 401 that says how keys are sent."""
    answer = shared_service.http.get("/v1/galleries", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["code"] in {"key_missing", "key_invalid"}
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_missing_and_revoked_key(shared_service: FakeService) -> None:
    """A missing key and a revoked one are told apart, and both refused."""
    check_problem(shared_service.http.get("/v1/galleries"), 401, "key_missing")
    headers = shared_service.headers(Role.OPERATOR)
    key_id = headers["Authorization"].split("_")[1]
    assert shared_service.http.get("/v1/galleries", headers=headers).status_code == 200
    revoked = shared_service.http.delete(f"/v1/keys/{key_id}", headers=shared_service.headers())
    assert revoked.status_code == 200
    check_problem(shared_service.http.get("/v1/galleries", headers=headers), 401, "key_invalid")


def test_key_of_another_gallery(shared_service: FakeService) -> None:
    """A key that is tied elsewhere is refused, whether the gallery exists or not."""
    headers = shared_service.headers(Role.OPERATOR, galleries=["other"])
    for gallery in ("default", "absent"):
        answer = shared_service.http.post(
            "/v1/identify", headers=headers, data={"gallery": gallery}, files={"photo": GOOD}
        )
        check_problem(answer, 403, "key_forbidden")


def test_gallery_whose_model_is_absent(tmp_path: Path, settings: Settings) -> None:
    """A gallery of a model that is no longer installed says so; others still work."""
    other = write_model(tmp_path / "models" / "other", seed=5, name="other")
    with_both = settings.model_copy(update={"models_folder": tmp_path / "models"})
    with fake_service(with_both) as service:
        created = service.http.post(
            "/v1/galleries", headers=service.headers(), json={"name": "old", "model": "other"}
        )
        assert created.status_code == 201
    (other / "card.json").unlink()
    with fake_service(with_both) as service:
        answer = service.http.post(
            "/v1/identify",
            headers=service.headers(),
            data={"gallery": "old"},
            files={"photo": GOOD},
        )
        check_problem(answer, 409, "model_not_found")
        assert "FACEGALLERY_MODELS_FOLDER" in answer.json()["detail"]
        listed = service.http.get("/v1/galleries", headers=service.headers()).json()["galleries"]
        assert {each["name"]: each["model"] for each in listed} == {"default": "fake", "old": None}


def test_model_that_was_changed(tmp_path: Path, settings: Settings) -> None:
    """Weights that do not fit their card are refused when a gallery needs them."""
    other = write_model(tmp_path / "models" / "other", seed=5, name="other")
    with fake_service(
        settings.model_copy(update={"models_folder": tmp_path / "models"})
    ) as service:
        with (other / "model.onnx").open("ab") as file:
            file.write(b"x")
        answer = service.http.post(
            "/v1/galleries", headers=service.headers(), json={"name": "new", "model": "other"}
        )
        check_problem(answer, 409, "model_invalid")
        assert [each.name for each in service.parts.galleries.list()] == ["default"]


@hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.binary(max_size=300), as_header=st.booleans())
def test_any_bytes(shared_service: FakeService, data: bytes, as_header: bool) -> None:
    """Any bytes as a photo, or behind a photo's first bytes, give a 4xx problem."""
    photo = GOOD[:40] + data if as_header else data
    answer = _post(shared_service, "/v1/enroll", photo)
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"
