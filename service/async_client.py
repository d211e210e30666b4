"""The client for asyncio (and trio) that works through a running service."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import anyio
import httpx

from embedding.choosing import FaceChoice
from index.events import ReviewState, Verdict
from service import calls, schemas
from service.answering import answer_of, arguments_of, refusal_of, unreachable
from service.auth import Role
from service.calls import AnyAnswer, Call
from service.following import EVENTS, Following
from service.http_client import PATIENT
from service.identifying import FacesChoice
from service.limits import Allowance
from service.people_calls import Person
from service.retrying import Retries


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

    async def enroll(
        self,
        photos: Sequence[bytes],
        *,
        gallery: str,
        subject: str | None = None,
        external_id: str | None = None,
        subject_id: str | None = None,
        face: FaceChoice = "only",
        force: bool = False,
        dry_run: bool = False,
        person: Person | None = None,
        idempotency_key: str | None = None,
    ) -> schemas.EnrollAnswer:
        """As in `HttpClient`."""
        return await self.send(
            calls.enroll(
                photos,
                gallery=gallery,
                subject=subject,
                external_id=external_id,
                subject_id=subject_id,
                face=face,
                force=force,
                dry_run=dry_run,
                person=person,
                idempotency_key=idempotency_key,
            )
        )

    async def identify(
        self,
        photo: bytes,
        *,
        gallery: str,
        turns: bool = False,
        num_candidates: int = 5,
        face: FacesChoice = "all",
        fpir: float | None = None,
        threshold: float | None = None,
        source: str | None = None,
        queue_reviews: bool = False,
    ) -> schemas.IdentifyAnswer:
        """As in `HttpClient`."""
        return await self.send(
            calls.identify(
                photo,
                gallery=gallery,
                turns=turns,
                num_candidates=num_candidates,
                face=face,
                fpir=fpir,
                threshold=threshold,
                source=source,
                queue_reviews=queue_reviews,
            )
        )

    async def identify_across(
        self,
        photo: bytes,
        *,
        galleries: Sequence[str],
        turns: bool = False,
        num_candidates: int = 5,
        face: FacesChoice = "all",
        fpir: float | None = None,
        threshold: float | None = None,
    ) -> schemas.IdentifyAcrossAnswer:
        """As in `HttpClient`."""
        return await self.send(
            calls.identify_across(
                photo,
                galleries=galleries,
                turns=turns,
                num_candidates=num_candidates,
                face=face,
                fpir=fpir,
                threshold=threshold,
            )
        )

    async def verify(
        self,
        photos: Sequence[bytes],
        *,
        gallery: str | None = None,
        subject: str | None = None,
        external_id: str | None = None,
        subject_id: str | None = None,
        face: FaceChoice = "only",
        far: float | None = None,
    ) -> schemas.VerifyAnswer:
        """As in `HttpClient`."""
        return await self.send(
            calls.verify(
                photos,
                gallery=gallery,
                subject=subject,
                external_id=external_id,
                subject_id=subject_id,
                face=face,
                far=far,
            )
        )

    async def calibrate(
        self, gallery: str, *, fpirs: Sequence[float] = (), max_probes: int | None = None
    ) -> schemas.GalleryThresholdAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.calibrate(gallery, fpirs=fpirs, max_probes=max_probes))

    async def threshold(
        self, gallery: str, *, fpir: float | None = None
    ) -> schemas.GalleryThresholdAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.threshold(gallery, fpir=fpir))

    async def detect(self, photo: bytes, *, turns: bool = False) -> schemas.DetectAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.detect(photo, turns=turns))

    async def galleries(self) -> schemas.GalleriesAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.galleries())

    async def create_gallery(
        self, name: str, *, model: str | None = None, space: bool = False
    ) -> schemas.GalleryAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.create_gallery(name, model=model, space=space))

    async def delete_gallery(self, name: str) -> schemas.ErasedAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.delete_gallery(name))

    async def gallery_erasure(self, name: str) -> schemas.ReceiptAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.gallery_erasure(name))

    async def subjects(
        self,
        gallery: str,
        *,
        limit: int = 100,
        cursor: str | None = None,
        name: str | None = None,
        external_id: str | None = None,
    ) -> schemas.SubjectsAnswer:
        """As in `HttpClient`."""
        return await self.send(
            calls.subjects(gallery, limit=limit, cursor=cursor, name=name, external_id=external_id)
        )

    async def subject(self, gallery: str, subject_id: str) -> schemas.SubjectAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.subject(gallery, subject_id))

    async def change_subject(
        self,
        gallery: str,
        subject_id: str,
        patch: Mapping[str, object],
        *,
        version: str | None = None,
    ) -> schemas.SubjectAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.change_subject(gallery, subject_id, patch, version=version))

    async def remove_subject(self, gallery: str, subject_id: str) -> schemas.ErasedAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.remove_subject(gallery, subject_id))

    async def erasure(self, gallery: str, subject_id: str) -> schemas.ReceiptAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.erasure(gallery, subject_id))

    async def gallery(self, name: str) -> schemas.GalleryDetailsAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.gallery(name))

    async def change_gallery(
        self,
        name: str,
        *,
        new_name: str | None = None,
        fusion: str | None = None,
        max_templates: int | None = None,
        smallest_lead: float | None = None,
    ) -> schemas.GalleryDetailsAnswer:
        """As in `HttpClient`."""
        return await self.send(
            calls.change_gallery(
                name,
                new_name=new_name,
                fusion=fusion,
                max_templates=max_templates,
                smallest_lead=smallest_lead,
            )
        )

    async def templates(
        self, gallery: str, subject_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> schemas.TemplatesAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.templates(gallery, subject_id, limit=limit, cursor=cursor))

    async def template(
        self, gallery: str, template_id: str, *, embedding: bool = False
    ) -> schemas.TemplateAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.template(gallery, template_id, embedding=embedding))

    async def remove_template(
        self, gallery: str, template_id: str
    ) -> schemas.ErasedTemplateAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.remove_template(gallery, template_id))

    async def template_erasure(self, gallery: str, template_id: str) -> schemas.ReceiptAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.template_erasure(gallery, template_id))

    async def move_templates(
        self,
        gallery: str,
        subject_id: str,
        template_ids: Sequence[str],
        *,
        to_subject_id: str | None = None,
        to_name: str | None = None,
        to_external_id: str | None = None,
        dry_run: bool = False,
    ) -> schemas.MoveAnswer:
        """As in `HttpClient`."""
        return await self.send(
            calls.move_templates(
                gallery,
                subject_id,
                template_ids,
                to_subject_id=to_subject_id,
                to_name=to_name,
                to_external_id=to_external_id,
                dry_run=dry_run,
            )
        )

    async def merge_subjects(
        self, gallery: str, subject_id: str, *, into: str, dry_run: bool = False
    ) -> schemas.MergeAnswer:
        """As in `HttpClient`."""
        return await self.send(
            calls.merge_subjects(gallery, subject_id, into=into, dry_run=dry_run)
        )

    async def look_alikes(
        self, gallery: str, *, limit: int = 100, cursor: str | None = None
    ) -> schemas.LookAlikesAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.look_alikes(gallery, limit=limit, cursor=cursor))

    async def look_alikes_of(
        self, gallery: str, subject_id: str
    ) -> schemas.SubjectLookAlikesAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.look_alikes_of(gallery, subject_id))

    async def declare_look_alikes(
        self, gallery: str, one: str, other: str
    ) -> schemas.LookAlikeAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.declare_look_alikes(gallery, one, other))

    async def withdraw_look_alikes(
        self, gallery: str, one: str, other: str
    ) -> schemas.LookAlikeAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.withdraw_look_alikes(gallery, one, other))

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

    async def import_gallery(self, gallery: str, content: bytes) -> schemas.ImportAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.import_gallery(gallery, content))

    async def audit(self, *, limit: int = 100, cursor: str | None = None) -> schemas.AuditAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.audit(limit=limit, cursor=cursor))

    async def events(
        self, *, after: str | None = None, gallery: str | None = None, limit: int = 100
    ) -> schemas.EventsAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.events(after=after, gallery=gallery, limit=limit))

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

    async def reviews(
        self,
        *,
        state: ReviewState | None = None,
        gallery: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> schemas.ReviewsAnswer:
        """As in `HttpClient`."""
        return await self.send(
            calls.reviews(state=state, gallery=gallery, limit=limit, cursor=cursor)
        )

    async def review(self, review_id: str) -> schemas.ReviewAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.review(review_id))

    async def review_crop(self, review_id: str) -> schemas.CropAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.review_crop(review_id))

    async def template_crop(self, gallery: str, template_id: str) -> schemas.CropAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.template_crop(gallery, template_id))

    async def claim_review(self, review_id: str) -> schemas.ReviewAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.claim_review(review_id))

    async def release_review(self, review_id: str) -> schemas.ReviewAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.release_review(review_id))

    async def decide_review(self, review_id: str, verdict: Verdict) -> schemas.ReviewAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.decide_review(review_id, verdict))

    async def keys(self) -> schemas.KeysAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.keys())

    async def create_key(
        self,
        *,
        role: Role,
        label: str = "",
        galleries: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        allowance: Allowance | None = None,
    ) -> schemas.NewKeyAnswer:
        """As in `HttpClient`."""
        return await self.send(
            calls.create_key(
                role=role,
                label=label,
                galleries=galleries,
                expires_at=expires_at,
                allowance=allowance,
            )
        )

    async def revoke_key(self, key_id: str) -> schemas.KeyAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.revoke_key(key_id))

    async def models(self) -> schemas.ModelsAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.models())

    async def ready(self) -> schemas.ReadyAnswer:
        """As in `HttpClient`."""
        return await self.send(calls.ready())

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


@asynccontextmanager
async def connect_async(
    url: str, *, key: str, certificate: Path | None = None, retries: Retries = PATIENT
) -> AsyncIterator[AsyncHttpClient]:
    """A client of the service at an address; arguments as of `connect`."""
    async with httpx.AsyncClient(**arguments_of(url, key=key, certificate=certificate)) as http:
        yield AsyncHttpClient(http, retries=retries)
