"""The client that works in process on a data folder that nobody else holds."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import BinaryIO

from embedding.choosing import FaceChoice
from index.events import ReviewState, Verdict
from index.transfer import export_stream, import_into
from service import calls, schemas
from service.answers.deciding import gallery_threshold_answer, verify_answer
from service.answers.enrolling import enroll_answer
from service.answers.galleries import (
    galleries_answer,
    gallery_answer,
    gallery_details,
    import_answer,
    models_answer,
)
from service.answers.identifying import across_answer, identify_answer
from service.answers.keys import key_answer, keys_answer, new_key_answer
from service.answers.subjects import erased_answer
from service.auth import OWNER, Role
from service.bodies.galleries import GalleryChangeBody
from service.bodies.subjects import enrolled_details
from service.calibrating import MAX_PROBES
from service.choosing import SubjectChoice
from service.gallery_changes import change_gallery
from service.identifying import FacesChoice
from service.limits import Allowance
from service.local_people import LocalPeople
from service.people_calls import Person
from service.recording import Telling, check_on
from service.thresholds import Asked

_PAGE = 1000
_POLL_S = 0.5


class LocalClient(LocalPeople):
    """Answers in process as `HttpClient` does from a service, for what the command line asks.

    It needs no key, since whoever can write the folder owns it.
    """

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
    ) -> schemas.EnrollAnswer:
        """As in `HttpClient`; no answer can be lost, so there is no idempotency key."""
        result = self._parts.recognizer.enroll(
            photos,
            gallery=gallery,
            subject=SubjectChoice(subject_id=subject_id, name=subject, external_id=external_id),
            face=face,
            force=force,
            dry_run=dry_run,
            details=enrolled_details(**(person or {})),
        )
        return enroll_answer(result, gallery=gallery)

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
        """As in `HttpClient`."""
        result = self._parts.recognizer.identify(
            photo,
            gallery=gallery,
            turns=turns,
            num_candidates=num_candidates,
            face=face,
            asked=Asked(fpir=fpir, threshold=threshold),
            telling=Telling(source=source, queue_reviews=queue_reviews),
        )
        return identify_answer(result, gallery=gallery, similarities=True)

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
        source: str | None = None,
    ) -> schemas.IdentifyAcrossAnswer:
        """As in `HttpClient`."""
        result = self._parts.recognizer.identify_across(
            photo,
            galleries=galleries,
            turns=turns,
            num_candidates=num_candidates,
            face=face,
            asked=Asked(fpir=fpir, threshold=threshold),
            telling=Telling(source=source),
        )
        return across_answer(result, similarities=True)

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
        """As in `HttpClient`."""
        whom = SubjectChoice(subject_id=subject_id, name=subject, external_id=external_id)
        result = self._parts.recognizer.verify(
            photos, gallery=gallery, subject=whom, face=face, far=far
        )
        return verify_answer(result)

    def calibrate(
        self, gallery: str, *, fpirs: Sequence[float] = (), max_probes: int | None = None
    ) -> schemas.GalleryThresholdAnswer:
        """As in `HttpClient`."""
        found = self._parts.calibrating.calibrate(
            gallery, fpirs=fpirs, max_probes=MAX_PROBES if max_probes is None else max_probes
        )
        return gallery_threshold_answer(found)

    def threshold(
        self, gallery: str, *, fpir: float | None = None
    ) -> schemas.GalleryThresholdAnswer:
        """As in `HttpClient`."""
        found = self._parts.calibrating.thresholds(gallery, fpir=fpir)
        return gallery_threshold_answer(found)

    def galleries(self, *, limit: int = 100, cursor: str | None = None) -> schemas.GalleriesAnswer:
        """As in `HttpClient`."""
        found, next_cursor = self._parts.galleries.page(limit=limit, cursor=cursor)
        return galleries_answer(found, next_cursor, embedders=self._parts.embedders)

    def create_gallery(
        self, name: str, *, model: str | None = None, space: bool = False
    ) -> schemas.GalleryAnswer:
        """As in `HttpClient`."""
        gallery = self._parts.create_gallery(name, model=model, space=space)
        return gallery_answer(gallery, self._parts.embedders)

    def delete_gallery(self, name: str) -> schemas.ErasedAnswer:
        """As in `HttpClient`."""
        return erased_answer(self._parts.galleries.erase(name), self._parts.galleries)

    def gallery(self, name: str) -> schemas.GalleryDetailsAnswer:
        """As in `HttpClient`."""
        found = self._parts.galleries.get(name)
        return gallery_details(found, self._parts.embedders, settings=self._parts.settings)

    def change_gallery(
        self,
        name: str,
        *,
        new_name: str | None = None,
        fusion: str | None = None,
        max_templates: int | None = None,
        smallest_lead: float | None = None,
    ) -> schemas.GalleryDetailsAnswer:
        """As in `HttpClient`."""
        call = calls.change_gallery(
            name,
            new_name=new_name,
            fusion=fusion,
            max_templates=max_templates,
            smallest_lead=smallest_lead,
        )
        # Ranges are looked at where the rules are made.
        fields = dict(call.body or {})
        body = GalleryChangeBody.model_construct(set(fields), **fields)
        changed = change_gallery(self._parts, name, body)
        return gallery_details(changed, self._parts.embedders, settings=self._parts.settings)

    def follow(
        self, *, after: str | None = None, gallery: str | None = None
    ) -> Iterator[schemas.EventAnswer]:
        """As in `HttpClient`; ends where nobody else can decide anything meanwhile."""
        check_on(self._parts.settings, "events")
        names = None if gallery is None else [self._parts.galleries.get(gallery).name]
        events = self._parts.galleries.events
        while True:
            page = events.page(after=after, limit=_PAGE, gallery_names=names)
            yield from (schemas.EventAnswer.of(each, similarities=True) for each in page.events)
            after = page.cursor
            if not page.more:
                if not events.shared:
                    return
                time.sleep(_POLL_S)

    def reviews(
        self,
        *,
        state: ReviewState | None = None,
        gallery: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> schemas.ReviewsAnswer:
        """As in `HttpClient`."""
        check_on(self._parts.settings, "reviews")
        names = None if gallery is None else [self._parts.galleries.get(gallery).name]
        found, next_cursor = self._parts.galleries.reviews.page(
            state=state, limit=limit, cursor=cursor, gallery_names=names
        )
        return schemas.ReviewsAnswer(
            reviews=[schemas.ReviewAnswer.of(each) for each in found], next_cursor=next_cursor
        )

    def decide_review(self, review_id: str, verdict: Verdict) -> schemas.ReviewAnswer:
        """As in `HttpClient`."""
        check_on(self._parts.settings, "reviews")
        return schemas.ReviewAnswer.of(
            self._parts.galleries.reviews.decide(
                review_id, verdict, by=OWNER.key_id, tell=self._parts.settings.events
            )
        )

    def export_gallery(self, gallery: str, file: BinaryIO) -> None:
        """As in `HttpClient`."""
        for part in export_stream(self._parts.galleries, gallery):
            file.write(part)

    def import_gallery(self, gallery: str, content: bytes) -> schemas.ImportAnswer:
        """As in `HttpClient`."""
        galleries = self._parts.galleries
        done = import_into(galleries, gallery, content)
        return import_answer(done, has_ledger=galleries.store.has_ledger)

    def keys(self, *, limit: int = 100, cursor: str | None = None) -> schemas.KeysAnswer:
        """As in `HttpClient`."""
        return keys_answer(*self._parts.keys.page(limit=limit, cursor=cursor))

    def create_key(
        self,
        *,
        role: Role,
        label: str = "",
        galleries: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        allowance: Allowance | None = None,
    ) -> schemas.NewKeyAnswer:
        """As in `HttpClient`."""
        key, secret_key = self._parts.keys.create(
            role=role,
            label=label,
            galleries=galleries,
            expires_at=expires_at,
            allowance=allowance,
        )
        return new_key_answer(key, secret_key)

    def revoke_key(self, key_id: str) -> schemas.KeyAnswer:
        """As in `HttpClient`."""
        return key_answer(self._parts.keys.revoke(key_id, caller=OWNER))

    def models(self) -> schemas.ModelsAnswer:
        """As in `HttpClient`."""
        return models_answer(self._parts.embedders.installed())
