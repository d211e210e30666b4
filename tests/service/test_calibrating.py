"""Tests of calibrating a gallery over HTTP, and of asking what its thresholds are worth."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from embedding.errors import CalibrationRunning
from index.calibration.kept import measure_gallery
from index.records import NewSubject
from index.rules import GalleryRules
from service import calibrating
from service.auth import Role
from service.settings import Settings
from tests.fakes import make_photo
from tests.index.samples import new_template, unit_vectors
from tests.service.databases import services_on_one_database
from tests.service.support import FakeService, check_problem

CALIBRATE, THRESHOLD = (f"/v1/galleries/default/{each}" for each in ("calibrate", "threshold"))


def _fill(
    service: FakeService, num_people: int, *, photos_each: int = 1, name: str = "default"
) -> None:
    """People of random directions, each with templates that lie close together."""
    gallery = service.parts.galleries.get(name)
    centres_SD = unit_vectors(num_people, seed=3)
    noise_SD = unit_vectors(num_people * photos_each, seed=4).reshape(num_people, photos_each, -1)
    vectors_SND = centres_SD[:, np.newaxis] + np.float32(0.5) * noise_SD
    vectors_SND /= np.linalg.norm(vectors_SND, axis=2, keepdims=True)
    gallery.enroll_many(
        [
            NewSubject(
                templates=tuple(
                    new_template(each, fingerprint=gallery.fingerprint) for each in of_one
                )
            )
            for of_one in vectors_SND
        ]
    )


def _calibrate(service: FakeService, role: Role = Role.ADMIN, **body: Any) -> Any:
    return service.http.post(CALIBRATE, headers=service.headers(role), json=body)


def _threshold(service: FakeService, **query: str) -> Any:
    return service.http.get(THRESHOLD, headers=service.headers(Role.OPERATOR), params=query)


def test_before_the_first_calibration_the_card_decides(service: FakeService) -> None:
    """The threshold is told with its interval, and that nothing was measured here."""
    service.enroll("ann")
    answer = _threshold(service).json()
    assert (answer["source"], answer["calibration"], answer["stale"]) == ("card", None, False)
    assert answer["match"]["fpir"] == 0.01
    assert answer["num_subjects"] == 1


def test_a_calibration_decides_from_the_next_request_on(service: FakeService) -> None:
    """It tells what it was measured on, and identify follows it."""
    _fill(service, 60, photos_each=2)
    made = _calibrate(service, fpirs=[0.1])
    assert made.status_code == 200
    answer = made.json()
    assert (answer["source"], answer["stale"], answer["reasons"]) == ("calibration", False, [])
    kept = answer["calibration"]
    assert (kept["source"], kept["rule"]) == ("gallery", "maximum")
    assert (kept["num_subjects"], kept["num_templates"], kept["num_probes"]) == (60, 120, 120)
    assert [each["fpir"] for each in kept["points"]] == [0.1, 0.05, 0.01]
    for point in kept["points"]:
        assert point["low"] <= point["value"] <= 1.0
        assert point["predicted_low"] <= point["predicted_high"]
        assert point["num_missed"] == kept["num_mated"] or point["value"] < 1.0
    # So few searches support no rate: the card's thresholds are the floor.
    assert not kept["points"][-1]["supported"]
    assert kept["points"][-1]["floor"] is not None
    assert answer["match"]["extrapolated"]
    assert _threshold(service).json() == answer
    identified = service.http.post(
        "/v1/identify", headers=service.headers(), files={"photo": make_photo(["ann"])}
    ).json()
    assert identified["match"] == answer["match"]
    assert identified["calibration"]["in_force"]


def test_thresholds_for_other_rates(service: FakeService) -> None:
    """Of a rate that was not measured the next smaller one, and below all a continued one."""
    _fill(service, 40)
    _calibrate(service)
    usual, between, below = (
        _threshold(service, **each).json()["match"]
        for each in ({}, {"fpir": "0.03"}, {"fpir": "0.0001"})
    )
    assert between == usual
    assert (below["fpir"], below["extrapolated"]) == (0.0001, True)
    assert below["value"] >= usual["value"]


def test_a_stale_calibration_says_why(service: FakeService) -> None:
    """Twice as many people, or another rule, ask for another calibration."""
    _fill(service, 10)
    _calibrate(service)
    service.parts.galleries.get("default").set_rules(GalleryRules(fusion="mean"))
    answer = _threshold(service).json()
    assert (answer["source"], answer["stale"], answer["rule"]) == ("card", True, "mean")
    assert "rule" in answer["reasons"][0]
    assert _calibrate(service).json()["calibration"]["rule"] == "mean"
    assert not _threshold(service).json()["stale"]


@pytest.mark.parametrize(
    "body",
    [
        '{"fpirs": [0]}',
        '{"fpirs": [1]}',
        '{"fpirs": [NaN]}',
        '{"fpirs": [1e309]}',
        '{"fpirs": ["0.01"]}',
        '{"fpirs": 0.01}',
        '{"fpirs": [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]}',
        '{"max_probes": 0}',
        '{"max_probes": 10001}',
        '{"max_probes": 1e309}',
        '{"strangers": "/etc"}',
        "[]",
        "{",
    ],
)
def test_bad_bodies(shared_service: FakeService, body: str) -> None:
    """Nothing is measured or kept."""
    answer = shared_service.http.post(
        CALIBRATE,
        headers={**shared_service.headers(), "Content-Type": "application/json"},
        content=body,
    )
    check_problem(answer, 422, "request_invalid")
    assert _threshold(shared_service).json()["calibration"] is None


@pytest.mark.parametrize("fpir", ["0", "1", "nan", "1e309", "-1", "1e-9", "x", ""])
def test_bad_rates(shared_service: FakeService, fpir: str) -> None:
    """Only what lies between 0 and 1, and could be measured."""
    check_problem(_threshold(shared_service, fpir=fpir), 422, "request_invalid")


def test_a_gallery_that_cannot_calibrate_itself(service: FakeService) -> None:
    """Without people, or with one, there is nobody to search for."""
    for people in ((), ("ann",)):
        service.enroll(*people)
        check_problem(_calibrate(service), 422, "request_invalid")
    missing = service.http.post(
        "/v1/galleries/absent/calibrate", headers=service.headers(), json={}
    )
    check_problem(missing, 404, "gallery_not_found")


def test_a_gallery_that_is_too_large_for_a_request(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told which command does it."""
    _fill(service, 3)
    monkeypatch.setattr(calibrating, "MAX_TEMPLATES", 2)
    answer = _calibrate(service)
    check_problem(answer, 422, "request_invalid")
    assert "facegallery-index calibrate" in answer.json()["detail"]


@contextmanager
def _being_calibrated(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While the block runs, its default gallery is being calibrated; others are not held up."""
    begun, go_on = threading.Event(), threading.Event()
    measure = measure_gallery

    def held(*args: Any, **kwargs: Any) -> Any:
        if not begun.is_set():
            begun.set()
            go_on.wait(60.0)
        return measure(*args, **kwargs)

    monkeypatch.setattr(calibrating, "measure_gallery", held)
    first = threading.Thread(target=service.parts.calibrating.calibrate, args=("default",))
    first.start()
    try:
        assert begun.wait(60.0)
        yield
    finally:
        go_on.set()
        first.join()


def test_one_calibration_of_a_gallery_at_a_time(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one is refused until the first has ended; that of another gallery is not."""
    service.enroll("ann", "ben")
    service.http.post("/v1/galleries", headers=service.headers(), json={"name": "other"})
    _fill(service, 3, name="other")
    with _being_calibrated(service, monkeypatch):
        check_problem(_calibrate(service), 409, "calibration_running")
        with pytest.raises(CalibrationRunning):
            service.parts.calibrating.calibrate("default")
        service.parts.calibrating.calibrate("other")
    assert _calibrate(service).status_code == 200


def test_a_calibration_that_fails_is_over(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the midst of one does not keep the next one out."""

    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise MemoryError

    service.enroll("ann", "ben")
    with monkeypatch.context() as patched:
        patched.setattr(calibrating, "measure_gallery", fail)
        with pytest.raises(MemoryError):
            service.parts.calibrating.calibrate("default")
    assert _calibrate(service).status_code == 200


@pytest.mark.postgres
def test_one_calibration_at_a_time_over_all_services(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one service of a database calibrates a gallery, another one refuses to begin."""
    with services_on_one_database(settings) as (one, other):
        one.enroll("ann", "ben")
        with _being_calibrated(one, monkeypatch):
            check_problem(_calibrate(other), 409, "calibration_running")
        assert _calibrate(other).status_code == 200


def test_a_calibration_is_audited(service: FakeService) -> None:
    """In the transaction that keeps it, under the key that asked for it."""
    service.enroll("ann", "ben")
    headers = service.headers()
    service.http.post(CALIBRATE, headers=headers, json={})
    last = list(service.parts.galleries.audit.entries())[-1]
    assert (last.action, last.actor) == ("gallery.facts", headers["Authorization"].split("_")[1])
    assert last.facts["calibration"] is True
