"""Tests of the table from exceptions to problem documents."""

import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from embedding import errors
from embedding.errors import (
    FaceGalleryError,
    FaceQualityTooLow,
    KeyLimited,
    Overloaded,
    PhotoTooLarge,
    StoreInUse,
)
from service.errors import STATUS_BY_CLASS, error_of_problem, install, is_told, problem_of
from service.middleware import RequestEnvelope
from service.schemas import Problem


def _tree(root: type[FaceGalleryError]) -> Iterator[type[FaceGalleryError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


TREE = sorted(
    {each for each in _tree(FaceGalleryError) if each.__module__ == errors.__name__},
    key=lambda each: each.__name__,
)


def _instance(error_class: type[FaceGalleryError]) -> FaceGalleryError:
    if error_class is FaceQualityTooLow:
        return FaceQualityTooLow("poor", reasons=["too_small"])
    return error_class("what happened")


@pytest.mark.parametrize("error_class", TREE, ids=lambda each: each.__name__)
def test_every_class_has_a_row_and_a_code_of_its_own(error_class: type[FaceGalleryError]) -> None:
    """A new error without a status, or with another's code, fails here."""
    assert error_class in STATUS_BY_CLASS
    assert [other for other in TREE if other.code == error_class.code] == [error_class]


@pytest.mark.parametrize("error_class", TREE, ids=lambda each: each.__name__)
def test_problem_document_is_complete(error_class: type[FaceGalleryError]) -> None:
    """Each error becomes a document with all members; a fault of the service tells no details."""
    answer = problem_of(_instance(error_class))
    document = json.loads(bytes(answer.body))
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == answer.status_code
    assert {"type", "title", "detail", "code"} <= document.keys() <= Problem.model_fields.keys()
    if is_told(error_class):
        assert document["code"] == error_class.code
        assert answer.status_code < 500 or answer.status_code == 503
    else:
        assert document["code"] == "internal"
        assert "what happened" not in document["detail"]


@pytest.mark.parametrize("error_class", TREE, ids=lambda each: each.__name__)
def test_client_gets_the_same_error_back(error_class: type[FaceGalleryError]) -> None:
    """What the service raised for a caller is what its client raises."""
    answer = problem_of(_instance(error_class))
    raised = error_of_problem(json.loads(bytes(answer.body)))
    if is_told(error_class) and error_class is not StoreInUse:
        assert type(raised) is error_class
        assert str(raised) == str(_instance(error_class))
    else:
        assert type(raised) is FaceGalleryError


def test_reasons_travel() -> None:
    """A poor face's reasons are in the document and come back on the client's side."""
    document = json.loads(bytes(problem_of(_instance(FaceQualityTooLow)).body))
    assert document["reasons"] == ["too_small"]
    raised = error_of_problem(document)
    assert isinstance(raised, FaceQualityTooLow)
    assert raised.reasons == ("too_small",)


def test_the_time_to_come_again_travels() -> None:
    """A busy service says in header and document when to come again; a client's error has it."""
    answer = problem_of(Overloaded("full", retry_after_s=7))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    raised = error_of_problem(json.loads(bytes(answer.body)))
    assert isinstance(raised, Overloaded)
    assert raised.retry_after_s == 7


def test_a_limited_key_is_told_when_to_come_again() -> None:
    """A limited key hears it as a busy service's caller does: in header, document and error."""
    answer = problem_of(KeyLimited("too often", retry_after_s=6.2))
    document = json.loads(bytes(answer.body))
    assert (answer.headers["retry-after"], document["retry_after_s"]) == ("7", 7)
    raised = error_of_problem(document)
    assert isinstance(raised, KeyLimited)
    assert raised.retry_after_s == 7


def test_unforeseen_fault_tells_nothing() -> None:
    """An exception that nobody foresaw is a 500 without its message, with the request's id."""
    app = FastAPI()
    install(app)
    app.add_middleware(RequestEnvelope)

    @app.get("/fault")
    def fault() -> None:
        raise RuntimeError("a secret")

    answer = TestClient(app).get("/fault", headers={"X-Request-ID": "abc-1"})
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] == "abc-1"


def test_photo_over_the_request_limit_is_one_bad_photo() -> None:
    """A client whose photo was too large for the whole request hears of a photo too large."""
    raised = error_of_problem({"code": "request_too_large", "detail": "larger than 9 bytes"})
    assert type(raised) is PhotoTooLarge
