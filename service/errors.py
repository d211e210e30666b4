"""Errors as RFC 9457 problem documents: one table from exception class to status.

The code of a problem is the ``code`` of its class in ``embedding/errors.py``. A class of that tree
without a row here is a bug, and a test fails.
"""

import http
import logging
import math
from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from embedding import errors
from embedding.errors import (
    FaceGalleryError,
    FaceQualityTooLow,
    KeyLimited,
    ServiceError,
    SubjectNotFound,
)
from service.refusals import note_refusal

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

STATUS_BY_CLASS: Mapping[type[FaceGalleryError], int] = {
    errors.FaceGalleryError: 500,
    errors.PhotoError: 422,
    errors.PhotoUnreadable: 422,
    errors.PhotoTooLarge: 413,
    errors.PhotoTooManyPixels: 413,
    errors.FaceError: 422,
    errors.NoFace: 422,
    errors.SeveralFaces: 422,
    errors.FaceNotAtBox: 422,
    errors.FaceQualityTooLow: 422,
    # A gallery whose model is absent or damaged is in conflict with what the caller asks of it;
    # the operator mends that, and the same request then works.
    errors.ModelError: 409,
    errors.ModelInvalid: 409,
    errors.ModelMismatch: 409,
    errors.ModelNotFound: 409,
    errors.EmbeddingInvalid: 422,
    errors.GalleryError: 422,
    errors.GalleryNotFound: 404,
    errors.GalleryExists: 409,
    errors.GalleryFilling: 409,
    errors.GalleryReplaced: 409,
    errors.CalibrationRunning: 409,
    errors.SubjectNotFound: 404,
    errors.SubjectExists: 409,
    errors.SubjectChanged: 412,
    errors.TemplateNotFound: 404,
    errors.CropNotFound: 404,
    errors.ReviewNotFound: 404,
    errors.ReviewClaimed: 409,
    errors.ReviewDecided: 409,
    errors.NameInvalid: 422,
    errors.StoreError: 500,
    errors.StoreInUse: 503,
    errors.StoreNewer: 500,
    errors.StoreCorrupt: 500,
    errors.SealKeyMissing: 500,
    errors.SnapshotUnfit: 500,
    errors.LedgerUnfit: 500,
    errors.AccessError: 403,
    errors.KeyMissing: 401,
    errors.KeyInvalid: 401,
    errors.KeyNotFound: 404,
    errors.KeyForbidden: 403,
    errors.TransferOff: 404,
    errors.KeyLimited: 429,
    errors.SessionEnded: 401,
    errors.CrossOrigin: 403,
    errors.HttpsRequired: 403,
    errors.ServiceError: 503,
    errors.Overloaded: 429,
    errors.DeadlinePassed: 503,
    errors.BodyTooSlow: 408,
    errors.IdempotencyKeyInUse: 409,
    errors.ServiceStopping: 503,
    errors.RequestInvalid: 422,
    errors.CursorExpired: 410,
    errors.FeatureOff: 409,
    errors.IdempotencyKeyReused: 422,
    errors.IdempotencyKeySpent: 409,
    errors.SettingsInvalid: 500,
    errors.ServerUnreachable: 502,
    # Training never runs behind HTTP; these rows keep the table whole.
    errors.TrainingError: 500,
    errors.DataInvalid: 500,
    errors.LossNotFinite: 500,
    errors.CheckpointInvalid: 500,
    errors.ExportDisagrees: 500,
}

REQUEST_TOO_LARGE = "request_too_large"
_MAX_NAME = 100
_UNREAD = frozenset({http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE})
"""Statuses of requests whose body may not have been read to its end."""

CODE_BY_STATUS: Mapping[int, str] = {
    400: "request_malformed",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_too_slow",
    413: REQUEST_TOO_LARGE,
    415: "unsupported_media_type",
    431: "headers_too_large",
}


def is_told(error_class: type[FaceGalleryError]) -> bool:
    """Whether callers hear of this error; faults of the service are all ``internal`` to them."""
    is_caller_s = STATUS_BY_CLASS[error_class] < http.HTTPStatus.INTERNAL_SERVER_ERROR
    return is_caller_s or issubclass(error_class, ServiceError)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    extra: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem document as an answer."""
    content: dict[str, object] = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **(extra or {}),
    }
    return JSONResponse(content, status, dict(headers or {}), media_type=PROBLEM_JSON)


def problem_of(error: FaceGalleryError) -> JSONResponse:
    """The problem document of one of the project's own errors."""
    status = STATUS_BY_CLASS[type(error)]
    headers: dict[str, str] = {}
    if status == http.HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="facegallery"'
    if status in _UNREAD or isinstance(error, errors.ServiceStopping):
        headers["Connection"] = "close"  # what was not read of the body is not waited for
    extra: dict[str, object] = {}
    if isinstance(error, (KeyLimited, ServiceError)):
        wait_s = max(1, math.ceil(error.retry_after_s))
        headers["Retry-After"] = str(wait_s)
        extra["retry_after_s"] = wait_s
    if isinstance(error, FaceQualityTooLow):
        extra["reasons"] = list(error.reasons)
    if isinstance(error, SubjectNotFound) and error.merged_into is not None:
        extra["merged_into"] = error.merged_into
    if not is_told(type(error)):
        logger.error("error code=%s class=%s", error.code, type(error).__name__, exc_info=error)
        return internal_problem()
    return problem(status, error.code, str(error), extra=extra, headers=headers)


def internal_problem() -> JSONResponse:
    """What a caller hears of a fault that is not the caller's: nothing but that it was one."""
    return problem(
        500, "internal", "The service failed; its log says more under this request's id."
    )


def two_lengths_problem() -> JSONResponse:
    """What a caller hears whose request says in two ways how long it is."""
    return problem(
        http.HTTPStatus.BAD_REQUEST,
        CODE_BY_STATUS[http.HTTPStatus.BAD_REQUEST],
        "a request has Content-Length or Transfer-Encoding, never both",
        headers={"Connection": "close"},
    )


def error_of_problem(document: Mapping[str, object]) -> FaceGalleryError:
    """The exception that a problem document was made of, for the client side."""
    code, detail = document.get("code"), str(document.get("detail", ""))
    if code == FaceQualityTooLow.code:
        reasons = document.get("reasons")
        return FaceQualityTooLow(
            detail,
            reasons=[str(reason) for reason in reasons] if isinstance(reasons, list) else [],
        )
    if code == SubjectNotFound.code:
        merged_into = document.get("merged_into")
        return SubjectNotFound(
            detail, merged_into=merged_into if isinstance(merged_into, str) else None
        )
    if code == REQUEST_TOO_LARGE:  # only photos make a client's request large
        return errors.PhotoTooLarge(detail)
    for error_class in STATUS_BY_CLASS:
        if error_class.code == code and issubclass(error_class, (KeyLimited, ServiceError)):
            wait_s = document.get("retry_after_s")
            return error_class(detail, retry_after_s=wait_s if isinstance(wait_s, int) else 1)
        if error_class.code == code and error_class is not errors.StoreInUse:
            return error_class(detail)
    return FaceGalleryError(f"{detail} ({code})")


def _validation_items(items: Sequence[Mapping[str, object]]) -> list[dict[str, str]]:
    """Where and what is wrong, without what was sent; the long name of a field is cut."""
    told = {
        "bool_type": "expected true or false",
        "bool_parsing": "expected true or false",
        "bytes_type": "a photo is base64 in JSON, and a file in a form",
    }
    found: list[dict[str, str]] = []
    for item in items:
        location = item.get("loc", ())
        parts = location if isinstance(location, (list, tuple)) else (location,)
        where = ".".join(str(part)[:_MAX_NAME] for part in parts) or "body"
        said = str(item.get("msg", "")).removeprefix("Value error, ")
        found.append({"where": where, "message": told.get(str(item.get("type")), said)})
    return found


async def _on_own(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, FaceGalleryError):
        raise TypeError(f"expected a FaceGalleryError, got {type(error).__name__}")
    note_refusal(request, error)
    return problem_of(error)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise TypeError(f"expected an HTTPException, got {type(error).__name__}")
    code = CODE_BY_STATUS.get(error.status_code, f"http_{error.status_code}")
    headers, detail = dict(error.headers or {}), str(error.detail)
    if error.status_code == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        headers["Connection"] = "close"
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_of(request))
        detail = f"this route takes only {headers['Allow']}"
    if detail == http.HTTPStatus.NOT_FOUND.phrase:
        detail = "there is no such route; /docs shows those that there are"
    return problem(error.status_code, code, detail, headers=headers)


def _methods_of(request: Request) -> list[str]:
    """The methods of all routes with this path; the router only knows the first one's."""
    pattern = getattr(request.scope.get("route"), "path", None)
    contexts = iter_route_contexts(request.app.routes)
    return sorted({m for each in contexts if each.path == pattern for m in each.methods or ()})


async def _on_validation(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise TypeError(f"expected a RequestValidationError, got {type(error).__name__}")
    items = _validation_items(error.errors())
    detail = "; ".join(f"{each['where']}: {each['message']}" for each in items[:5])
    return problem(422, errors.RequestInvalid.code, detail, extra={"errors": items[:50]})


def install(app: FastAPI) -> None:
    """Makes the app answer every error with a problem document."""
    app.add_exception_handler(FaceGalleryError, _on_own)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
