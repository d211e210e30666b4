"""Tests of what ``POST /v1/identify`` may be asked: a rate, a threshold, a face, galleries."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from service.auth import Role
from service.identifying import MAX_GALLERIES
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem, fake_service, write_model

ANN, BEN = make_photo(["ann"]), make_photo(["ben"])
BOTH = make_photo(["ann", "ben"], variant=2)
BAD_RATES = ("0", "1", "-0.1", "1.5", "nan", "1e309", "-1e309", "1e-7", "", "x")
BAD_SIMILARITIES = ("1.01", "-1.01", "nan", "1e309", "", "x")


def _identify(
    service: FakeService, photo: bytes = ANN, *, role: Role = Role.OPERATOR, **fields: str
) -> Any:
    return service.http.post(
        "/v1/identify", headers=service.headers(role), data=fields, files={"photo": photo}
    )


def _enroll(service: FakeService, gallery: str, person: str, **fields: str) -> str:
    answer = service.http.post(
        "/v1/enroll",
        headers=service.headers(),
        data={"gallery": gallery, "subject": person, **fields},
        files={"photos": make_photo([person])},
    )
    assert answer.status_code == 201
    return str(answer.json()["subject_id"])


@pytest.fixture
def several(service: FakeService) -> FakeService:
    """A service where ann is in ``default``, and ben in ``staff``."""
    service.parts.create_gallery("staff")
    _enroll(service, "default", "ann")
    _enroll(service, "staff", "ben")
    return service


@pytest.fixture
def two_models(tmp_path: Path, fake_model: Path) -> Iterator[FakeService]:
    """The same, where ``staff`` is of another model."""
    other = write_model(tmp_path / "models" / "other", seed=1, name="other")
    settings = Settings(
        data_folder=tmp_path / "data", model=str(fake_model), models_folder=other.parent
    )
    with fake_service(settings) as started:
        started.parts.create_gallery("staff", model="other")
        _enroll(started, "default", "ann")
        _enroll(started, "staff", "ben")
        yield started


def test_a_wanted_rate_decides(shared_service: FakeService) -> None:
    """The answer says which rate its threshold stands for; a smaller one asks for more."""
    usual = _identify(shared_service).json()
    strict = _identify(shared_service, fpir="0.001").json()
    assert usual["match"]["fpir"] == 0.01
    assert strict["match"]["value"] > usual["match"]["value"]
    assert strict["match"]["extrapolated"]
    assert strict["match"]["low"] <= strict["match"]["value"] <= strict["match"]["high"]
    assert strict["review"] == usual["review"]
    loose = _identify(shared_service, fpir="0.3").json()
    assert loose["match"]["fpir"] == loose["review"]["fpir"] == 0.05
    assert strict.keys() == usual.keys()


def test_a_threshold_of_the_caller_decides(shared_service: FakeService) -> None:
    """At the similarity itself it is a match, just above it is not; the rate is told."""
    face = _identify(shared_service).json()["faces"][0]
    similarity = face["similarity"]
    photo = make_photo(["ann"], variant=4)
    similarity = _identify(shared_service, photo).json()["faces"][0]["similarity"]
    for threshold, decision in ((similarity, "match"), (min(1.0, similarity + 1e-4), "review")):
        answer = _identify(shared_service, photo, threshold=repr(threshold)).json()
        assert answer["match"]["value"] == threshold
        assert answer["faces"][0]["decision"] == decision
    nobody = _identify(shared_service, photo, threshold="-1").json()
    assert nobody["match"]["fpir"] == 1.0
    assert nobody["match"]["extrapolated"]


@pytest.mark.parametrize("fields", [{"fpir": "0.5"}, {"threshold": "0.1"}])
def test_an_identifier_key_may_not_choose(
    shared_service: FakeService, fields: dict[str, Any]
) -> None:
    """With it, a key that sees decisions alone would find a similarity by halving."""
    answer = _identify(shared_service, role=Role.IDENTIFIER, **fields)
    check_problem(answer, 403, "key_forbidden")
    assert _identify(shared_service, role=Role.IDENTIFIER, face="largest").status_code == 200


@pytest.mark.usefixtures("nothing_is_written")
@pytest.mark.parametrize(
    "fields",
    [
        *({"fpir": each} for each in BAD_RATES),
        *({"threshold": each} for each in BAD_SIMILARITIES),
        {"fpir": "0.01", "threshold": "0.5"},
        {"galleries": ""},
        {"galleries": "default,default"},
        {"galleries": "default", "gallery": "default"},
        {"galleries": ",".join(f"g{n}" for n in range(1000))},
        {"galleries": ",".join(f"g{n}" for n in range(MAX_GALLERIES + 1))},
        {"face": "smallest"},
        {"box": "1,2,3"},
        {"box": "3,3,1,1"},
        {"galleries": "default", "num_candidates": "0"},
    ],
)
def test_bad_fields(shared_service: FakeService, fields: dict[str, Any]) -> None:
    """Each is refused with what is expected."""
    answer = _identify(shared_service, **fields)
    expected = (404, "gallery_not_found") if fields.get("galleries") == "" else None
    check_problem(answer, *(expected or (422, "request_invalid")))


@pytest.mark.parametrize("value", ["NaN", "1e309", "-1e309", '"0.01"', "true", "[]", "0", "1"])
@pytest.mark.parametrize("name", ["fpir", "threshold"])
def test_bad_numbers_in_json(shared_service: FakeService, name: str, value: str) -> None:
    """Only finite numbers; 0 and 1 are similarities and no rates."""
    photo = base64.b64encode(ANN).decode()
    answer = shared_service.http.post(
        "/v1/identify",
        headers={**shared_service.headers(), "Content-Type": "application/json"},
        content=f'{{"photo": "{photo}", "{name}": {value}}}',
    )
    if name == "threshold" and value in {"0", "1"}:
        assert answer.status_code == 200
    else:
        check_problem(answer, 422, "request_invalid")


def test_a_face_is_chosen_as_in_an_enroll(several: FakeService) -> None:
    """The only one, the largest, or the one at a box; a photo is then also turned."""
    faces = _identify(several, BOTH).json()["faces"]
    check_problem(_identify(several, BOTH, face="only"), 422, "several_faces")
    largest = _identify(several, BOTH, face="largest").json()["faces"]
    assert [each["box"] for each in largest] == [faces[0]["box"]]
    for face in faces:
        box = ",".join(str(face["box"][edge]) for edge in ("left", "top", "right", "bottom"))
        for chosen in (
            _identify(several, BOTH, box=box).json()["faces"],
            _identify(several, BOTH, box=box, galleries="default,staff").json()["faces"],
        ):
            assert [each["box"] for each in chosen] == [face["box"]]
    check_problem(_identify(several, BOTH, box="0,0,1,1"), 422, "face_not_at_box")
    check_problem(_identify(several, make_photo([]), face="only"), 422, "no_face")
    turned = make_photo(["ann"], turns=1)
    assert _identify(several, turned, face="only").json()["faces"][0]["decision"] == "match"


def test_several_galleries(several: FakeService) -> None:
    """Each says what it knows, all together name one person, and their rates add up."""
    answer = _identify(several, BOTH, galleries="default,staff").json()
    assert [each["gallery"] for each in answer["galleries"]] == ["default", "staff"]
    assert answer["fpir"] == pytest.approx(0.02)
    assert answer["review_fpir"] == pytest.approx(0.1)
    named = {face["gallery"]: face for face in answer["faces"]}
    assert {face["decision"] for face in answer["faces"]} == {"match"}
    assert named["default"]["subject"]["name"] == "ann"
    assert named["staff"]["subject"]["name"] == "ben"
    for gallery, face in named.items():
        assert [each["decision"] for each in face["answers"]].count("match") == 1
        assert face["candidates"][0]["gallery"] == gallery
        assert [each["gallery"] for each in face["answers"]] == ["default", "staff"]
    strict = _identify(several, BOTH, galleries="default,staff", fpir="0.001").json()
    assert strict["fpir"] == pytest.approx(0.002)


def test_one_gallery_of_a_list_says_the_same(several: FakeService) -> None:
    """A list of one decides as the gallery alone."""
    alone = _identify(several, BOTH).json()["faces"]
    listed = _identify(several, BOTH, galleries="default").json()["faces"]
    for one, other in zip(alone, listed, strict=True):
        assert one["decision"] == other["decision"]
        assert one["similarity"] == other["similarity"]


def test_another_person_in_another_gallery(several: FakeService) -> None:
    """Two names for one face are a review; with the same external id they are one person."""
    _enroll(several, "staff", "ann", external_id="7")
    found = _identify(several, galleries="default,staff").json()["faces"][0]
    assert (found["decision"], found["reasons"]) == ("review", ["matched_elsewhere"])
    ann = several.parts.galleries.get("default").find_subject(name="ann")
    assert ann is not None
    several.parts.galleries.get("default").set_external_id(ann.id, external_id="7")
    found = _identify(several, galleries="default,staff").json()["faces"][0]
    assert (found["decision"], found["reasons"]) == ("match", [])


def test_galleries_of_two_models(two_models: FakeService) -> None:
    """Each is asked with embeddings of its own model, of faces that were found once."""
    answer = _identify(two_models, BOTH, galleries="default,staff").json()
    assert [each["model"]["name"] for each in answer["galleries"]] == ["fake", "other"]
    named = {face["gallery"]: face["subject"]["name"] for face in answer["faces"]}
    assert named == {"default": "ann", "staff": "ben"}
    assert {"decode", "detect", "align", "embed", "search"} == answer["timings_ms"].keys()
    assert _identify(two_models, make_photo([]), galleries="default,staff").json()["faces"] == []


def test_a_foreign_gallery_in_the_list(several: FakeService) -> None:
    """One that the key does not reach refuses all, whether or not it is there."""
    headers = several.headers(Role.IDENTIFIER, galleries=["default"])
    for galleries in ("default,staff", "staff,default", "default,absent"):
        answer = several.http.post(
            "/v1/identify", headers=headers, data={"galleries": galleries}, files={"photo": ANN}
        )
        check_problem(answer, 403, "key_forbidden")
    absent = _identify(several, galleries="default,absent")
    check_problem(absent, 404, "gallery_not_found")
    assert absent.json()["detail"].startswith("gallery 2 of 2: ")
    check_problem(_identify(several, galleries="default,DEFAULT"), 404, "gallery_not_found")


def test_an_identifier_key_sees_decisions_alone(several: FakeService) -> None:
    """No similarity, no candidate and no reason; of a review no name, of whichever gallery."""
    _enroll(several, "staff", "ann")
    answer = _identify(several, BOTH, role=Role.IDENTIFIER, galleries="default,staff").json()
    assert {face["decision"] for face in answer["faces"]} == {"match", "review"}
    for face in answer["faces"]:
        assert (face["candidates"], face["reasons"], face["similarity"]) == ([], [], None)
        assert (face["subject"] is not None) is (face["decision"] == "match")
        for one in face["answers"]:
            assert (one["similarity"], one["match_threshold"], one["reasons"]) == (None, None, [])


def test_json_with_a_list(several: FakeService) -> None:
    """JSON takes a list, of names alone."""
    body = {"photo": base64.b64encode(ANN).decode(), "galleries": ["default", "staff"]}
    headers = several.headers()
    answer = several.http.post("/v1/identify", headers=headers, json=body)
    assert answer.json()["faces"][0]["gallery"] == "default"
    bad: Any
    for bad in ([], [1], [None], {}, 3, ["default"] * 2, ["default"] * 1000):
        content = json.dumps({**body, "galleries": bad})
        answer = several.http.post(
            "/v1/identify",
            headers={**headers, "Content-Type": "application/json"},
            content=content,
        )
        check_problem(answer, 422, "request_invalid")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = {
    "/v1/identify": ("gallery", "galleries", "face", "box", "fpir", "threshold", "turns"),
    "/v1/verify": ("gallery", "subject", "subject_id", "external_id", "face", "box", "far"),
    "/v1/galleries/default/calibrate": ("fpirs", "max_probes"),
}


@pytest.mark.usefixtures("nothing_is_written")
@pytest.mark.parametrize("path", FIELDS)
@given(data=st.data())
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_json(shared_service: FakeService, path: str, data: st.DataObject) -> None:
    """Whatever stands in the fields is answered or refused, and never breaks the service."""
    photo = base64.b64encode(ANN).decode()
    photos: dict[str, dict[str, Any]] = {
        "/v1/identify": {"photo": photo},
        "/v1/verify": {"photos": [photo]},
    }
    body = photos.get(path, {})
    found = data.draw(st.dictionaries(st.sampled_from(FIELDS[path]), JSON))
    answer = shared_service.http.post(
        path,
        headers={**shared_service.headers(), "Content-Type": "application/json"},
        content=json.dumps({**body, **found}),
    )
    assert answer.status_code < 500
    if answer.is_error:
        assert answer.json()["code"]


def test_each_gallery_is_audited(several: FakeService) -> None:
    """An identification in several galleries stands in the log of each."""
    before = len(list(several.parts.galleries.audit.entries()))
    _identify(several, galleries="default,staff")
    entries = list(several.parts.galleries.audit.entries())[before:]
    noted = {each.gallery_id for each in entries if each.action == "identify"}
    assert noted == {each.id for each in several.parts.galleries.list()}


def test_a_removed_subject_is_named_in_no_list(several: FakeService) -> None:
    """The request after the acknowledgement does not find it."""
    ben = several.parts.galleries.get("staff").find_subject(name="ben")
    assert ben is not None
    assert _identify(several, BEN, galleries="default,staff").json()["faces"][0]["gallery"]
    several.parts.galleries.get("staff").remove_subject(ben.id)
    face = _identify(several, BEN, galleries="default,staff").json()["faces"][0]
    assert face["decision"] != "match"
    assert ben.id not in [each["subject_id"] for each in face["candidates"]]
