"""Fields of a person as requests give them, the same for forms and JSON."""

import re
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema

from embedding.errors import RequestInvalid
from index.details import MAX_CONSENT, MAX_KEYS, MAX_PURPOSE, given_metadata

MAX_DAYS: Final = 36_500
"""A hundred years: longer terms are mistakes, or never."""

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def _read_metadata(value: object, info: ValidationInfo) -> object:
    """JSON text of a form -> its object; an object of JSON stays, and is checked later."""
    if not isinstance(value, str) or info.mode == "json":
        return value
    try:
        return dict(given_metadata(value))
    except RequestInvalid as error:
        raise ValueError(str(error)) from error


def _read_time(value: object) -> object:
    """Text with a time zone -> time; numbers and other forms are refused, not guessed at."""
    if not isinstance(value, str):
        return value
    if not _TIME.fullmatch(value):
        raise ValueError("a time has a date and a time zone, such as 2030-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError("there is no such time") from error


MetadataPatch = Annotated[
    dict[str, Any],
    BeforeValidator(_read_metadata),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
            "maxProperties": MAX_KEYS,
            "examples": [{"badge": 17, "team": "night"}],
        }
    ),
]
ExpiryTime = Annotated[
    datetime,
    BeforeValidator(_read_time),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "examples": ["2090-01-31T12:00:00Z"]}
    ),
]
Purpose = Annotated[str, Field(max_length=4 * MAX_PURPOSE, examples=["access to building 7"])]
ConsentReference = Annotated[str, Field(max_length=4 * MAX_CONSENT, examples=["consents/17"])]
Days = Annotated[int, Field(ge=1, le=MAX_DAYS)]
