"""The client that works through a running service; `async_client` is its twin for asyncio."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Concatenate, ParamSpec

import httpx

from service import calls, schemas
from service.answering import answer_of, arguments_of, describe_as, refusal_of, unreachable
from service.calls import AnyAnswer, Call
from service.following import EVENTS, Following
from service.retrying import Retries

Given = ParamSpec("Given")

PATIENT = Retries()


def _sent(
    make: Callable[Given, Call[AnyAnswer]],
) -> "Callable[Concatenate[HttpClient, Given], AnyAnswer]":
    """A method that takes the arguments of a function of `calls`, and sends what it makes."""

    def method(client: "HttpClient", /, *args: Given.args, **kwargs: Given.kwargs) -> AnyAnswer:
        return client.send(make(*args, **kwargs))

    describe_as(method, make)
    return method


class HttpClient:
    """Sends requests with a key; repeatable ones again when they fail in passing.

    Every method raises the project's errors, made anew from the service's problem documents, and
    `ServerUnreachable` where no service answers.
    """

    def __init__(
        self,
        http: httpx.Client,
        *,
        retries: Retries = PATIENT,
        sleep: Callable[[float], None] = time.sleep,
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

    def send(self, call: Call[AnyAnswer]) -> AnyAnswer:
        """The answer to a call of `service.calls`.

        Raises:
            FaceGalleryError: the service refused it, with the class of the problem's code.
            ServerUnreachable: nothing answers, or something that is not this service.
        """
        num_tries = 0
        while True:
            num_tries += 1
            outcome: httpx.Response | httpx.RequestError
            try:
                outcome = self._http.send(call.request(self._http))
            except httpx.RequestError as error:
                outcome = error
            wait_s = self._retries.wait_s(call, num_tries=num_tries, outcome=outcome)
            if wait_s is not None:
                self._sleep(wait_s)
            elif isinstance(outcome, httpx.Response):
                return answer_of(call, outcome)
            else:
                raise unreachable(self._http.base_url, outcome) from outcome

    def follow(
        self, *, after: str | None = None, gallery: str | None = None
    ) -> Iterator[schemas.EventAnswer]:
        """Every event as it is decided, for as long as the caller goes on.

        It goes on by itself where a connection broke or the service was started anew, for as
        long as that takes: no event is missed or given twice. Keep the last event's `id` to go
        on after a restart of your own.

        Args:
            after: id of an event, or ``oldest``; None for what comes from now on.
            gallery: only its events.

        Raises:
            CursorExpired: events behind the cursor are not all kept any more.
            FaceGalleryError: the service refuses it.
        """
        following = Following(after=after, gallery=gallery)
        while True:
            outcome: httpx.Response | httpx.TransportError | None = None
            try:
                with self._http.stream("GET", EVENTS, **following.request()) as response:
                    if not response.is_success:
                        response.read()
                        outcome = response
                    else:
                        for line in response.iter_lines():
                            event = following.take(line)
                            if event is not None:
                                yield event
            except httpx.TransportError as error:
                outcome = error
            self._sleep(following.wait_s(outcome))

    def export_gallery(self, gallery: str, file: BinaryIO) -> None:
        """Writes a gallery's file as it comes; what is in it after an error is no whole file."""
        try:
            with self._http.stream("GET", calls.export_path(gallery)) as response:
                if not response.is_success:
                    response.read()
                    raise refusal_of(response)
                for part in response.iter_raw():
                    file.write(part)
        except httpx.RequestError as error:
            raise unreachable(self._http.base_url, error) from error


@contextmanager
def connect(
    url: str, *, key: str, certificate: Path | None = None, retries: Retries = PATIENT
) -> Iterator[HttpClient]:
    """A client of the service at an address.

    Args:
        url: of the service.
        key: sent with every request.
        certificate: PEM file that is trusted for HTTPS, beside the authorities that always are.
        retries: how patient it is.
    """
    with httpx.Client(**arguments_of(url, key=key, certificate=certificate)) as http:
        yield HttpClient(http, retries=retries)
