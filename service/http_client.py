"""The client that works through a running service; `async_client` is its twin for asyncio."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import httpx

from embedding.choosing import FaceChoice
from index.events import ReviewState, Verdict
from service import calls, schemas
from service.answering import answer_of, arguments_of, refusal_of, unreachable
from service.auth import Role
from service.calls import AnyAnswer, Call
from service.following import EVENTS, Following
from service.identifying import FacesChoice
from service.limits import Allowance
from service.people_calls import Person
from service.retrying import Retries

PATIENT = Retries()


class HttpClient:
    """A `Client` that sends requests with a key; repeatable ones again when they fail in passing.

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

    def enroll(
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
        """Saves one template from each photo; see `Client.enroll` and `docs/http.md`."""
        return self.send(
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

    def identify(
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
        """Who each face of a photo is."""
        return self.send(
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

    def identify_across(
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
        """Who each face of a photo is, asked of several galleries."""
        return self.send(
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

    def verify(
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
        """Whether two photos, or a photo and a subject, are one person."""
        return self.send(
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

    def calibrate(
        self, gallery: str, *, fpirs: Sequence[float] = (), max_probes: int | None = None
    ) -> schemas.GalleryThresholdAnswer:
        """Measures a gallery's thresholds on itself, and keeps them."""
        return self.send(calls.calibrate(gallery, fpirs=fpirs, max_probes=max_probes))

    def threshold(
        self, gallery: str, *, fpir: float | None = None
    ) -> schemas.GalleryThresholdAnswer:
        """The threshold for a wanted FPIR, and what it rests on."""
        return self.send(calls.threshold(gallery, fpir=fpir))

    def detect(self, photo: bytes, *, turns: bool = False) -> schemas.DetectAnswer:
        """The faces of a photo with their quality."""
        return self.send(calls.detect(photo, turns=turns))

    def galleries(self) -> schemas.GalleriesAnswer:
        """The galleries that the key reaches."""
        return self.send(calls.galleries())

    def create_gallery(
        self, name: str, *, model: str | None = None, space: bool = False
    ) -> schemas.GalleryAnswer:
        """A new, empty gallery."""
        return self.send(calls.create_gallery(name, model=model, space=space))

    def delete_gallery(self, name: str) -> schemas.ErasedAnswer:
        """Deletes a gallery with all its subjects."""
        return self.send(calls.delete_gallery(name))

    def gallery_erasure(self, name: str) -> schemas.ReceiptAnswer:
        """The receipt of the gallery of this name that was deleted last."""
        return self.send(calls.gallery_erasure(name))

    def subjects(
        self,
        gallery: str,
        *,
        limit: int = 100,
        cursor: str | None = None,
        name: str | None = None,
        external_id: str | None = None,
    ) -> schemas.SubjectsAnswer:
        """A page of subjects, or the one who is called so."""
        return self.send(
            calls.subjects(gallery, limit=limit, cursor=cursor, name=name, external_id=external_id)
        )

    def subject(self, gallery: str, subject_id: str) -> schemas.SubjectAnswer:
        """A subject."""
        return self.send(calls.subject(gallery, subject_id))

    def change_subject(
        self,
        gallery: str,
        subject_id: str,
        patch: Mapping[str, object],
        *,
        version: str | None = None,
    ) -> schemas.SubjectAnswer:
        """Changes a subject by a merge patch (`docs/subjects.md`): None takes away.

        Args:
            gallery: its name.
            subject_id: whose.
            patch: `name`, `external_id`, `metadata`, `purpose`, `consent_reference` and
                `expires_at` (aware), as far as they change.
            version: `SubjectAnswer.version` that the change is meant for; None for any.
        """
        return self.send(calls.change_subject(gallery, subject_id, patch, version=version))

    def remove_subject(self, gallery: str, subject_id: str) -> schemas.ErasedAnswer:
        """Removes a subject with its templates."""
        return self.send(calls.remove_subject(gallery, subject_id))

    def erasure(self, gallery: str, subject_id: str) -> schemas.ReceiptAnswer:
        """The receipt of a removed subject, final once all is purged."""
        return self.send(calls.erasure(gallery, subject_id))

    def gallery(self, name: str) -> schemas.GalleryDetailsAnswer:
        """A gallery with its rules, thresholds and calibration."""
        return self.send(calls.gallery(name))

    def change_gallery(
        self,
        name: str,
        *,
        new_name: str | None = None,
        fusion: str | None = None,
        max_templates: int | None = None,
        smallest_lead: float | None = None,
    ) -> schemas.GalleryDetailsAnswer:
        """Renames a gallery, or says how it decides; 0 templates for any number."""
        return self.send(
            calls.change_gallery(
                name,
                new_name=new_name,
                fusion=fusion,
                max_templates=max_templates,
                smallest_lead=smallest_lead,
            )
        )

    def templates(
        self, gallery: str, subject_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> schemas.TemplatesAnswer:
        """A page of a subject's templates."""
        return self.send(calls.templates(gallery, subject_id, limit=limit, cursor=cursor))

    def template(
        self, gallery: str, template_id: str, *, embedding: bool = False
    ) -> schemas.TemplateAnswer:
        """A template; with its vector where key and settings allow it."""
        return self.send(calls.template(gallery, template_id, embedding=embedding))

    def remove_template(self, gallery: str, template_id: str) -> schemas.ErasedTemplateAnswer:
        """Removes one template; its subject stays."""
        return self.send(calls.remove_template(gallery, template_id))

    def template_erasure(self, gallery: str, template_id: str) -> schemas.ReceiptAnswer:
        """The receipt of a removed template, final once it is purged."""
        return self.send(calls.template_erasure(gallery, template_id))

    def move_templates(
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
        """Gives templates of one subject to another."""
        return self.send(
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

    def merge_subjects(
        self, gallery: str, subject_id: str, *, into: str, dry_run: bool = False
    ) -> schemas.MergeAnswer:
        """Gives all that one subject has to another, and deletes the one."""
        return self.send(calls.merge_subjects(gallery, subject_id, into=into, dry_run=dry_run))

    def look_alikes(
        self, gallery: str, *, limit: int = 100, cursor: str | None = None
    ) -> schemas.LookAlikesAnswer:
        """A page of declared pairs."""
        return self.send(calls.look_alikes(gallery, limit=limit, cursor=cursor))

    def look_alikes_of(self, gallery: str, subject_id: str) -> schemas.SubjectLookAlikesAnswer:
        """The declared look-alikes of a subject."""
        return self.send(calls.look_alikes_of(gallery, subject_id))

    def declare_look_alikes(self, gallery: str, one: str, other: str) -> schemas.LookAlikeAnswer:
        """Says that a photo may not tell two subjects apart."""
        return self.send(calls.declare_look_alikes(gallery, one, other))

    def withdraw_look_alikes(self, gallery: str, one: str, other: str) -> schemas.LookAlikeAnswer:
        """Takes such a declaration back."""
        return self.send(calls.withdraw_look_alikes(gallery, one, other))

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

    def import_gallery(self, gallery: str, content: bytes) -> schemas.ImportAnswer:
        """Writes a gallery's file into a gallery."""
        return self.send(calls.import_gallery(gallery, content))

    def audit(self, *, limit: int = 100, cursor: str | None = None) -> schemas.AuditAnswer:
        """A page of the audit log."""
        return self.send(calls.audit(limit=limit, cursor=cursor))

    def events(
        self, *, after: str | None = None, gallery: str | None = None, limit: int = 100
    ) -> schemas.EventsAnswer:
        """A page of events behind a cursor; without one none, only where to go on."""
        return self.send(calls.events(after=after, gallery=gallery, limit=limit))

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

    def reviews(
        self,
        *,
        state: ReviewState | None = None,
        gallery: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> schemas.ReviewsAnswer:
        """A page of reviews."""
        return self.send(calls.reviews(state=state, gallery=gallery, limit=limit, cursor=cursor))

    def review(self, review_id: str) -> schemas.ReviewAnswer:
        """A review."""
        return self.send(calls.review(review_id))

    def review_crop(self, review_id: str) -> schemas.CropAnswer:
        """The face of a review, where the service keeps crops."""
        return self.send(calls.review_crop(review_id))

    def template_crop(self, gallery: str, template_id: str) -> schemas.CropAnswer:
        """The face that a template was made of, where the service keeps crops."""
        return self.send(calls.template_crop(gallery, template_id))

    def claim_review(self, review_id: str) -> schemas.ReviewAnswer:
        """Has a review alone for a while, or for longer."""
        return self.send(calls.claim_review(review_id))

    def release_review(self, review_id: str) -> schemas.ReviewAnswer:
        """Gives a claimed review back."""
        return self.send(calls.release_review(review_id))

    def decide_review(self, review_id: str, verdict: Verdict) -> schemas.ReviewAnswer:
        """Says whether a review's face is the candidate's."""
        return self.send(calls.decide_review(review_id, verdict))

    def keys(self) -> schemas.KeysAnswer:
        """All keys, without their secrets."""
        return self.send(calls.keys())

    def create_key(
        self,
        *,
        role: Role,
        label: str = "",
        galleries: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        allowance: Allowance | None = None,
    ) -> schemas.NewKeyAnswer:
        """A new key."""
        return self.send(
            calls.create_key(
                role=role,
                label=label,
                galleries=galleries,
                expires_at=expires_at,
                allowance=allowance,
            )
        )

    def revoke_key(self, key_id: str) -> schemas.KeyAnswer:
        """Revokes a key."""
        return self.send(calls.revoke_key(key_id))

    def models(self) -> schemas.ModelsAnswer:
        """The installed models."""
        return self.send(calls.models())

    def ready(self) -> schemas.ReadyAnswer:
        """That photos can be answered, and how current the answers are."""
        return self.send(calls.ready())

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
