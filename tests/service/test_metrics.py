"""Tests of what Prometheus reads."""

import dataclasses
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from embedding.detect import DetectedFace
from embedding.errors import SettingsInvalid
from index.calibration.kept import calibrate_gallery
from service.app import create_app
from service.metrics import Metrics
from service.metrics_sharing import FOLDER_VARIABLE, counting_together, process_ended
from service.metrics_state import GallerySize, Load, State
from service.metrics_token import read_token
from service.serving import serve
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo
from tests.service.support import FakeService, check_problem, fake_service

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with a good token."""
    path = tmp_path / "metrics-token"
    path.write_text(secrets.token_hex(32) + "\n")
    return path


@pytest.fixture
def watched(settings: Settings, token_file: Path) -> Iterator[FakeService]:
    """A fresh service with metrics."""
    with fake_service(settings.model_copy(update={"metrics_token_file": token_file})) as started:
        yield started


def read(service: FakeService) -> str:
    """The text of the metrics."""
    path = service.settings.metrics_token_file
    if path is None:
        raise AssertionError("no metrics here")
    answer = service.http.get("/metrics", headers={"Authorization": f"Bearer {read_token(path)}"})
    if answer.status_code != 200:
        raise AssertionError(answer.text)
    return answer.text


def samples_of(text: str) -> Samples:
    """Every value by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """One value; 0 where there is none."""
    return samples.get((f"facegallery_{name}", frozenset(labels.items())), 0.0)


def test_no_metrics_without_a_token_file(service: FakeService) -> None:
    """An installation that named no token shows nothing, to nobody."""
    check_problem(service.http.get("/metrics"), 404, "not_found")


def test_only_the_token_opens_them(watched: FakeService) -> None:
    """Without it, with another, with an admin's key or with odd characters nothing is shown."""
    check_problem(watched.http.get("/metrics"), 401, "key_missing")
    for sent in ("x" * 64, watched.key(), "t\u00f6ken"):
        headers = {b"Authorization": f"Bearer {sent}".encode()}
        check_problem(watched.http.get("/metrics", headers=headers), 401, "key_invalid")
    assert "facegallery_requests_total" in read(watched)


def test_the_token_opens_nothing_else(watched: FakeService, token_file: Path) -> None:
    """Who may look at metrics may not identify."""
    headers = {"Authorization": f"Bearer {read_token(token_file)}"}
    check_problem(watched.http.get("/v1/galleries", headers=headers), 401, "key_invalid")


def test_a_new_token_counts_at_once(watched: FakeService, token_file: Path) -> None:
    """Written into the file, it replaces the old one without a restart."""
    old = {"Authorization": f"Bearer {read_token(token_file)}"}
    token_file.write_text(secrets.token_hex(32))
    check_problem(watched.http.get("/metrics", headers=old), 401, "key_invalid")
    read(watched)


def test_faces_decisions_and_stages_are_counted(watched: FakeService) -> None:
    """A match, a stranger and a photo without a face: each is counted where it belongs."""
    watched.enroll("ann", "ben")
    for people in (["ann"], ["ann", "eve"], []):
        watched.http.post(
            "/v1/identify", headers=watched.headers(), files={"photo": make_photo(people)}
        )
    watched.http.post(
        "/v1/detect", headers=watched.headers(), files={"photo": make_photo(["cat"])}
    )
    found = samples_of(read(watched))
    assert value(found, "faces_total", operation="identify") == 3
    assert value(found, "faces_total", operation="enroll") == 2
    assert value(found, "faces_total", operation="detect") == 1
    assert value(found, "decisions_total", decision="match") == 2
    assert value(found, "decisions_total", decision="unknown") == 1
    assert value(found, "decisions_total", decision="review") == 0
    assert value(found, "similarity_count") == 3
    assert value(found, "similarity_bucket", le="1.0") >= 1
    assert value(found, "stage_seconds_count", stage="embed") == 6
    assert value(found, "stage_seconds_count", stage="search") == 3
    assert value(found, "gallery_subjects", gallery="default") == 2
    assert value(found, "gallery_templates", gallery="default") == 2
    assert ("facegallery_staleness_seconds", frozenset()) in found
    assert ("facegallery_upkeep_failing_seconds", frozenset()) in found


class WaitingDetector(FakeDetector):
    """Finds nothing before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def detect(self, photo_HWC: NDArray[np.uint8]) -> list[DetectedFace]:
        """The faces, late."""
        self.told.wait()
        return super().detect(photo_HWC)


def test_who_waits_is_told(settings: Settings, token_file: Path) -> None:
    """With one worker and three photos one is worked on and two wait, and none in the end."""
    detector = WaitingDetector()
    busy = settings.model_copy(update={"metrics_token_file": token_file, "num_workers": 1})
    with TestClient(create_app(busy, detector=detector)) as http:
        service = FakeService(app=cast(FastAPI, http.app), http=http, settings=busy)
        headers, photo = service.headers(), {"photo": make_photo(["ann"])}

        def depth() -> tuple[float, float]:
            found = samples_of(read(service))
            return value(found, "working"), value(found, "queue_depth")

        with ThreadPoolExecutor(3) as pool:
            asked = [
                pool.submit(http.post, "/v1/identify", headers=headers, files=photo)
                for _ in range(3)
            ]
            try:
                while depth() != (1, 2):
                    assert not any(each.done() for each in asked)
                    time.sleep(0.01)
            finally:
                detector.told.set()
            assert [each.result().status_code for each in asked] == [200] * 3
        assert depth() == (0, 0)


def test_a_dry_run_enrolls_no_face(watched: FakeService) -> None:
    """Only what was saved counts as enrolled."""
    watched.http.post(
        "/v1/enroll",
        headers=watched.headers(),
        data={"subject": "ann", "dry_run": "true"},
        files=[("photos", ("a", make_photo(["ann"])))],
    )
    assert value(samples_of(read(watched)), "faces_total", operation="enroll") == 0


def test_requests_are_counted_by_route_and_status(watched: FakeService) -> None:
    """A success, a refusal, and a path that no route has; one request, the own, is going on."""
    watched.http.get("/v1/galleries/default/subjects", headers=watched.headers())
    watched.http.get("/v1/galleries/default/subjects/absent", headers=watched.headers())
    watched.http.get("/nowhere/4711")
    found = samples_of(read(watched))
    one = "/v1/galleries/{gallery}/subjects/{subject_id}"
    all_of_them = "/v1/galleries/{gallery}/subjects"
    assert value(found, "requests_total", method="GET", route=all_of_them, status="200") == 1
    assert value(found, "requests_total", method="GET", route=one, status="404") == 1
    assert value(found, "requests_total", method="GET", route="-", status="404") == 1
    assert value(found, "request_seconds_count", route=one) == 1
    assert value(found, "requests_in_progress") == 1


def test_callers_cannot_make_series(watched: FakeService) -> None:
    """Invented methods, paths and galleries share a label: memory does not grow with them."""
    watched.http.request("AAA0", "/v1/x0")
    before = len(samples_of(read(watched)))
    for n in range(1, 20):
        watched.http.request(f"AAA{n}", f"/v1/x{n}")
        watched.http.get(
            f"/v1/galleries/g{n}/subjects/s{n}", headers={"Authorization": "Bearer x"}
        )
    found = samples_of(read(watched))
    assert value(found, "requests_total", method="other", route="-", status="404") == 20
    by_one_route = 15 + 1  # buckets, sum and count, and one row of requests by status
    assert len(found) - before <= 2 * by_one_route + 2


def test_nobody_is_named(watched: FakeService) -> None:
    """No name, id of a person, external id, key or id of a key stands in the metrics."""
    headers = watched.headers()
    watched.http.post(
        "/v1/enroll",
        headers=headers,
        data={"subject": "Ada Lovelace"},
        files=[("photos", ("a", make_photo(["ann"])))],
    )
    ada = watched.parts.galleries.get("default").subjects().subjects[0].id
    watched.http.post(
        "/v1/enroll",
        headers=headers,
        data={"subject": "ben", "external_id": "employee-of-acme"},
        files=[("photos", ("portrait.png", make_photo(["ben"])))],
    )
    watched.http.post("/v1/identify", headers=headers, files={"photo": make_photo(["ann"])})
    watched.http.get(f"/v1/galleries/default/subjects/{ada}", headers=headers)
    text = read(watched)
    key = headers["Authorization"].removeprefix("Bearer ")
    for private in ("Ada", "ben", ada, "employee", "portrait", *key.split("_", 2)[1:]):
        assert private not in text


def test_age_of_thresholds(watched: FakeService) -> None:
    """A calibrated gallery says how old its thresholds are, another one nothing."""
    watched.enroll("ann", "ben")
    door = watched.parts.create_gallery("door")
    name = "facegallery_threshold_age_seconds"
    assert name in read(watched)  # its help alone
    assert not [each for each in samples_of(read(watched)) if each[0] == name]
    gallery = watched.parts.galleries.get("default")
    card = watched.parts.embedders.of_gallery(gallery.fingerprint).card
    made = calibrate_gallery(gallery.store, card=card)
    earlier = dataclasses.replace(made, made_at=made.made_at - timedelta(hours=2))
    gallery.store.write_facts({"calibration": earlier.to_json()})
    found = samples_of(read(watched))
    assert value(found, "threshold_age_seconds", gallery="default") >= 7200
    assert value(found, "threshold_stale", gallery="default") == 0
    watched.enroll("cat", "dan", "eve")
    assert value(samples_of(read(watched)), "threshold_stale", gallery="default") == 1
    assert (name, frozenset({("gallery", door.name)})) not in found


def test_a_calibration_that_cannot_be_read_hides_nothing_else(watched: FakeService) -> None:
    """Metrics are read when things go wrong."""
    watched.enroll("ann")
    gallery = watched.parts.galleries.get("default")
    gallery.store.write_facts({"calibration": b"damaged"})
    found = samples_of(read(watched))
    assert value(found, "gallery_subjects", gallery="default") == 1
    assert ("facegallery_threshold_age_seconds", frozenset({("gallery", "default")})) not in found


def test_openmetrics_where_it_is_asked_for(watched: FakeService, token_file: Path) -> None:
    """Prometheus' newer form is given to whoever accepts it."""
    headers = {
        "Authorization": f"Bearer {read_token(token_file)}",
        "Accept": "application/openmetrics-text; version=1.0.0",
    }
    answer = watched.http.get("/metrics", headers=headers)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    "accept",
    ["text/plain; version=x", "application/openmetrics-text; version=a.b; escaping=values", "x"],
)
def test_what_accept_says_wrongly_is_as_good_as_absent(
    watched: FakeService, token_file: Path, accept: str
) -> None:
    """The older form is given, and nothing fails."""
    headers = {"Authorization": f"Bearer {read_token(token_file)}", "Accept": accept}
    answer = watched.http.get("/metrics", headers=headers)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (
        200,
        "text/plain",
    )


@pytest.mark.parametrize(
    "text", ["", "short", "changeme" * 8, "x" * 64, "two words " * 8, "ü" * 40]
)
def test_a_poor_token_stops_the_start(settings: Settings, token_file: Path, text: str) -> None:
    """A placeholder, or a token that can be guessed, is told before a port is opened."""
    token_file.write_text(text)
    with pytest.raises(SettingsInvalid, match="token"):
        serve(
            settings.model_copy(update={"metrics_token_file": token_file}),
            on_started=lambda _: pytest.fail("it started"),
        )
    with pytest.raises(SettingsInvalid, match="token"):
        read_token(token_file.with_name("absent"))


def test_every_metric_is_documented() -> None:
    """The table of metrics holds each one, with its labels, and no other."""
    empty = State(
        galleries=(
            GallerySize(
                name="g",
                num_subjects=0,
                num_templates=0,
                threshold_age_s=0.0,
                threshold_stale=False,
            ),
        ),
        staleness_s=0.0,
        upkeep_failing_s=0.0,
    )
    metrics = Metrics(lambda: empty, version="1")
    metrics.answered(method="GET", route="/", status=200, seconds=0.0)
    metrics._stages({"embed": 1.0})
    metrics.watch_load(lambda: Load(num_working=1, num_queued=0, num_runs=1, num_crops=2))
    found = {}
    for family in metrics.registry.collect():
        if family.name.startswith("facegallery_"):
            suffix = "_total" if family.type == "counter" else ""
            labels = {name for each in family.samples for name in each.labels} - {"le"}
            found[family.name + suffix] = labels
    rows = re.findall(r"^\| `(facegallery_\w+)` \| (.*?) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == found


COUNTING = """
import sys
from service.metrics import Metrics
from service.metrics_state import Load, State

state = State(galleries=(), staleness_s=0.0, upkeep_failing_s=0.0)
metrics = Metrics(lambda: state, version="1")
with metrics.request_in_progress():
    metrics.answered(method="GET", route="/readyz", status=200, seconds=0.01)
    print("counted", flush=True)
    if sys.stdin.readline().strip() == "tell":
        print(metrics.text("")[0].decode())
"""


def test_processes_count_together() -> None:
    """Whichever process of one address is asked tells the sum; of one that ended, its counts."""
    with counting_together():
        crew = [
            subprocess.Popen(
                [sys.executable, "-c", COUNTING],
                cwd=DOCUMENT.parents[1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        for each in crew:
            assert each.stdout
            assert each.stdout.readline() == "counted\n"
        crew[0].kill()
        crew[0].communicate()
        process_ended(crew[0].pid)
        told = samples_of(crew[1].communicate("tell\n")[0])
        crew[2].communicate("end\n")
    assert value(told, "requests_total", method="GET", route="/readyz", status="200") == 3
    assert value(told, "request_seconds_count", route="/readyz") == 3
    assert value(told, "requests_in_progress") == 2
    assert value(told, "build_info", version="1") == 1
    assert ("facegallery_staleness_seconds", frozenset()) in told
    assert ("process_resident_memory_bytes", frozenset()) in told
    assert FOLDER_VARIABLE not in os.environ
