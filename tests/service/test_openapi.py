"""Tests of the OpenAPI document and the page that shows it."""

import json
import re
from typing import Any

import pytest

from service import schemas
from service.errors import CODE_BY_STATUS, PROBLEM_JSON, STATUS_BY_CLASS, is_told
from service.examples import NO_EXAMPLE, example_of
from service.openapi import BODIES
from service.openapi_codes import EVERYWHERE, operations_of
from service.schemas import Problem
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


def test_operation_ids_are_stable(document: Any) -> None:
    """Each operation is named as its function, once: programs are generated from these."""
    ids = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(set(ids)) == len(ids)
    assert {"enroll", "identify", "detect", "list_subjects", "create_key"} <= set(ids)
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)*", each)] == []


def test_every_code_stands_with_the_routes_that_answer_it(document: Any) -> None:
    """Each code that HTTP has is named by an operation, or in the description for all of them.

    That no route answers another one is checked at every answer of the service's tests, by
    `tests.service.documented`.
    """
    told = {each.code for each in STATUS_BY_CLASS if is_told(each)} | set(CODE_BY_STATUS.values())
    named = {
        code
        for _, operation in operations_of(document)
        for response in operation["responses"].values()
        for code in response.get("content", {}).get(PROBLEM_JSON, {}).get("examples", {})
    }
    assert told - named - EVERYWHERE == set()
    assert {f"`{code}`" for code in EVERYWHERE} <= set(
        re.findall(r"`\w+`", document["info"]["description"])
    )


@pytest.mark.parametrize(
    ("code", "operations"),
    [
        ("calibration_running", {"calibrate"}),
        ("transfer_off", {"export_gallery", "import_gallery"}),
        ("gallery_exists", {"create_gallery", "patch_gallery"}),
        ("subject_exists", {"enroll", "change_subject", "move_templates", "verify"}),
        ("idempotency_key_reused", {"enroll", "create_gallery"}),
        ("idempotency_key_in_use", {"enroll", "create_gallery"}),
        ("idempotency_key_spent", {"enroll", "create_gallery"}),
    ],
)
def test_codes_stand_only_where_they_can_come(
    document: Any, code: str, operations: set[str]
) -> None:
    """Whoever reads the codes of a route finds none that is about something else."""
    assert operations == {
        operation["operationId"]
        for _, operation in operations_of(document)
        for response in operation["responses"].values()
        if code in response.get("content", {}).get(PROBLEM_JSON, {}).get("examples", {})
    }


def test_problems_have_an_example_for_each_code(document: Any) -> None:
    """A reader sees each code as it comes, at the status that it comes with."""
    for path, operation in operations_of(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get(PROBLEM_JSON)
            if content is not None:
                assert content["examples"], (path, status)
                codes = content["schema"]["allOf"][1]["properties"]["code"]["enum"]
                assert codes == sorted(content["examples"])
                for code, example in content["examples"].items():
                    problem = Problem.model_validate(example["value"])
                    assert (problem.code, problem.status) == (code, int(status))
                    if problem.retry_after_s is not None and status != "409":
                        assert "Retry-After" in response["headers"]


def test_bodies_and_answers_have_examples(document: Any) -> None:
    """Each JSON body and answer has a whole example, to which every field of text adds its own."""
    for path, operation in operations_of(document):
        for body in [operation.get("requestBody", {}), *operation["responses"].values()]:
            content = body.get("content", {}).get("application/json")
            if content is not None:
                assert f'"{NO_EXAMPLE}"' not in json.dumps(content["example"]), path


def test_streams_and_patches_have_examples(document: Any) -> None:
    """The stream of events shows one as it comes, and a merge patch is shown under both kinds."""
    events = document["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]
    shown = events["text/event-stream"]["example"]
    assert re.fullmatch(r"id: (\S+)\nevent: identified\ndata: (\{.*\})\n\n", shown)
    data = json.loads(shown.partition("data: ")[2])
    assert schemas.EventAnswer.model_validate_json(json.dumps(data)).id in shown.partition("\n")[0]
    patch = document["paths"]["/v1/galleries/{gallery}/subjects/{subject_id}"]["patch"]
    bodies = patch["requestBody"]["content"].values()
    assert len(bodies) == 2
    assert all(each["example"] for each in bodies)


def test_examples_are_what_they_are_examples_of(document: Any) -> None:
    """The example of a body can be sent, and that of an answer is one."""
    for body_class in BODIES:
        example = example_of(
            document["components"]["schemas"][body_class.__name__],
            document["components"]["schemas"],
        )
        assert body_class.model_validate_json(json.dumps(example), strict=True)
    for path, operation in operations_of(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/json")
            if content is not None and "$ref" in content["schema"]:
                name = content["schema"]["$ref"].rpartition("/")[2]
                answer_class = getattr(schemas, name)
                assert answer_class.model_validate_json(json.dumps(content["example"])), path
                assert status in {"200", "201"}


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
