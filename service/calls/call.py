"""What a request is, for any way of sending it; and how most of them are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

AnyAnswer = TypeVar("AnyAnswer", bound=BaseModel)

Files = tuple[tuple[str, tuple[str, bytes]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[AnyAnswer]):
    """A request, and what it is answered with.

    Attributes:
        answer_class: of a success.
        method: of HTTP.
        path: encoded.
        repeatable: sent twice it does the same, and answers the same, as sent once.
        query: after the path.
        body: JSON.
        fields: of a form.
        files: of a form.
        headers: beside those of every request.
        content: instead of body and form.
    """

    answer_class: type[AnyAnswer]
    method: str
    path: str
    repeatable: bool
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Files = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request that is sent, made anew for each try."""
        return http.build_request(
            self.method,
            self.path,
            params=self.query or None,
            json=self.body,
            data=dict(self.fields) or None,
            files=list(self.files) or None,
            content=self.content,
            headers=dict(self.headers) or None,
        )


def get(
    answer_class: type[AnyAnswer], path: str, query: Mapping[str, str] | None = None
) -> Call[AnyAnswer]:
    """A call that only reads."""
    return Call(
        answer_class=answer_class, method="GET", path=path, repeatable=True, query=query or {}
    )


def post(
    answer_class: type[AnyAnswer],
    path: str,
    body: Mapping[str, object] | None = None,
    *,
    repeatable: bool,
) -> Call[AnyAnswer]:
    """A call that sends JSON, or nothing."""
    return Call(
        answer_class=answer_class, method="POST", path=path, repeatable=repeatable, body=body
    )


def delete(answer_class: type[AnyAnswer], path: str, *, repeatable: bool) -> Call[AnyAnswer]:
    """A call that takes something away."""
    return Call(answer_class=answer_class, method="DELETE", path=path, repeatable=repeatable)


def path_of(*segments: str) -> str:
    """A path under ``/v1``; whatever is in a name or an id, it stays one segment."""
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


def given(**values: str | None) -> dict[str, str]:
    """The fields that have a value."""
    return {name: value for name, value in values.items() if value is not None}


def page(limit: int, cursor: str | None, **others: str | None) -> dict[str, str]:
    """The query for a page of a list."""
    return given(limit=str(limit), cursor=cursor, **others)


def numbers(**values: float | None) -> dict[str, str]:
    """Those that are given, as text that is read back to the last digit."""
    return {name: repr(float(each)) for name, each in values.items() if each is not None}
