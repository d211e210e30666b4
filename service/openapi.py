"""What the OpenAPI document says beyond what FastAPI finds: bodies, problems, examples."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.bodies.base import Body
from service.bodies.deciding import CalibrateBody, VerifyBody
from service.bodies.faces import DetectBody, EnrollBody, IdentifyBody
from service.bodies.galleries import GalleryBody, GalleryChangeBody
from service.bodies.keys import KeyBody
from service.bodies.reviews import VerdictBody
from service.bodies.sessions import SessionBody
from service.bodies.subjects import SubjectChangeBody
from service.bodies.templates import MergeBody, MoveBody
from service.errors import PROBLEM_JSON
from service.examples import add_examples
from service.openapi_codes import name_codes, operations_of
from service.reading import FILE_FIELDS
from service.schemas import Problem

REF_TEMPLATE = "#/components/schemas/{model}"
BODIES: tuple[type[Body], ...] = (
    EnrollBody,
    IdentifyBody,
    DetectBody,
    VerifyBody,
    CalibrateBody,
    GalleryBody,
    KeyBody,
    SubjectChangeBody,
    GalleryChangeBody,
    MoveBody,
    MergeBody,
    VerdictBody,
    SessionBody,
)
Responses = dict[int | str, dict[str, Any]]

_MEANINGS = {
    400: "The body cannot be read.",
    401: "No key, or one that is malformed, unknown, expired or revoked.",
    403: "The key's role or galleries do not allow it.",
    404: "No such gallery, subject, template, review or key.",
    408: "The body did not come in time.",
    409: "In conflict with what is stored, or the gallery's model is not installed.",
    410: "What comes after this cursor is not kept any more; begin again.",
    412: "The subject is not as it was when the caller saw it.",
    413: "The photo or the request is too large.",
    415: "Neither a form nor JSON.",
    422: "A value is not accepted; the code says which rule is broken.",
    429: "The key asked too often, or too many wait; `Retry-After` says when to come again.",
    500: "The service failed.",
    503: "Not begun: it waited too long, or the service stops; send it again.",
}

_WITH_RETRY_AFTER = (408, 429, 503)
_RETRY_AFTER = {
    "Retry-After": {
        "schema": {"type": "integer", "minimum": 1},
        "description": "Seconds after which the same request is worth sending again.",
    }
}
_ALWAYS = (401, 403, 422, 429, 500, 503)


def problems(*statuses: int) -> Responses:
    """Responses of a route that are problem documents; those of `_ALWAYS` always belong."""
    return {
        status: {
            "description": _MEANINGS[status],
            **({"headers": _RETRY_AFTER} if status in _WITH_RETRY_AFTER else {}),
            "content": {PROBLEM_JSON: {"schema": {"$ref": REF_TEMPLATE.format(model="Problem")}}},
        }
        for status in sorted({*_ALWAYS, *statuses})
    }


def body_of(body_class: type[Body]) -> dict[str, Any]:
    """The OpenAPI of a body that the route reads itself: JSON, and a form if it has photos."""
    name = body_class.__name__
    content: dict[str, Any] = {
        "application/json": {"schema": {"$ref": REF_TEMPLATE.format(model=name)}}
    }
    if body_class.merge_patch:
        content["application/merge-patch+json"] = content["application/json"]
    if FILE_FIELDS & body_class.model_fields.keys():
        form = {"schema": {"$ref": REF_TEMPLATE.format(model=_form_name(name))}}
        content = {"multipart/form-data": form, **content}
    return {"requestBody": {"required": True, "content": content}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
        models: tuple[type[BaseModel], ...] = (*BODIES, Problem)
        _, found = models_json_schema(
            [(model, "validation") for model in models], ref_template=REF_TEMPLATE
        )
        schemas.update(found["$defs"])
        for body_class in BODIES:
            name = body_class.__name__
            if FILE_FIELDS & body_class.model_fields.keys():
                schemas[_form_name(name)] = _form_schema(schemas[name])
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for path, operation in operations_of(document):
            _add_problems(path, operation)
        add_examples(document)
        fields_of = {name: frozenset(each.get("properties", ())) for name, each in schemas.items()}
        name_codes(document, fields_of)
        app.openapi_schema = document
    return app.openapi_schema


def _add_problems(path: str, operation: dict[str, Any]) -> None:
    """What each route has that takes a body, or works in a gallery that its path names."""
    content = operation.get("requestBody", {}).get("content", {})
    statuses = [408, 413, 415] if content else []
    if "{gallery}" in path:
        statuses += [404, 409]
    if "multipart/form-data" in content:
        statuses.append(400)
    for status, said in problems(*statuses).items():
        if status in statuses:
            operation["responses"].setdefault(str(status), said)


def _form_name(name: str) -> str:
    return name.removesuffix("Body") + "Form"


def _form_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a form: photos are files, lists are text, everything absent is left out."""
    file = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
    properties: dict[str, Any] = {}
    for name, field in schema["properties"].items():
        said = {"description": field["description"]} if "description" in field else {}
        if name == "photos":
            most = {"maxItems": field["maxItems"]} if "maxItems" in field else {}
            properties[name] = {"type": "array", "items": file, "minItems": 1, **most, **said}
        elif name == "galleries":
            properties[name] = {"type": "string", "examples": ["front-door,staff"], **said}
        elif name == "photo":
            properties[name] = {**file, **said}
        elif name == "metadata":
            properties[name] = {
                "type": "string",
                "contentMediaType": "application/json",
                "examples": ['{"badge": 17}'],
                **said,
            }
        elif name == "box":
            number = r"-?[0-9]+(\.[0-9]+)?"
            pattern = f"^{number}(,{number}){{3}}$"
            properties[name] = {
                "type": "string",
                "pattern": pattern,
                "examples": ["10,20,110,150"],
                **said,
            }
        else:
            kinds = [kind for kind in field.get("anyOf", []) if kind.get("type") != "null"]
            plain = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
            default = field.get("default")
            properties[name] = {
                **(kinds[0] if kinds else {}),
                **plain,
                **({} if default is None else {"default": default}),
            }
    return {**schema, "title": _form_name(schema["title"]), "properties": properties}
