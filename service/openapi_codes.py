"""Which codes of problems a route may answer, told in its OpenAPI, each with an example."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from embedding import errors
from embedding.errors import FaceGalleryError
from service.errors import CODE_BY_STATUS, STATUS_BY_CLASS, is_told
from service.examples import problem_example

EVERYWHERE: Final = frozenset(
    {"not_found", "method_not_allowed", "request_malformed", "request_too_slow"}
    | {"headers_too_large"}
)
"""Answered before a route is found, so on none of them in particular."""

_STATUS_OF: Final[Mapping[str, int]] = {
    **{each.code: status for each, status in STATUS_BY_CLASS.items() if is_told(each)},
    **{code: status for status, code in CODE_BY_STATUS.items()},
    "internal": 500,
    "not_ready": 503,
}
_PHOTO: Final = frozenset({"photo", "photos"})
_IDEMPOTENCY: Final = frozenset(
    each.code
    for each in (
        errors.IdempotencyKeyInUse,
        errors.IdempotencyKeyReused,
        errors.IdempotencyKeySpent,
    )
)
_READ_HERE: Final = frozenset({"application/json", "multipart/form-data"})


def codes_of(path: str, operation: Mapping[str, Any], fields: frozenset[str]) -> set[str]:
    """The codes that an operation may answer at the statuses that it names.

    What is not known to need something that the operation lacks may be answered by it.

    Args:
        path: with its parameters in braces.
        operation: of the OpenAPI document.
        fields: of its body.
    """
    statuses = {int(status) for status in operation["responses"] if status.isdecimal()}
    asked = fields | frozenset(re.findall(r"{(\w+)}", path))
    asked |= {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    return {
        code
        for code, status in _STATUS_OF.items()
        if status in statuses and _fits(code, path, operation, asked)
    }


def _fits(code: str, path: str, operation: Mapping[str, Any], asked: frozenset[str]) -> bool:
    """Whether an operation has what a code is about."""
    has_body, has_photo = "requestBody" in operation, bool(asked & _PHOTO)
    # A file of a gallery holds embeddings and names.
    has_file = has_body and not _READ_HERE & operation["requestBody"]["content"].keys()
    if path == "/readyz":
        return code in {"not_ready", "stopping"}
    if path == "/metrics":
        return code in {"key_missing", "key_invalid", "not_found", "internal", "stopping"}
    if code in {"not_ready", "not_found", "method_not_allowed", "request_too_slow"}:
        return False
    if code == errors.CropNotFound.code:
        return path.endswith("/crop")
    if code in {errors.ReviewClaimed.code, errors.ReviewDecided.code}:
        return "review_id" in asked
    if code == errors.FeatureOff.code:
        return "queue_reviews" in asked or path.startswith(("/v1/events", "/v1/reviews"))
    thing = re.fullmatch(r"(\w+)_not_found", code)
    if thing and code != errors.ModelNotFound.code:
        names = {thing[1], f"{thing[1]}_id", f"{thing[1]}s"}
        return names & asked != set() or thing[1] in path.split("/")
    if code in _codes_under(errors.PhotoError) or code == errors.DeadlinePassed.code:
        return has_photo
    if code == errors.Overloaded.code:
        return has_photo or "gallery" in asked
    if code in _codes_under(errors.FaceError):
        return has_photo and "face" in asked
    if code in _codes_under(errors.ModelError):
        return has_photo or has_file or "model" in asked
    if code in {"request_malformed", "request_too_large", "unsupported_media_type"}:
        return has_body
    if code == errors.BodyTooSlow.code:
        return has_body
    if code == errors.EmbeddingInvalid.code:
        return has_photo or has_file
    if code == errors.GalleryExists.code:
        return path in {"/v1/galleries", "/v1/galleries/{gallery}"} and "name" in asked
    if code == errors.SubjectExists.code:
        return has_body and asked & {"external_id", "to_external_id"} != set()
    if code == errors.CalibrationRunning.code:
        return path.endswith("/calibrate")
    if code == errors.TransferOff.code:
        return path.endswith(("/export", "/import"))
    if code in _IDEMPOTENCY:
        headers = (each["name"].lower() for each in operation.get("parameters", ()))
        return "idempotency-key" in headers
    if code in {errors.NameInvalid.code, errors.GalleryError.code}:
        return has_body or "gallery" in asked
    if code in {errors.GalleryFilling.code, errors.GalleryReplaced.code}:
        return "gallery" in asked
    return True


def _codes_under(root: type[FaceGalleryError]) -> set[str]:
    return {each.code for each in STATUS_BY_CLASS if issubclass(each, root)}


def name_codes(document: Mapping[str, Any], fields_of: Mapping[str, frozenset[str]]) -> None:
    """Write into each problem response which codes it may hold, with an example of each.

    Args:
        document: OpenAPI.
        fields_of: fields of each schema that is a request's body.
    """
    for path, operation in operations_of(document):
        fields = _fields(operation, fields_of)
        codes = codes_of(path, operation, fields)
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/problem+json")
            if content is None:
                continue
            here = sorted(code for code in codes if _STATUS_OF[code] == int(status))
            content["schema"] = {
                "allOf": [content["schema"], {"properties": {"code": {"enum": here}}}]
            }
            content["examples"] = {
                code: {"value": problem_example(int(status), code)} for code in here
            }


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and operation of all of them."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


def _fields(
    operation: Mapping[str, Any], fields_of: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    names = re.findall(r"#/components/schemas/(\w+)", str(operation.get("requestBody", "")))
    return frozenset().union(*(fields_of.get(name, frozenset()) for name in names))
