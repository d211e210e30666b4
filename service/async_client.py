"""The client for asyncio (and trio) that works through a running service."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Concatenate, ParamSpec

import anyio
import httpx

from service import calls, schemas
from service.answering import answer_of, arguments_of, describe_as, refusal_of, unreachable
from service.calls import AnyAnswer, Call
from service.following import EVENTS, Following
from service.http_client import PATIENT
from service.retrying import Retries

Given = ParamSpec("Given")


def _sent(
    make: Callable[Given, Call[AnyAnswer]],
) -> "Callable[Concatenate[AsyncHttpClient, Given], Coroutine[Any, Any, AnyAnswer]]":
    """As in `http_client`, to be awaited."""

    async def method(
        client: "AsyncHttpClient", /, *args: Given.args, **kwargs: Given.kwargs
    ) -> AnyAnswer:
        return await client.send(make(*args, **kwargs))

    describe_as(method, make)
    return method


class AsyncHttpClient:
    """As `HttpClient`, with methods to await; many may run at the same time."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        retries: Retries = PATIENT,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._http = http
        self._retries = retries
        self._sleep = sleep

    enroll = _sent(calls.enroll)
    identify = _sent(calls.identify)
    identify_across = _sent(calls.identify_across)
    verify = _sent(calls.verify)
    detect = _sent(calls.detect)

    galleries = _sent(calls.galleries)
    create_gallery = _sent(calls.create_gallery)
    gallery = _sent(calls.gallery)
    change_gallery = _sent(calls.change_gallery)
    delete_gallery = _sent(calls.delete_gallery)
    gallery_erasure = _sent(calls.gallery_erasure)
    calibrate = _sent(calls.calibrate)
    threshold = _sent(calls.threshold)
    import_gallery = _sent(calls.import_gallery)

    subjects = _sent(calls.subjects)
    subject = _sent(calls.subject)
    change_subject = _sent(calls.change_subject)
    remove_subject = _sent(calls.remove_subject)
    erasure = _sent(calls.erasure)
    merge_subjects = _sent(calls.merge_subjects)
    look_alikes = _sent(calls.look_alikes)
    look_alikes_of = _sent(calls.look_alikes_of)
    declare_look_alikes = _sent(calls.declare_look_alikes)
    withdraw_look_alikes = _sent(calls.withdraw_look_alikes)

    templates = _sent(calls.templates)
    template = _sent(calls.template)
    template_crop = _sent(calls.template_crop)
    remove_template = _sent(calls.remove_template)
    template_erasure = _sent(calls.template_erasure)
    move_templates = _sent(calls.move_templates)

    events = _sent(calls.events)
    reviews = _sent(calls.reviews)
    review = _sent(calls.review)
    review_crop = _sent(calls.review_crop)
    claim_review = _sent(calls.claim_review)
    release_review = _sent(calls.release_review)
    decide_review = _sent(calls.decide_review)

    keys = _sent(calls.keys)
    create_key = _sent(calls.create_key)
    revoke_key = _sent(calls.revoke_key)
    audit = _sent(calls.audit)
    models = _sent(calls.models)
    ready = _sent(calls.ready)

    async def send(self, call: Call[AnyAnswer]) -> AnyAnswer:
        """As in `HttpClient`."""
        num_tries = 0
        while True:
            num_tries += 1
            outcome: httpx.Response | httpx.RequestError
            try:
                outcome = await self._http.send(call.request(self._http))
            except httpx.RequestError as error:
                outcome = error
            wait_s = self._retries.wait_s(call, num_tries=num_tries, outcome=outcome)
            if wait_s is not None:
                await self._sleep(wait_s)
            elif isinstance(outcome, httpx.Response):
                return answer_of(call, outcome)
            else:
                raise unreachable(self._http.base_url, outcome) from outcome

    async def follow(
        self, *, after: str | None = None, gallery: str | None = None
    ) -> AsyncGenerator[schemas.EventAnswer]:
        """As in `HttpClient`; close it (`contextlib.aclosing`) to stop before its end."""
        following = Following(after=after, gallery=gallery)
        while True:
            outcome: httpx.Response | httpx.TransportError | None = None
            try:
                async with self._http.stream("GET", EVENTS, **following.request()) as response:
                    if not response.is_success:
                        await response.aread()
                        outcome = response
                    else:
                        async for line in response.aiter_lines():
                            event = following.take(line)
                            if event is not None:
                                yield event
            except httpx.TransportError as error:
                outcome = error
            await self._sleep(following.wait_s(outcome))

    async def export_gallery(self, gallery: str, file: BinaryIO) -> None:
        """As in `HttpClient`; the file is written between two parts, so it should be quick."""
        try:
            async with self._http.stream("GET", calls.export_path(gallery)) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal_of(response)
                async for part in response.aiter_raw():
                    file.write(part)
        except httpx.RequestError as error:
            raise unreachable(self._http.base_url, error) from error


@asynccontextmanager
async def connect_async(
    url: str, *, key: str, certificate: Path | None = None, retries: Retries = PATIENT
) -> AsyncIterator[AsyncHttpClient]:
    """A client of the service at an address; arguments as of `connect`."""
    async with httpx.AsyncClient(**arguments_of(url, key=key, certificate=certificate)) as http:
        yield AsyncHttpClient(http, retries=retries)
