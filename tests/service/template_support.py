"""What the tests of templates and merges over HTTP share."""

from typing import Any

from service.auth import Role
from tests.fakes import make_photo
from tests.service.support import FakeService

BASE = "/v1/galleries/default"


def templates_of(service: FakeService, subject_id: str) -> list[Any]:
    """A person's templates, as an operator sees them."""
    answer = service.http.get(
        f"{BASE}/subjects/{subject_id}/templates", headers=service.headers(Role.OPERATOR)
    )
    assert answer.status_code == 200
    found: list[Any] = answer.json()["templates"]
    return found


def ids_of(service: FakeService, subject_id: str) -> list[str]:
    """The ids of a person's templates."""
    return [each["id"] for each in templates_of(service, subject_id)]


def post(service: FakeService, path: str, body: object) -> Any:
    """What an operator's request with JSON is answered."""
    return service.http.post(f"{BASE}/{path}", headers=service.headers(Role.OPERATOR), json=body)


def named_as(service: FakeService, person: str) -> str | None:
    """The id of whoever a photo of a person is named as."""
    answer = service.http.post(
        "/v1/identify", headers=service.headers(), files={"photo": make_photo([person])}
    )
    subject = answer.json()["faces"][0]["subject"]
    return None if subject is None else str(subject["id"])


def enroll_more(service: FakeService, subject_id: str, *people: str) -> None:
    """Enrolls photos of people, right or wrong ones, as one person."""
    for person in people:
        answer = service.http.post(
            "/v1/enroll",
            headers=service.headers(),
            data={"subject_id": subject_id},
            files=[("photos", ("photo", make_photo([person])))],
        )
        assert answer.status_code == 201
