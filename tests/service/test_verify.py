"""Tests of ``POST /v1/verify``: one comparison, and what its threshold stands for."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.assembly import open_parts
from service.auth import Role
from service.choosing import SubjectChoice
from service.settings import Settings
from service.verifying import NOBODY, Verifying
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem

ANN, ANN_LATER, BEN = make_photo(["ann"]), make_photo(["ann"], variant=2), make_photo(["ben"])


def _verify(
    service: FakeService, *photos: bytes, role: Role = Role.OPERATOR, **fields: str
) -> Any:
    return service.http.post(
        "/v1/verify",
        headers=service.headers(role),
        data=fields,
        files=[("photos", (f"{n}.png", each)) for n, each in enumerate(photos)],
    )


def test_two_photos(shared_service: FakeService) -> None:
    """Two photos of one person match, those of two do not; each face is told with its quality."""
    same, other = (_verify(shared_service, ANN, each).json() for each in (ANN_LATER, BEN))
    assert (same["decision"], other["decision"]) == ("match", "no_match")
    assert same["similarity"] >= same["match"]["value"] > other["similarity"]
    assert [face["photo"] for face in same["faces"]] == [0, 1]
    assert same["faces"][0]["quality"]["reasons"] == []
    assert same["gallery"] is same["subject"] is same["template_id"] is None
    assert {"decode", "detect", "align", "embed", "compare"} == same["timings_ms"].keys()


@pytest.mark.parametrize(
    "whom",
    [
        {"subject": "ann", "external_id": "b-1"},
        {"subject": "ann", "external_id": "nobody's"},
        {"subject": "nobody", "external_id": "b-1"},
    ],
)
def test_a_name_and_an_external_id_of_two_people(
    service: FakeService, whom: dict[str, Any]
) -> None:
    """Who reads a badge and a name hears that they do not fit, and no decision about one of them.

    An enroll says so as well, on its dry run already.
    """
    ids = service.enroll("ann", "ben")
    service.parts.galleries.get("default").set_external_id(ids["ben"], external_id="b-1")
    check_problem(_verify(service, ANN, **whom), 409, "subject_exists")
    for dry_run in ("true", "false"):
        enrolled = service.http.post(
            "/v1/enroll",
            headers=service.headers(),
            data={**whom, "dry_run": dry_run},
            files={"photos": ANN},
        )
        check_problem(enrolled, 409, "subject_exists")


def test_a_photo_and_a_subject(service: FakeService) -> None:
    """The closest template decides, whichever way the subject is given."""
    ids = service.enroll("ann", "ben")
    service.enroll("ann", photo=ANN_LATER)
    gallery = service.parts.galleries.get("default")
    gallery.set_external_id(ids["ann"], external_id="a-1")
    closest = gallery.templates(ids["ann"])[1].id
    ways: list[dict[str, Any]] = [
        {"subject": "ann"},
        {"subject_id": ids["ann"]},
        {"external_id": "a-1"},
    ]
    for whom in ways:
        answer = _verify(service, ANN_LATER, **whom).json()
        assert (answer["decision"], answer["gallery"]) == ("match", "default")
        assert answer["subject"]["id"] == ids["ann"]
        assert answer["template_id"] == closest
        assert answer["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert _verify(service, ANN, subject="ben").json()["decision"] == "no_match"


def test_what_the_threshold_stands_for(shared_service: FakeService) -> None:
    """One comparison is a search in a gallery of one: the card's threshold for the FAR."""
    card = shared_service.parts.embedders.named().card
    cases: list[tuple[dict[str, Any], float]] = [({}, 0.01), ({"far": "0.05"}, 0.05)]
    for fields, far in cases:
        answer = _verify(shared_service, ANN, ANN_LATER, **fields).json()
        expected = card.threshold(fpir=far, num_subjects=1)
        assert answer["match"] == {
            "value": expected.value,
            "low": expected.low,
            "high": expected.high,
            "far": far,
            "extrapolated": expected.extrapolated,
        }
        assert answer["review"]["value"] <= answer["match"]["value"]
    assert _verify(shared_service, ANN, ANN_LATER, far="0.02").json()["match"]["far"] == 0.01
    tiny = _verify(shared_service, ANN, ANN_LATER, far="0.00001").json()["match"]
    assert (tiny["far"], tiny["extrapolated"]) == (1e-05, True)


def test_many_templates_raise_the_threshold(service: FakeService) -> None:
    """Each of them gives a stranger as many chances as a person more."""
    values = []
    for _ in range(13):
        service.enroll("ann")
    for num in (13, 12, 11):
        gallery = service.parts.galleries.get("default")
        subject = gallery.find_subject(name="ann")
        assert subject is not None
        for each in gallery.templates(subject.id)[num:]:
            gallery.remove_template(each.id)
        values.append(_verify(service, ANN, subject="ann").json()["match"]["value"])
    most, more, few = values
    assert most > more > few


def test_between_the_thresholds_a_person_looks(service: FakeService, settings: Settings) -> None:
    """Both thresholds belong to the upper side."""
    verifying = Verifying(service.parts.galleries, service.parts.embedders, settings=settings)
    card = service.parts.embedders.named().card
    similarity = verifying.verify([ANN, BEN]).similarity
    match, review = (card.threshold(fpir=each, num_subjects=1).value for each in (0.01, 0.05))
    found = verifying.verify([ANN, BEN])
    expected = "match" if similarity >= match else "review" if similarity >= review else "no_match"
    assert found.decision == expected
    assert (found.match.value, found.review.value) == (match, review)


def test_several_faces_need_a_choice(service: FakeService) -> None:
    """As in an enroll: the only one, the largest, or the one at a box."""
    service.enroll("ann")
    both = make_photo(["ann", "ben"])
    check_problem(_verify(service, both, subject="ann"), 422, "several_faces")
    assert "photo 2 of 2" in _verify(service, ANN, both).json()["detail"]
    detected = service.http.post(
        "/v1/detect", headers=service.headers(), files={"photo": both}
    ).json()["faces"]
    for face in detected:
        box = ",".join(str(face["box"][edge]) for edge in ("left", "top", "right", "bottom"))
        answer = _verify(service, both, subject="ann", box=box).json()
        assert answer["faces"][0]["box"] == face["box"]
        is_ann = face["box"]["left"] == min(each["box"]["left"] for each in detected)
        assert answer["decision"] == ("match" if is_ann else "no_match")
    assert _verify(service, both, subject="ann", face="largest").status_code == 200
    check_problem(_verify(service, ANN, both, box="1,2,3,4"), 422, "request_invalid")


def test_a_removed_subject_is_compared_no_more(service: FakeService) -> None:
    """From the acknowledgement on it is not found, and without templates it matches nobody."""
    ids = service.enroll("ann", "ben")
    gallery = service.parts.galleries.get("default")
    gallery.remove_subject(ids["ann"])
    check_problem(_verify(service, ANN, subject_id=ids["ann"]), 404, "subject_not_found")
    gallery.remove_template(gallery.templates(ids["ben"])[0].id)
    check_problem(_verify(service, BEN, subject="ben"), 422, "request_invalid")


@pytest.mark.usefixtures("nothing_is_written")
@pytest.mark.parametrize(
    ("photos", "fields", "code"),
    [
        ([ANN], {}, "request_invalid"),
        ([ANN, ANN], {"subject": "ann"}, "request_invalid"),
        ([ANN, ANN, ANN], {}, "request_invalid"),
        ([ANN, ANN], {"gallery": "default"}, "request_invalid"),
        ([ANN], {"subject": "nobody"}, "subject_not_found"),
        ([ANN], {"subject_id": "ABC"}, "subject_not_found"),
        ([ANN], {"subject": "ann", "gallery": "absent"}, "gallery_not_found"),
        ([ANN], {"subject": "a/b"}, "name_invalid"),
        ([ANN], {"subject": "ann", "subject_id": "x"}, "request_invalid"),
        ([ANN, b"no photo"], {}, "photo_unreadable"),
        ([ANN, make_photo([])], {}, "no_face"),
        *[
            ([ANN, ANN], {"far": far}, "request_invalid")
            for far in ("0", "1", "-1", "nan", "1e309", "-1e309", "1e-7", "", "x")
        ],
    ],
)
def test_bad_requests(
    shared_service: FakeService, photos: list[bytes], fields: dict[str, Any], code: str
) -> None:
    """Each has a clear answer."""
    answer = _verify(shared_service, *photos, **fields)
    assert 400 <= answer.status_code < 500
    assert answer.json()["code"] == code


@pytest.mark.parametrize("far", ["NaN", "1e309", "Infinity", "0", "1", "true", '"0.01"', "[]"])
def test_bad_rates_in_json(shared_service: FakeService, far: str) -> None:
    """What is no number between 0 and 1 is none in JSON either."""
    photo = base64.b64encode(ANN).decode()
    answer = shared_service.http.post(
        "/v1/verify",
        headers={**shared_service.headers(), "Content-Type": "application/json"},
        content=f'{{"photos": ["{photo}", "{photo}"], "far": {far}}}',
    )
    check_problem(answer, 422, "request_invalid")


def test_a_tied_key_compares_with_its_people_alone(service: FakeService) -> None:
    """Another gallery's subjects are out of reach; two photos are of no gallery."""
    service.enroll("ann")
    service.parts.create_gallery("mine")
    headers = service.headers(Role.OPERATOR, galleries=["mine"])
    files = [("photos", ("a", ANN))]
    answer = service.http.post("/v1/verify", headers=headers, data={"subject": "ann"}, files=files)
    check_problem(answer, 403, "key_forbidden")
    answer = service.http.post("/v1/verify", headers=headers, files=files * 2)
    assert answer.json()["decision"] == "match"


def test_a_comparison_is_audited(service: FakeService) -> None:
    """With whom, and what came of it."""
    service.enroll("ann")
    _verify(service, ANN, subject="ann")
    _verify(service, ANN, BEN)
    noted = [e for e in service.parts.galleries.audit.entries() if e.action == "verify"]
    assert [dict(each.facts) for each in noted] == [
        {"decision": "match"},
        {"decision": "no_match"},
    ]
    assert [len(each.subjects) for each in noted] == [1, 0]


def test_real_photos(tmp_path: Path, sample_photos: Mapping[str, Path]) -> None:
    """By the shipped model: a photo matches itself, and a portrait of somebody else does not."""
    with open_parts(Settings(data_folder=tmp_path)) as parts:
        one, other = (sample_photos[name].read_bytes() for name in ("astronaut", "hopper"))
        verify = parts.recognizer.verify
        assert verify([one, one], face="largest").decision == "match"
        assert verify([one, other], face="largest").decision == "no_match"
        enrolled = parts.recognizer.enroll(
            [other], gallery="default", subject=SubjectChoice(name="Grace"), face="largest"
        )
        assert enrolled.enrolled is not None
        for photo, expected in ((one, "no_match"), (other, "match")):
            found = verify([photo], subject=SubjectChoice(name="Grace"), face="largest")
            assert found.decision == expected
        assert verify([one, one], subject=NOBODY, face="largest", far=0.001).match.fpir == 0.001
