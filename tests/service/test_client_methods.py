"""The clients' methods are those of `service.calls`: for readers, editors and mypy alike."""

import inspect
from collections.abc import Callable
from typing import Any, assert_type, get_args

import anyio
import pytest
from pydantic import BaseModel

from service import calls, schemas
from service.async_client import AsyncHttpClient, connect_async
from service.client import Client
from service.http_client import HttpClient, connect
from service.local_client import LocalClient
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


@pytest.mark.parametrize("name", [name for name in REQUESTS if hasattr(LocalClient, name)])
def test_the_client_in_process_takes_the_same(name: str) -> None:
    """Its arguments and answers are the call's; only an idempotency key makes no sense there."""
    told = inspect.signature(getattr(LocalClient, name))
    wanted = inspect.signature(REQUESTS[name])
    assert list(told.parameters.values())[1:] == [
        each for each in wanted.parameters.values() if each.name != "idempotency_key"
    ]
    assert (told.return_annotation,) == get_args(wanted.return_annotation)


def test_the_client_in_process_answers_the_same(settings: Settings) -> None:
    """Whatever a command asks, it is answered alike with and without a service in between."""
    photo, other = make_photo(["ann"]), make_photo(["ben"])
    with heard(settings.model_copy(update={"events": True, "reviews": True})) as service:
        local = LocalClient(service.parts)
        ann = str(local.enroll([photo], gallery="default", external_id="a-1").subject_id)
        with connect(service.url, key=service.key()) as client:
            twin = str(client.enroll([photo], gallery="default", subject="twin").subject_id)
            found = local.identify(photo, gallery="default", source="door", queue_reviews=True)
            assert client.review(str(found.faces[0].review_id)).source == "door"
            assert client.events(after="oldest").events[-1].source == "door"
            ids = [each.id for each in client.templates("default", ann).templates]
            asked: list[Callable[[Client], BaseModel]] = [
                lambda c: c.enroll([other], gallery="default", subject_id=ann, dry_run=True),
                lambda c: c.identify(photo, gallery="default", face="largest", num_candidates=1),
                lambda c: c.identify_across(photo, galleries=["default"], threshold=0.9),
                lambda c: c.verify([photo, other], far=0.001),
                lambda c: c.verify([other], external_id="a-1"),
                lambda c: c.threshold("default"),
                lambda c: c.galleries(),
                lambda c: c.gallery("default"),
                lambda c: c.subjects("default", limit=1),
                lambda c: c.subject("default", ann),
                lambda c: c.templates("default", ann),
                lambda c: c.look_alikes("default"),
                lambda c: c.reviews(state="open"),
                lambda c: c.move_templates("default", ann, ids, to_subject_id=twin, dry_run=True),
                lambda c: c.keys(),
                lambda c: c.models(),
            ]
            for ask in asked:
                timings = {"timings_ms"}
                direct, sent = (ask(each).model_dump(exclude=timings) for each in (local, client))
                assert direct == sent


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
