"""Bodies that are not what was announced, broken or too large: a clear 4xx, nothing half done."""

import base64
import gzip
import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from service.transfer import PARQUET
from tests.fakes import make_photo
from tests.service.support import FakeService, MiB, check_problem, post_raw

pytestmark = pytest.mark.usefixtures("nothing_is_written")

GOOD = make_photo(["ann"])


def test_photo_as_text_and_text_as_file(shared_service: FakeService) -> None:
    """In a form photos are files and all else is text."""
    text = shared_service.http.post(
        "/v1/identify",
        headers=shared_service.headers(),
        data={"photo": base64.b64encode(GOOD).decode()},
        files={"other": b"x"},
    )
    check_problem(text, 422, "request_invalid")
    file = shared_service.http.post(
        "/v1/identify",
        headers=shared_service.headers(),
        files={"photo": GOOD, "gallery": b"default"},
    )
    check_problem(file, 422, "request_invalid")
    assert "text, not files" in file.json()["detail"]


@pytest.mark.parametrize(
    "kind",
    ["image/jpeg", "text/plain", "application/x-www-form-urlencoded", "", "multipart/mixed"],
)
def test_content_type(shared_service: FakeService, kind: str) -> None:
    """A body that is neither a form nor JSON is refused as such."""
    answer = shared_service.http.post(
        "/v1/identify",
        headers={**shared_service.headers(), "Content-Type": kind},
        content=GOOD,
    )
    check_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("charset", ["undefined", "punycode", "unicode_escape", "utf-16", '""'])
def test_form_in_another_charset(shared_service: FakeService, charset: str) -> None:
    """A charset is never looked up among Python's codecs, some of which make text that is none."""
    start = b'--x\r\nContent-Disposition: form-data; name="subject_id"\r\n\r\n\\ud800\r\n'
    photo = b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a"\r\n\r\n' + GOOD
    answer = shared_service.http.post(
        "/v1/enroll",
        headers={**shared_service.headers(), "Content-Type": f"{BOUNDARY}; charset={charset}"},
        content=start + photo + b"\r\n--x--\r\n",
    )
    check_problem(answer, 415, "unsupported_media_type")


def test_small_bodies_are_json_only(shared_service: FakeService) -> None:
    """A form is no way to make a gallery."""
    answer = shared_service.http.post(
        "/v1/galleries", headers=shared_service.headers(), files={"name": b"x"}
    )
    check_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("route", ["/v1/enroll", "/v1/verify", "/v1/identify"])
def test_photos_beyond_the_limit_are_told_alike(shared_service: FakeService, route: str) -> None:
    """One photo too many has the same code in a form as in JSON, and the limit is named."""
    most = {"/v1/enroll": shared_service.settings.max_photos, "/v1/verify": 2}.get(route, 1)
    name = "photo" if route == "/v1/identify" else "photos"
    answer = shared_service.http.post(
        route, headers=shared_service.headers(), files=[(name, ("a", GOOD))] * (most + 1)
    )
    check_problem(answer, 422, "request_invalid")
    assert ("one photo" if most == 1 else f"at most {most} photos") in answer.json()["detail"]


@pytest.mark.parametrize(
    "route", ["/v1/identify", "/v1/galleries", "/v1/galleries/default/import"]
)
def test_compressed_body(shared_service: FakeService, route: str) -> None:
    """A body that was compressed is refused as such, and not taken for broken JSON."""
    answer = shared_service.http.post(
        route,
        headers={
            **shared_service.headers(),
            "Content-Encoding": "gzip",
            "Content-Type": PARQUET if route.endswith("import") else "application/json",
        },
        content=gzip.compress(b"{}"),
    )
    check_problem(answer, 415, "unsupported_media_type")
    assert "Content-Encoding" in answer.json()["detail"]


def test_long_content_type(shared_service: FakeService) -> None:
    """What is no kind of ours is not sent back at length."""
    answer = shared_service.http.post(
        "/v1/identify",
        headers={**shared_service.headers(), "Content-Type": "a" * 5_000},
        content=GOOD,
    )
    check_problem(answer, 415, "unsupported_media_type")
    assert len(answer.content) < 500


@pytest.mark.parametrize(
    ("body", "where", "message"),
    [
        ("[", "body", "Invalid JSON: EOF while parsing a list at line 1 column 1"),
        ('{"photo": "%%"}', "photo", "a photo in JSON is standard base64, without line breaks"),
        ('{"photo": null}', "photo", "a photo is base64 in JSON, and a file in a form"),
        ('{"photo": "", "turns": "false"}', "turns", "expected true or false"),
    ],
)
def test_what_is_wrong_with_json(
    shared_service: FakeService, body: str, where: str, message: str
) -> None:
    """The document says where and what, in words that help, and not in those of a library."""
    answer = shared_service.http.post(
        "/v1/identify",
        headers={**shared_service.headers(), "Content-Type": "application/json"},
        content=body,
    )
    check_problem(answer, 422, "request_invalid")
    assert answer.json()["detail"] == f"{where}: {message}"
    assert answer.json()["errors"] == [{"where": where, "message": message}]


@pytest.mark.parametrize("word", ["False", "0", "no", ""])
def test_words_of_a_form_that_are_no_flag(shared_service: FakeService, word: str) -> None:
    """Only the words true and false are flags, and the document says so."""
    answer = shared_service.http.post(
        "/v1/enroll",
        headers=shared_service.headers(),
        data={"subject": "Ann", "dry_run": word},
        files={"photos": GOOD},
    )
    check_problem(answer, 422, "request_invalid")
    assert answer.json()["detail"] == "dry_run: expected true or false"


BAD_JSON = {
    "invalid base64": json.dumps({"photo": "%%%"}),
    "base64 with line breaks": json.dumps({"photo": base64.encodebytes(GOOD).decode()}),
    "number for a photo": json.dumps({"photo": 7}),
    "null": "null",
    "array": "[]",
    "nothing": "",
    "cut off": '{"photo": "',
    "deep": "[" * 10_000 + "]" * 10_000,
    "word for a number": json.dumps(
        {"photo": base64.b64encode(GOOD).decode(), "num_candidates": "5"}
    ),
    "thousands of values": json.dumps({str(number): 0 for number in range(20_000)}),
    "long field": json.dumps({"x" * 10_000: 0}),
    "word for yes": json.dumps({"photo": base64.b64encode(GOOD).decode(), "turns": "yes"}),
    "unknown field": json.dumps({"photo": base64.b64encode(GOOD).decode(), "x": 1}),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_is_not_the_body(shared_service: FakeService, name: str) -> None:
    """JSON is read strictly."""
    answer = shared_service.http.post(
        "/v1/identify",
        headers={**shared_service.headers(), "Content-Type": "application/json"},
        content=BAD_JSON[name],
    )
    check_problem(answer, 422, "request_invalid")
    assert "%%%" not in answer.text
    assert len(answer.content) < 2_000


def test_json_that_is_not_utf8(shared_service: FakeService) -> None:
    """Bytes that are no text are refused."""
    answer = shared_service.http.post(
        "/v1/identify",
        headers={**shared_service.headers(), "Content-Type": "application/json"},
        content=b'{"photo": "\xff\xfe"}',
    )
    check_problem(answer, 422, "request_invalid")


BOUNDARY = "multipart/form-data; boundary=x"
BAD_FORMS = {
    "no boundary": ("multipart/form-data", b"--x--"),
    "empty": (BOUNDARY, b""),
    "no end": (
        BOUNDARY,
        b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n' + GOOD,
    ),
    "no name": (BOUNDARY, b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n"),
    "not UTF-8": (
        BOUNDARY,
        b'--x\r\nContent-Disposition: form-data; name="gallery"\r\n\r\n\xff\xfe\r\n--x--\r\n',
    ),
    "junk": (BOUNDARY, b"\0" * 1000),
    "many fields": (
        BOUNDARY,
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 1000 + b"--x--\r\n",
    ),
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_form_that_is_none(shared_service: FakeService, name: str) -> None:
    """A form that is broken or cut off is refused as a whole."""
    kind, content = BAD_FORMS[name]
    answer = shared_service.http.post(
        "/v1/identify",
        headers={**shared_service.headers(), "Content-Type": kind},
        content=content,
    )
    check_problem(answer, 400, "request_malformed")


@pytest.mark.parametrize("announced", [True, False])
def test_upload_of_100_megabytes(shared_service: FakeService, announced: bool) -> None:
    """An upload over the limit is refused after the limit at most, or before when announced."""
    headers = {**shared_service.headers(), "Content-Type": BOUNDARY}
    if announced:
        headers["Content-Length"] = str(100 * MiB)
    start = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
    answer = post_raw(shared_service.app, "/v1/identify", headers, bytes(MiB), 100, first=start)
    assert answer.status == 413
    assert json.loads(answer.body)["code"] == "request_too_large"
    assert answer.headers["connection"] == "close"
    assert answer.num_bytes_read <= (0 if announced else 10 * MiB)


def test_nothing_is_read_without_a_key(shared_service: FakeService) -> None:
    """The body of a caller without a key is not even looked at."""
    answer = post_raw(shared_service.app, "/v1/enroll", {"Content-Type": BOUNDARY}, b"x", 100)
    assert answer.status == 401
    assert answer.num_bytes_read == 0


@hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(max_size=300))
def test_any_form(shared_service: FakeService, content: bytes) -> None:
    """Any bytes as a form give a 4xx problem."""
    answer = shared_service.http.post(
        "/v1/enroll",
        headers={**shared_service.headers(), "Content-Type": BOUNDARY},
        content=b"--x\r\n" + content,
    )
    assert 400 <= answer.status_code < 500
