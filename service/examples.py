"""Examples of the OpenAPI document, made of those that its schemas hold."""

import http
import json
from collections.abc import Mapping
from typing import Any, Final

from embedding import errors

PHOTO: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC"
)
"""A PNG of one grey pixel in base64: a photo without a face."""

NO_EXAMPLE: Final = "text"
"""Stands for text of which nobody has said an example; a test finds it."""

_WITH_TIME: Final = frozenset(
    each.code
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, (errors.ServiceError, errors.KeyLimited))
)
"""Codes that say when to come again."""

_DETAIL: Final = "What was expected, what came, and what to do."


def problem_example(status: int, code: str) -> dict[str, object]:
    """A problem document with this code."""
    example: dict[str, object] = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": _DETAIL,
        "code": code,
    }
    if code == "face_quality_too_low":
        example["reasons"] = ["too_small"]
    if code == "request_invalid":
        example["errors"] = [{"where": "query.limit", "message": "Input should be at most 1000"}]
    if code in _WITH_TIME:
        example["retry_after_s"] = 1
    return example


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """What a schema's fields have as examples, put together; a field without any is left out.

    Args:
        schema: of a value.
        schemas: by name, for references.

    Raises:
        KeyError: a value that is needed has neither an example nor a kind that has one.
    """
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for given in ("const", "default"):
        if given in schema:
            return schema[given]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        required = schema.get("required", ())
        return {
            name: example_of(field, schemas)
            for name, field in schema.get("properties", {}).items()
            if name in required or field.get("examples")
        }
    if {"type": "null"} in schema.get("anyOf", ()) and "$ref" not in schema["anyOf"][0]:
        return None
    for several in ("anyOf", "allOf"):
        if several in schema:
            return example_of(schema[several][0], schemas)
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return [example_of(item, schemas) for item in schema["prefixItems"]]
        first = example_of(schema["items"], schemas)
        return [] if first == NO_EXAMPLE else [first]
    return {"string": NO_EXAMPLE, "integer": 1, "number": 0.5, "boolean": False}[schema["type"]]


def add_examples(document: Mapping[str, Any]) -> None:
    """Give each body of JSON, each answer of JSON that is no problem, and streams an example."""
    schemas = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for kind, content in (
                each for body in bodies for each in body.get("content", {}).items()
            ):
                if {"example", "examples"} & content.keys():
                    continue
                if kind in {"application/json", "application/merge-patch+json"}:
                    content["example"] = example_of(content["schema"], schemas)
                elif kind == "text/event-stream":
                    event = example_of(schemas["EventAnswer"], schemas)
                    content["example"] = (
                        f"id: {event['id']}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n"
                    )
