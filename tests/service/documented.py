"""Holds every answer that a test gets against the OpenAPI document."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from service.openapi_codes import EVERYWHERE


class Documented:
    """An app that fails when it answers a status or code that its document does not name."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app, then looks at what it said."""
        sent: list[Message] = []

        async def note(message: Message) -> None:
            sent.append(message)
            await send(message)

        await self._app(scope, receive, note)
        if scope["type"] == "http" and sent:
            check_documented(self._app, scope, sent)


def check_documented(app: FastAPI, scope: Scope, sent: list[Message]) -> None:
    """Checks an answer against the operation that gave it.

    Raises:
        AssertionError: its status or code is not in the document.
    """
    status = str(sent[0]["status"])
    code = _code(sent)
    if code in EVERYWHERE:
        return
    path = getattr(scope.get("route"), "path", None)
    operations: Mapping[str, Any] = app.openapi()["paths"].get(path, {})
    operation = operations.get(scope["method"].lower())
    if operation is None:  # a page for people, a method that there is not, or no route at all
        return
    where = f"{scope['method']} {path}"
    if status not in operation["responses"]:
        raise AssertionError(f"{where} answers {status}, which its OpenAPI does not name")
    content = operation["responses"][status].get("content", {})
    if code is not None and code not in content["application/problem+json"]["examples"]:
        raise AssertionError(f"{where} answers the code {code}, which its OpenAPI does not name")


def _code(sent: list[Message]) -> str | None:
    """Of a problem document; None of any other answer."""
    headers = dict(sent[0]["headers"])
    if headers.get(b"content-type") != b"application/problem+json":
        return None
    body = b"".join(message.get("body", b"") for message in sent[1:])
    code: str = json.loads(body)["code"]
    return code
