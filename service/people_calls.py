"""What a client says of people: at an enroll, and when they are changed."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

from embedding.errors import RequestInvalid


class Person(TypedDict, total=False):
    """What an enroll may say of a person; see `docs/subjects.md`.

    Attributes:
        metadata: merged into what is there; None takes a key away.
        purpose: why the person is there.
        consent_reference: where the person's consent is kept.
        expires_at: when the person is erased, aware.
        expires_in_days: or so many days from now.
    """

    metadata: Mapping[str, str | int | float | bool | None]
    purpose: str
    consent_reference: str
    expires_at: datetime
    expires_in_days: int


def person_fields(person: Person) -> dict[str, str]:
    """The fields of a form that say it.

    Raises:
        RequestInvalid: metadata that JSON cannot hold.
    """
    return {
        name: value if isinstance(value, str) else _text(value)
        for name, value in person.items()
        if value is not None
    }


def patch_json(patch: Mapping[str, object]) -> dict[str, object]:
    """A merge patch as JSON: times become text.

    Raises:
        RequestInvalid: it holds what JSON cannot.
    """
    written: dict[str, object] = json.loads(_text(patch))
    return written


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    try:
        return json.dumps(value, allow_nan=False, default=_time)
    except (ValueError, TypeError, RecursionError):
        raise RequestInvalid("metadata must be JSON: texts, finite numbers, true, false") from None


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError
