"""Tests of ``POST /v1/identify`` and ``POST /v1/detect``."""

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from index.calibration.in_force import ThresholdsInForce, thresholds_in_force
from index.calibration.judging import Judgement
from index.calibration.kept import calibrate_gallery
from index.calibration.normalisation import CohortNormalisation, digest_of
from index.rules import GalleryRules
from index.store.sqlite import SqliteDatabase
from service import thresholds
from service.auth import Role
from tests.fakes import make_photo
from tests.index.calibration.samples import soft_strangers
from tests.index.samples import unit_vectors
from tests.service.support import FakeService


def _identify(
    service: FakeService, photo: bytes, *, role: Role = Role.OPERATOR, **fields: str
) -> Any:
    return service.http.post(
        "/v1/identify", headers=service.headers(role), data=fields, files={"photo": photo}
    )


def test_names_and_strangers(service: FakeService) -> None:
    """Who was enrolled is named, who was not is unknown, each with what the decision rests on."""
    ids = service.enroll("ann", "ben")
    content = _identify(service, make_photo(["ann", "ben", "cat"], variant=2)).json()
    decisions = {
        face["box"]["left"]: (face["decision"], face["subject"] and face["subject"]["name"])
        for face in content["faces"]
    }
    assert [decisions[left] for left in sorted(decisions)] == [
        ("match", "ann"),
        ("match", "ben"),
        ("unknown", None),
    ]
    ann = next(f for f in content["faces"] if f["subject"] and f["subject"]["name"] == "ann")
    assert ann["subject"]["id"] == ids["ann"]
    assert ann["candidates"][0] == {
        "subject_id": ids["ann"],
        "name": "ann",
        "similarity": ann["similarity"],
    }
    assert content["num_subjects"] == 2
    assert content["match"]["fpir"] == 0.01
    assert content["review"]["fpir"] == 0.05
    assert content["review"]["value"] < content["match"]["value"]
    assert {"decode", "detect", "align", "embed", "search"} <= content["timings_ms"].keys()


def test_empty_gallery_knows_nobody(service: FakeService) -> None:
    """Without subjects every face is unknown, without a similarity."""
    face = _identify(service, make_photo(["ann"])).json()["faces"][0]
    assert (face["decision"], face["similarity"], face["candidates"]) == ("unknown", None, [])


def test_subject_is_named_once_in_a_photo(service: FakeService) -> None:
    """Of two faces that match one person the better one keeps the name."""
    service.enroll("ann")
    faces = _identify(service, make_photo(["ann", "ann"])).json()["faces"]
    told = {face["decision"]: face["reasons"] for face in faces}
    assert told == {"match": [], "review": ["named_elsewhere"]}


def test_twins_are_reviewed_with_a_reason(service: FakeService) -> None:
    """Declared twins who both look like the face: to operators the answer says why."""
    ids = service.enroll("ann")
    ids |= service.enroll("twin", photo=make_photo(["ann"], variant=5))
    gallery = service.parts.galleries.get("default")
    gallery.set_rules(GalleryRules(smallest_lead=0.0))
    photo = make_photo(["ann"])
    assert _identify(service, photo).json()["faces"][0]["decision"] == "match"
    gallery.declare_look_alikes(*ids.values())
    for role, reasons in ((Role.OPERATOR, ["look_alike"]), (Role.IDENTIFIER, [])):
        face = _identify(service, photo, role=role).json()["faces"][0]
        assert (face["decision"], face["reasons"]) == ("review", reasons)


def test_a_rule_that_the_card_does_not_know_marks_its_thresholds(service: FakeService) -> None:
    """They were measured for the maximum; of another rule nothing is promised."""
    service.enroll("ann")
    gallery = service.parts.galleries.get("default")
    for fusion, marked in (("maximum", False), ("centroid-best-two", True)):
        gallery.set_rules(GalleryRules(fusion=fusion))
        answer = _identify(service, make_photo(["ann"], variant=2)).json()
        assert answer["match"]["extrapolated"] is marked
        assert answer["review"]["extrapolated"] is marked
        assert answer["faces"][0]["decision"] == "match"


def test_photo_without_a_face(service: FakeService) -> None:
    """No face is no error when nobody had to be there."""
    answer = _identify(service, make_photo([]))
    assert answer.status_code == 200
    assert answer.json()["faces"] == []


def test_quarter_turns_on_request(service: FakeService) -> None:
    """A turned photo is looked at in its turns when that is asked for, and only then."""
    service.enroll("ann")
    photo = make_photo(["ann"], turns=1)
    assert _identify(service, photo, turns="false").json()["faces"] == []
    assert _identify(service, photo, turns="true").json()["faces"][0]["decision"] == "match"


def test_number_of_candidates(service: FakeService) -> None:
    """At most as many candidates as asked for, each subject once, best first."""
    service.enroll("ann", "ben", "cat", "dan")
    service.enroll("ann")
    face = _identify(service, make_photo(["ann"]), num_candidates="3").json()["faces"][0]
    similarities = [each["similarity"] for each in face["candidates"]]
    assert len({each["subject_id"] for each in face["candidates"]}) == 3
    assert similarities == sorted(similarities, reverse=True)


def test_identifier_gets_decisions_only(service: FakeService) -> None:
    """An identifier key sees who it is, and no number or list to climb along."""
    service.enroll("ann")
    content = _identify(service, make_photo(["ann", "ben"]), role=Role.IDENTIFIER).json()
    assert {face["decision"] for face in content["faces"]} == {"match", "unknown"}
    for face in content["faces"]:
        assert face["similarity"] is face["match_threshold"] is None
        assert face["candidates"] == []


def test_identifier_does_not_learn_whom_to_review(service: FakeService) -> None:
    """A review names nobody to an identifier key, and to others the one to compare with."""
    service.enroll("ann")
    photo = make_photo(["ann", "ann"])
    for role, known in ((Role.IDENTIFIER, {"match"}), (Role.OPERATOR, {"match", "review"})):
        faces = _identify(service, photo, role=role).json()["faces"]
        assert {face["decision"] for face in faces} == {"match", "review"}
        assert {face["decision"] for face in faces if face["subject"]} == known


def test_threshold_follows_the_gallery_size(service: FakeService) -> None:
    """The threshold is the card's for the subjects that the gallery has now."""
    gallery = service.parts.galleries.get("default")
    card = service.parts.embedders.of_gallery(gallery.fingerprint).card
    service.enroll("ann", "ben")
    content = _identify(service, make_photo(["ann"])).json()
    assert content["match"]["value"] == card.threshold(fpir=0.01, num_subjects=2).value
    assert content["match"]["num_subjects"] == 2


def test_a_calibration_of_the_gallery_decides(service: FakeService) -> None:
    """From the next request on its thresholds are in force, and the answer says so."""
    service.enroll("ann", "ben")
    before = _identify(service, make_photo(["ann"])).json()
    assert before["calibration"] is None
    gallery = service.parts.galleries.get("default")
    card = service.parts.embedders.of_gallery(gallery.fingerprint).card
    made = calibrate_gallery(gallery.store, card=card)
    content = _identify(service, make_photo(["ann"])).json()
    assert content["calibration"]["in_force"]
    assert content["calibration"]["num_subjects"] == 2
    assert not content["calibration"]["stale"]
    assert content["match"]["value"] == made.points[-1].value != before["match"]["value"]
    assert service.enroll("ann")
    service.enroll("cat", "dan", "eve")
    content = _identify(service, make_photo(["ann"])).json()
    assert content["calibration"]["stale"]
    assert "2 people and has 5 now" in content["calibration"]["reasons"][0]


def test_a_calibration_can_turn_a_match_into_a_stranger(service: FakeService) -> None:
    """The decision follows the threshold in force, not only the number that is shown."""
    service.enroll("ann", "ben")
    photo = make_photo(["ann"], variant=2)
    assert _identify(service, photo).json()["faces"][0]["decision"] == "match"
    gallery = service.parts.galleries.get("default")
    card = service.parts.embedders.of_gallery(gallery.fingerprint).card
    made = calibrate_gallery(gallery.store, card=card)
    points = tuple(replace(each, value=1.0) for each in made.points)
    gallery.store.write_facts({"calibration": replace(made, points=points).to_json()})
    assert _identify(service, photo).json()["faces"][0]["decision"] == "unknown"


def test_thresholds_decide_under_the_rule_that_they_are_for(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another rule is chosen in between, the answer is still all of the one before."""
    service.enroll("ann")
    photo = {"photos": make_photo(["ben"])}
    enrolled = service.http.post(
        "/v1/enroll", headers=service.headers(Role.OPERATOR), data={"subject": "ann"}, files=photo
    )
    assert enrolled.status_code == 201
    gallery = service.parts.galleries.get("default")

    def choosing_then(*args: Any, **kwargs: Any) -> ThresholdsInForce:
        found = thresholds_in_force(*args, **kwargs)
        gallery.set_rules(GalleryRules(fusion="mean"))
        return found

    monkeypatch.setattr(thresholds, "thresholds_in_force", choosing_then)
    first, second = (
        _identify(service, make_photo(["ann"])).json()["faces"][0]["similarity"] for _ in range(2)
    )
    assert first > 0.99
    assert second < 0.9


def test_a_normalised_calibration_gives_each_face_its_threshold(service: FakeService) -> None:
    """What decides about a face is the similarity at which it has the figure of the threshold."""
    service.enroll("ann")
    service.enroll("ann")
    gallery = service.parts.galleries.get("default")
    card = service.parts.embedders.of_gallery(gallery.fingerprint).card
    made = calibrate_gallery(gallery.store, card=card, strangers=soft_strangers(40))
    judgement = Judgement(
        fpir=0.05, num_cohort=100, num_judging=100, num_mated=10, fnir=0.2,
        fnir_normalised=0.1, low=-0.2, high=-0.05, kept=True, reason="",
    )  # fmt: skip
    photo = make_photo(["ann"], variant=2)
    embedder = service.parts.embedders.of_gallery(gallery.fingerprint)
    probe = embedder.analyze(photo).faces[0].embedding
    others = [0.6 * probe + 0.8 * each for each in unit_vectors(100, seed=5)]
    cohort = CohortNormalisation.of_vectors(
        np.stack([each / np.linalg.norm(each) for each in others]).astype(np.float32)
    )
    shift = cohort.shift(probe)
    similarity = _identify(service, photo).json()["faces"][0]["similarity"]
    # Between what the similarity and the figure would decide.
    value = similarity - shift / 2
    made = replace(
        made,
        normalisation=judgement,
        cohort_digest=digest_of(cohort.to_bytes()),
        points=tuple(replace(each, value=value, measured=value) for each in made.points),
    )
    gallery.store.write_facts({"calibration": made.to_json(), "normalisation": cohort.to_bytes()})
    content = _identify(service, photo).json()
    assert content["calibration"]["normalised"]
    assert content["match"]["value"] == pytest.approx(value)
    face = content["faces"][0]
    assert face["match_threshold"] == pytest.approx(value + shift, abs=1e-5)
    assert value <= similarity < value + shift
    assert face["decision"] == "unknown"


def test_json_with_base64(service: FakeService) -> None:
    """JSON does the same as a form."""
    service.enroll("ann")
    body = {"photo": base64.b64encode(make_photo(["ann"])).decode(), "num_candidates": 1}
    answer = service.http.post("/v1/identify", headers=service.headers(), json=body)
    assert answer.json()["faces"][0]["decision"] == "match"


def test_removed_subject_is_never_named_again(service: FakeService) -> None:
    """In the request after the acknowledgement the person is unknown."""
    ann = service.enroll("ann", "ben")["ann"]
    removed = service.http.delete(
        f"/v1/galleries/default/subjects/{ann}", headers=service.headers(Role.OPERATOR)
    )
    assert removed.json()["num_templates"] == 1
    face = _identify(service, make_photo(["ann"])).json()["faces"][0]
    assert face["decision"] == "unknown"
    assert ann not in [each["subject_id"] for each in face["candidates"]]


def test_a_request_asks_the_database_three_times(service: FakeService) -> None:
    """For the key, for how the gallery decides, and for whom the search found; for one face."""
    service.enroll("ann", "ben")
    headers = service.headers(Role.OPERATOR)
    files = {"photo": make_photo(["ann"])}
    service.http.post("/v1/identify", headers=headers, files=files)  # which marks the key as used
    database = service.parts.galleries.get("default").store._database
    assert isinstance(database, SqliteDatabase)
    begun: list[str] = []

    def note(*arguments: Any) -> None:
        begun.append(arguments[2])

    event.listen(database._engine, "before_cursor_execute", note)
    answer = service.http.post("/v1/identify", headers=headers, files=files)
    event.remove(database._engine, "before_cursor_execute", note)
    assert answer.json()["faces"][0]["decision"] == "match"
    assert [each for each in begun if each.startswith("BEGIN")] == ["BEGIN"] * 3


def test_detect(service: FakeService) -> None:
    """Detect gives boxes and quality of all faces and compares them with nobody."""
    answer = service.http.post(
        "/v1/detect", headers=service.headers(), files={"photo": make_photo(["ann", "ben"])}
    )
    assert answer.status_code == 200
    assert len(answer.json()["faces"]) == 2
    assert "decision" not in answer.json()["faces"][0]


@pytest.mark.parametrize(("word", "turned"), [("true", True), ("false", False)])
def test_words_for_yes_and_no(shared_service: FakeService, word: str, turned: bool) -> None:
    """``false`` in a form is false."""
    answer = _identify(shared_service, make_photo(["ann"], turns=1), turns=word)
    assert bool(answer.json()["faces"]) is turned
