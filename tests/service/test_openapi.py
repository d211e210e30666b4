"""Tests of the OpenAPI document and the page that shows it."""

import re
from typing import Any

import pytest

from tests.service.support import FakeService


@pytest.fixture(scope="module")
def document(shared_service: FakeService) -> Any:
    """The OpenAPI document."""
    return shared_service.http.get("/openapi.json").json()


def test_every_reference_leads_somewhere(document: Any) -> None:
    """No schema is referred to that is not there."""
    names = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert names <= document["components"]["schemas"].keys()
    assert "EnrollForm" in names


def test_keys_and_problems_are_described(document: Any) -> None:
    """Each route under /v1 says that it needs a key and answers problem documents."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"]
            if path.startswith("/v1"):
                assert operation["security"] == [{"key": []}]
                for status in ("401", "403", "422", "500"):
                    assert "application/problem+json" in operation["responses"][status]["content"]


def test_bodies_have_fields_with_descriptions(document: Any) -> None:
    """What a form and JSON may hold is said, field by field, and nothing else is allowed."""
    schemas = document["components"]["schemas"]
    names = ("EnrollBody", "EnrollForm", "IdentifyBody", "IdentifyForm", "DetectForm")
    for name in (*names, "VerifyBody", "VerifyForm", "CalibrateBody"):
        assert schemas[name]["additionalProperties"] is False
        assert [f for f, s in schemas[name]["properties"].items() if "description" not in s] == []
    assert schemas["IdentifyForm"]["properties"]["photo"]["format"] == "binary"


def test_answers_have_examples(document: Any) -> None:
    """A reader sees what an answer looks like."""
    face = document["components"]["schemas"]["IdentifiedFace"]["properties"]
    assert face["decision"]["examples"] == ["match"]


def test_page_works_without_a_network(shared_service: FakeService) -> None:
    """The page loads nothing from elsewhere, and all that it loads is there."""
    page = shared_service.http.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 3
    for path in loaded:
        if not path.startswith("data:"):
            assert shared_service.http.get(f"/{path}").status_code == 200


def test_the_session_says_that_it_is_for_the_page(document: Any) -> None:
    """A program's author is not led to the cookie: no scheme of security names it."""
    assert set(document["components"]["securitySchemes"]) == {"key", "metrics token"}
    assert document["paths"]["/session"]["post"]["tags"] == ["page"]
