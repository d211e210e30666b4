"""Crops over HTTP: off by default, then sealed, shown to operators, and gone with the person."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from embedding.errors import SettingsInvalid
from index.key_ring import KeyRing
from service.auth import Role
from service.schemas import CropAnswer
from service.settings import Settings, check_settings
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem, fake_service

PHOTO = make_photo(["ann"])


@pytest.fixture
def with_crops(settings: Settings, tmp_path: Path) -> Settings:
    """Settings that keep crops."""
    keys = tmp_path / "keys" / "sealing.keys"
    keys.parent.mkdir()
    KeyRing.generate(keys)
    more = {"keep_crops": True, "reviews": True, "sealing_key_file": keys}
    return settings.model_copy(update=more)


@pytest.fixture
def service(with_crops: Settings) -> Iterator[FakeService]:
    """A service that keeps crops."""
    with fake_service(with_crops) as started:
        yield started


def enroll(service: FakeService, name: str = "ann") -> tuple[str, str]:
    """Ids of somebody new with ann's face, and of the template."""
    answer = service.http.post(
        "/v1/enroll",
        headers=service.headers(),
        data={"subject": name},
        files=[("photos", ("photo", PHOTO))],
    )
    if answer.status_code != 201:
        raise AssertionError(answer.text)
    said = answer.json()
    return str(said["subject_id"]), str(said["faces"][0]["template_id"])


def path_of(template_id: str, *, gallery: str = "default") -> str:
    """Where a template's crop is."""
    return f"/v1/galleries/{gallery}/templates/{template_id}/crop"


def test_an_operator_sees_the_face(service: FakeService) -> None:
    """The crop that was embedded, and an audit entry under the key's id."""
    subject_id, template_id = enroll(service)
    headers = service.headers(Role.OPERATOR)
    answer = CropAnswer.model_validate(
        service.http.get(path_of(template_id), headers=headers).json()
    )
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (112, 112), "RGB")
        red, green, blue = image.getpixel((56, 56))  # type: ignore[misc]
    assert red > 200 > 60 > max(green, blue)
    key_id = headers["Authorization"].split("_")[1]
    (entry,) = [e for e in service.parts.galleries.audit.entries() if e.actor == key_id]
    assert (entry.action, len(entry.subjects)) == ("crop.show", 1)
    service.http.delete(
        f"/v1/galleries/default/subjects/{subject_id}", headers=service.headers()
    ).raise_for_status()
    check_problem(
        service.http.get(path_of(template_id), headers=headers), 404, "template_not_found"
    )


def test_a_reviewer_sees_the_face(service: FakeService) -> None:
    """Of a review in a gallery of the key; of another it is not there."""
    enroll(service)
    enroll(service, "twin")
    found = service.http.post(
        "/v1/identify",
        headers=service.headers(),
        data={"queue_reviews": "true"},
        files={"photo": PHOTO},
    ).json()
    path = f"/v1/reviews/{found['faces'][0]['review_id']}/crop"
    shown = service.http.get(path, headers=service.headers(Role.OPERATOR))
    assert CropAnswer.model_validate(shown.json()).content.startswith(b"\x89PNG")
    foreign = service.http.get(path, headers=service.headers(galleries=["mine"]))
    check_problem(foreign, 404, "review_not_found")


@pytest.mark.parametrize("role", [Role.IDENTIFIER, Role.AUDITOR, Role.LISTENER])
def test_others_do_not(service: FakeService, role: Role) -> None:
    """A picture is for those who enroll people."""
    _, template_id = enroll(service)
    answer = service.http.get(path_of(template_id), headers=service.headers(role))
    check_problem(answer, 403, "key_forbidden")


def test_a_template_is_only_in_its_gallery(service: FakeService) -> None:
    """Through another gallery it is not found."""
    _, template_id = enroll(service)
    service.parts.create_gallery("mine")
    answer = service.http.get(path_of(template_id, gallery="mine"), headers=service.headers())
    check_problem(answer, 404, "template_not_found")
    answer = service.http.get(path_of(template_id.upper()), headers=service.headers())
    check_problem(answer, 404, "template_not_found")


def test_nothing_readable_is_on_disk(service: FakeService, with_crops: Settings) -> None:
    """No image bytes, neither of the photo nor of the crop, in any file of the data folder."""
    enroll(service)
    content = b"".join(
        each.read_bytes() for each in with_crops.data_folder.rglob("*") if each.is_file()
    )
    assert b"IHDR" not in content
    assert b"PNG" not in content


def test_by_default_no_crop_is_kept(settings: Settings, with_crops: Settings) -> None:
    """With sealing and without: there is none, and the answer says so."""
    for each in (settings, with_crops.model_copy(update={"keep_crops": False})):
        own = each.data_folder.with_name(f"data-{each.sealing_key_file is None}")
        with fake_service(each.model_copy(update={"data_folder": own})) as service:
            _, template_id = enroll(service)
            answer = service.http.get(path_of(template_id), headers=service.headers())
            check_problem(answer, 404, "crop_not_found")


def test_without_keys_it_is_refused(settings: Settings) -> None:
    """Nothing is opened; the message says what is missing."""
    with pytest.raises(SettingsInvalid, match="sealing_key_file"):
        check_settings(settings.model_copy(update={"keep_crops": True}))
