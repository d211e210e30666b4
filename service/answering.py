"""What both HTTP clients share: how they connect, and what they make of an answer."""

import inspect
import ssl
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any, Final, TypedDict, get_args

import httpx

from embedding.errors import FaceGalleryError, ServerUnreachable
from service.calls import AnyAnswer, Call
from service.errors import error_of_problem

TIMEOUT: Final = httpx.Timeout(120.0, connect=10.0)
"""A large photo on a busy two-core machine takes seconds; a dead service is noticed soon."""


class Arguments(TypedDict):
    """How a client of httpx is made."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout
    trust_env: bool
    verify: ssl.SSLContext


def arguments_of(url: str, *, key: str, certificate: Path | None) -> Arguments:
    """How a client of httpx is made for the service at an address."""
    trusted = ssl.create_default_context()
    if certificate is not None:
        trusted.load_verify_locations(cafile=certificate)
    return Arguments(
        base_url=url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=TIMEOUT,
        # A proxy of the environment must never see a key that is meant for this machine.
        trust_env=False,
        verify=trusted,
    )


def answer_of(call: Call[AnyAnswer], response: httpx.Response) -> AnyAnswer:
    """The answer in a response.

    Raises:
        FaceGalleryError: it is a problem document, with the class of its code.
        ServerUnreachable: it is neither.
    """
    if response.is_success:
        try:
            return call.answer_class.model_validate_json(response.content)
        except ValueError as error:
            raise _of_another(response, error) from error
    raise refusal_of(response)


def refusal_of(response: httpx.Response) -> FaceGalleryError:
    """What a problem document says; that another program answers where it is none."""
    try:
        document = response.json()
        if not isinstance(document, dict) or "code" not in document:
            raise ValueError("expected a problem document")
    except ValueError as error:
        return _of_another(response, error)
    return error_of_problem(document)


def _of_another(response: httpx.Response, error: Exception) -> ServerUnreachable:
    return unreachable(response.request.url.copy_with(path="/", query=None), error)


def unreachable(url: httpx.URL, error: Exception) -> ServerUnreachable:
    """That no service answers at an address."""
    return ServerUnreachable(
        f"no service answers at {url}: {type(error).__name__}; is it running, and is it this "
        "version?"
    )


def describe_as(method: Callable[..., object], make: Callable[..., Call[Any]]) -> None:
    """Gives a client's method name, docstring and signature of the function that makes its call.

    Type checkers and editors know them already, from the types; this is for `help` and `inspect`.
    """
    update_wrapper(method, make)
    signature = inspect.signature(make)
    (answer_class,) = get_args(signature.return_annotation)
    client = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    shown = signature.replace(
        parameters=[client, *signature.parameters.values()], return_annotation=answer_class
    )
    vars(method)["__signature__"] = shown
