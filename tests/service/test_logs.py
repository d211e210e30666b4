"""Tests of the logs: their forms, and that nothing personal is in them."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from embedding.detect import DetectedFace
from embedding.errors import StoreError
from service.app import create_app
from service.logs import JsonFormatter, SafeFormatter, named_arguments
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo
from tests.service.support import FakeService, check_problem, fake_service

REPOSITORY = Path(__file__).parents[2]
NAME = "Ada Lovelace"
FORMS = (SafeFormatter, JsonFormatter)


@contextmanager
def logged(form: type[SafeFormatter]) -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile, in one of the forms."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    # The tests' own client logs the addresses that it asks for.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    """The objects of a log in JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class QuotingDetector(FakeDetector):
    """Fails as a driver does: its words quote what it was given."""

    def detect(self, photo_HWC: NDArray[np.uint8]) -> list[DetectedFace]:  # noqa: ARG002
        """Raises."""
        try:
            raise StoreError("the disk is full")
        except StoreError as error:
            raise ValueError(f"duplicate key (name)=({NAME})") from error


def test_a_request_in_json(service: FakeService) -> None:
    """One object: who asked for what, with which answer, as fields; its id is the answer's."""
    with logged(JsonFormatter) as stream:
        answer = service.http.get("/v1/galleries", headers=service.headers())
    lines = [each for each in entries(stream) if each["logger"] == "service.middleware"]
    assert len(lines) == 1
    line = lines[0]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["level"], line["method"], line["status"]) == ("info", "GET", 200)
    assert line["route"] == "/v1/galleries"
    assert line["ms"] > 0
    assert len(line["key"]) == 12
    assert line["time"].endswith("+00:00")


def test_a_method_that_is_none_is_not_logged(
    service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller may invent a method of 60 KiB; the line says that it was another one."""
    with caplog.at_level(logging.INFO, "service.middleware"):
        service.http.request("SESAME", "/healthz")
    assert "method=other" in caplog.text
    assert "SESAME" not in caplog.text


@pytest.mark.parametrize("form", FORMS)
def test_what_a_worker_logs_bears_the_request_s_id(
    service: FakeService, form: type[SafeFormatter]
) -> None:
    """Lines of a request belong together, whichever thread wrote them; others have no id."""
    with logged(form) as stream:
        service.http.post(
            "/v1/enroll",
            headers={**service.headers(), "X-Request-ID": "trace-7"},
            data={"subject": "ann"},
            files=[("photos", ("a", make_photo(["ann"])))],
        )
        logging.getLogger("service.x").info("on its own")
    lines = stream.getvalue().splitlines()
    assert any("trace-7" in line for line in lines if "enrolled gallery=" in line)
    assert not any("trace-7" in line for line in lines if "on its own" in line)
    assert all(line.count("trace-7") <= 2 for line in lines)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_personal_is_logged(settings: Settings, form: type[SafeFormatter]) -> None:
    """At the level debug, through successes, refusals and a fault: no name, key or embedding."""
    with logged(form) as stream:
        with fake_service(settings) as service:
            headers = service.headers()
            photo = make_photo(["ann"])
            for fields in ({"subject": "Ada Lovelace"}, {"external_id": "employee-of-acme"}):
                service.http.post(
                    "/v1/enroll",
                    headers=headers,
                    data=fields,
                    files=[("photos", ("portrait of Ada.png", photo))],
                )
            for path in ("/v1/identify", "/v1/detect"):
                service.http.post(path, headers=headers, files={"photo": photo})
            one = service.parts.galleries.get("default").subjects().subjects[0].id
            service.http.get("/v1/galleries/default/subjects/Ada", headers=headers)
            service.http.get("/v1/galleries/Ada%20Lovelace/subjects?cursor=Ada", headers=headers)
            service.http.post("/v1/enroll", headers=headers, content=rb'{"subject": "Ada\ud800"}')
            service.http.post("/v1/enroll", headers=headers, content=b'{"subject": "Ada')
            service.http.delete(f"/v1/galleries/default/subjects/{one}", headers=headers)
            made = service.http.post("/v1/keys", headers=headers, json={"role": "operator"})
            key = headers["Authorization"].removeprefix("Bearer ")
            service.http.get("/v1/galleries", headers={"X-Request-ID": key})
            service.http.get("/v1/galleries", headers={"Authorization": f"Bearer {key}x"})
            gallery = service.parts.galleries.get("default")
            embedder = service.parts.embedders.of_gallery(gallery.fingerprint)
            vector = embedder.analyze(photo).faces[0].embedding
        broken = create_app(settings, detector=QuotingDetector())
        with TestClient(broken) as http:
            fault = http.post("/v1/identify", headers=headers, files={"photo": photo})
    check_problem(fault, 500, "internal")
    text = stream.getvalue()
    assert "route=/v1/keys status=201" in text
    assert "ValueError" in text
    for private in ("Ada", "Lovelace", "employee", "portrait", key.split("_", 2)[2]):
        assert private not in text
    assert made.json()["key"].split("_", 2)[2] not in text
    for number in vector[:8].tolist():
        assert f"{number:.5f}" not in text
    assert settings.data_folder.joinpath("service.secret").read_bytes().hex() not in text


@pytest.mark.parametrize("form", FORMS)
def test_an_error_of_others_is_told_by_type_and_place(form: type[SafeFormatter]) -> None:
    """The project's own words stand, those of others not, also where another handler kept them."""
    with logged(form) as stream:
        try:
            QuotingDetector().detect(np.zeros((1, 1, 3), np.uint8))
        except ValueError as error:
            told = logging.Formatter().formatException((ValueError, error, error.__traceback__))
            record = logging.LogRecord("service.x", logging.ERROR, "", 1, "fault", (), None)
            record.exc_info, record.exc_text = (ValueError, error, error.__traceback__), told
            logging.getLogger("service.x").handle(record)
    text = stream.getvalue()
    assert "Ada" in told
    assert "Ada" not in text
    assert "ValueError" in text
    assert "StoreError: the disk is full" in text
    assert "in detect" in text


@pytest.mark.parametrize("form", FORMS)
def test_libraries_are_cut_after_their_first_line(form: type[SafeFormatter]) -> None:
    """What follows is left out: there asyncio writes an error in full."""
    with logged(form) as stream:
        logging.getLogger("asyncio").error(
            "Task exception was never retrieved\nfuture: <Task exception=ValueError('Ada')>"
        )
    assert "never retrieved" in stream.getvalue()
    assert "Ada" not in stream.getvalue()


def test_named_arguments() -> None:
    """Words before arguments become fields; a message in prose has none."""

    def record(message: str, *arguments: object) -> logging.LogRecord:
        return logging.LogRecord("x", logging.INFO, "", 1, message, arguments, None)

    named = named_arguments(record("did request id=%s templates=%d ms=%.1f", "r", 3, 1.25))
    assert named == {"request_id": "r", "templates": 3, "ms": 1.25}
    assert named_arguments(record("opened %s galleries in n=%d s", 4, 5)) == {}
    assert named_arguments(record("nothing")) == {}
    assert named_arguments(record("role=%s", Path("x"))) == {"role": "x"}


def test_a_served_log_is_json_throughout(settings: Settings) -> None:
    """Every line that a real server writes to stderr is an object; the first key is in none."""
    environment = os.environ | {
        "FACEGALLERY_DATA_FOLDER": str(settings.data_folder),
        "FACEGALLERY_MODEL": str(settings.model),
        "FACEGALLERY_LOG_FORMAT": "json",
        "FACEGALLERY_LOG_LEVEL": "debug",
    }
    code = (
        "import sys; from tests.fakes import FakeDetector; from service.cli import main; "
        "main(sys.argv[1:], detector=FakeDetector())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--port", "0", "--json"],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if process.stdout is None:
        raise AssertionError("no pipe")
    said = json.loads(process.stdout.readline())
    process.terminate()
    _, errors = process.communicate(timeout=30)
    lines = [json.loads(line) for line in errors.splitlines()]
    assert {"service.embedders", "index.galleries"} <= {line["logger"] for line in lines}
    assert said["admin_key"].split("_", 2)[2] not in errors
