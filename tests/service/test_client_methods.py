"""The clients' methods are those of `service.calls`: for readers, editors and mypy alike."""

import inspect
from collections.abc import Callable
from typing import Any, assert_type, get_args

import anyio
import pytest

from service import calls, schemas
from service.async_client import AsyncHttpClient, connect_async
from service.http_client import HttpClient, connect
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.own_server import heard

REQUESTS: dict[str, Callable[..., calls.Call[Any]]] = {
    name: getattr(calls, name)
    for name in calls.__all__
    if name not in {"AnyAnswer", "Call", "export_path"}
}


@pytest.mark.parametrize("client_class", [HttpClient, AsyncHttpClient])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_method_shows_what_its_call_takes(
    client_class: type[HttpClient | AsyncHttpClient], name: str
) -> None:
    """Arguments, defaults, types and help are those of the function; the answer comes bare."""
    call, method = REQUESTS[name], getattr(client_class, name)
    shown, wanted = inspect.signature(method), inspect.signature(call)
    assert list(shown.parameters.values())[1:] == list(wanted.parameters.values())
    assert (shown.return_annotation,) == get_args(wanted.return_annotation)
    assert inspect.getdoc(method) == inspect.getdoc(call)
    assert inspect.iscoroutinefunction(method) == (client_class is AsyncHttpClient)


def test_types_come_through_to_whoever_calls(settings: Settings) -> None:
    """mypy, which is part of lint, knows each answer's class and refuses a misspelt argument."""
    photo = make_photo(["ann"])
    with heard(settings) as service:
        with connect(service.url, key=service.key()) as client:
            answer = client.identify(photo, gallery="default", face="largest")
            assert_type(answer, schemas.IdentifyAnswer)
            assert answer.faces[0].decision == "unknown"
            with pytest.raises(TypeError):
                client.identify(photo, galery="default")  # type: ignore[call-arg]

        async def ask() -> schemas.GalleriesAnswer:
            async with connect_async(service.url, key=service.key()) as client:
                return assert_type(await client.galleries(), schemas.GalleriesAnswer)

        assert [each.name for each in anyio.run(ask).galleries] == ["default"]


def test_a_source_is_told_of_several_galleries_too(settings: Settings) -> None:
    """Both clients say who asks, as the service lets them, also of several galleries at once."""
    with heard(settings.model_copy(update={"events": True})) as service:
        photo = make_photo(["ann"])
        with connect(service.url, key=service.key()) as client:
            client.identify_across(photo, galleries=["default"], source="door")

            async def ask() -> None:
                async with connect_async(service.url, key=service.key()) as client:
                    await client.identify_across(photo, galleries=["default"], source="desk")

            anyio.run(ask)
            events = client.events(after="oldest").events
        assert [each.source for each in events] == ["door", "desk"]
