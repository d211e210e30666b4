"""Every request that a client can make of the service, for any way of sending it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from embedding.choosing import FaceChoice
from index.events import ReviewState, Verdict
from service import schemas
from service.auth import Role
from service.idempotency_key import HEADER as IDEMPOTENCY_KEY
from service.identifying import FacesChoice
from service.limits import Allowance
from service.people_calls import Person, patch_json, person_fields

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


def enroll(
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
) -> Call[schemas.EnrollAnswer]:
    """Saves one template from each photo; with its key it may be sent again and again.

    Args:
        photos: of one person.
        gallery: its name.
        subject: name.
        external_id: the caller's own id.
        subject_id: opaque id.
        face: which one of each photo.
        force: take faces of poor quality too.
        dry_run: save nothing.
        person: what is to be kept of the person besides.
        idempotency_key: for a program that keeps it over its own restart; a new one if None.
    """
    fields = {"gallery": gallery, "force": _word(yes=force), "dry_run": _word(yes=dry_run)}
    whom = {"subject": subject, "external_id": external_id, "subject_id": subject_id}
    fields |= {name: value for name, value in whom.items() if value is not None}
    fields |= person_fields(person or {})
    if isinstance(face, str):
        fields["face"] = face
    else:
        fields["box"] = f"{face.left},{face.top},{face.right},{face.bottom}"
    return Call(
        answer_class=schemas.EnrollAnswer,
        method="POST",
        path="/v1/enroll",
        repeatable=True,
        fields=fields,
        files=tuple(("photos", (f"photo-{n}", photo)) for n, photo in enumerate(photos)),
        headers={IDEMPOTENCY_KEY: idempotency_key or uuid.uuid4().hex},
    )


def identify(
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
) -> Call[schemas.IdentifyAnswer]:
    """Who each face of a photo is; one that is told or queued is sent once."""
    fields = {
        "gallery": gallery,
        "turns": _word(yes=turns),
        "num_candidates": str(num_candidates),
        **_numbers(fpir=fpir, threshold=threshold),
        **_face(face, usual="all"),
        **_told(source=source, queue_reviews=queue_reviews),
    }
    return Call(
        answer_class=schemas.IdentifyAnswer,
        method="POST",
        path="/v1/identify",
        repeatable=source is None and not queue_reviews,
        fields=fields,
        files=(("photo", ("photo", photo)),),
    )


def identify_across(
    photo: bytes,
    *,
    galleries: Sequence[str],
    turns: bool = False,
    num_candidates: int = 5,
    face: FacesChoice = "all",
    fpir: float | None = None,
    threshold: float | None = None,
    source: str | None = None,
) -> Call[schemas.IdentifyAcrossAnswer]:
    """Who each face of a photo is, asked of several galleries."""
    fields = {
        "galleries": ",".join(galleries),
        "turns": _word(yes=turns),
        "num_candidates": str(num_candidates),
        **_numbers(fpir=fpir, threshold=threshold),
        **_face(face, usual="all"),
        **_told(source=source, queue_reviews=False),
    }
    return Call(
        answer_class=schemas.IdentifyAcrossAnswer,
        method="POST",
        path="/v1/identify",
        repeatable=source is None,
        fields=fields,
        files=(("photo", ("photo", photo)),),
    )


def verify(
    photos: Sequence[bytes],
    *,
    gallery: str | None = None,
    subject: str | None = None,
    external_id: str | None = None,
    subject_id: str | None = None,
    face: FaceChoice = "only",
    far: float | None = None,
) -> Call[schemas.VerifyAnswer]:
    """Whether two photos, or a photo and a subject, are one person."""
    whom = {
        "gallery": gallery,
        "subject": subject,
        "external_id": external_id,
        "subject_id": subject_id,
    }
    fields = {name: value for name, value in whom.items() if value is not None}
    return Call(
        answer_class=schemas.VerifyAnswer,
        method="POST",
        path="/v1/verify",
        repeatable=True,
        fields={**fields, **_numbers(far=far), **_face(face, usual="only")},
        files=tuple(("photos", (f"photo-{n}", photo)) for n, photo in enumerate(photos)),
    )


def calibrate(
    gallery: str, *, fpirs: Sequence[float] = (), max_probes: int | None = None
) -> Call[schemas.GalleryThresholdAnswer]:
    """Measures a gallery's thresholds; twice it would take twice as long."""
    probes = {} if max_probes is None else {"max_probes": max_probes}
    return Call(
        answer_class=schemas.GalleryThresholdAnswer,
        method="POST",
        path=f"/v1/galleries/{_part(gallery)}/calibrate",
        repeatable=False,
        body={"fpirs": list(fpirs), **probes},
    )


def threshold(gallery: str, *, fpir: float | None = None) -> Call[schemas.GalleryThresholdAnswer]:
    """The threshold for a wanted FPIR, and what it rests on."""
    path = f"/v1/galleries/{_part(gallery)}/threshold"
    return _get(schemas.GalleryThresholdAnswer, path, _numbers(fpir=fpir))


def detect(photo: bytes, *, turns: bool = False) -> Call[schemas.DetectAnswer]:
    """The faces of a photo."""
    return Call(
        answer_class=schemas.DetectAnswer,
        method="POST",
        path="/v1/detect",
        repeatable=True,
        fields={"turns": _word(yes=turns)},
        files=(("photo", ("photo", photo)),),
    )


def galleries() -> Call[schemas.GalleriesAnswer]:
    """The galleries."""
    return _get(schemas.GalleriesAnswer, "/v1/galleries")


def create_gallery(
    name: str, *, model: str | None = None, space: bool = False
) -> Call[schemas.GalleryAnswer]:
    """A new, empty gallery; the second time it exists."""
    return Call(
        answer_class=schemas.GalleryAnswer,
        method="POST",
        path="/v1/galleries",
        repeatable=False,
        body={"name": name, "model": model, "space": space},
    )


def gallery(name: str) -> Call[schemas.GalleryDetailsAnswer]:
    """A gallery with its rules, thresholds and calibration."""
    return _get(schemas.GalleryDetailsAnswer, f"/v1/galleries/{_part(name)}")


def change_gallery(
    name: str,
    *,
    new_name: str | None = None,
    fusion: str | None = None,
    max_templates: int | None = None,
    smallest_lead: float | None = None,
) -> Call[schemas.GalleryDetailsAnswer]:
    """Changes what is given, 0 templates for any number; renamed, the old name is not found."""
    body = {"name": new_name, "fusion": fusion, "smallest_lead": smallest_lead}
    body = {field: value for field, value in body.items() if value is not None}
    if max_templates is not None:
        body["max_templates"] = max_templates or None
    return Call(
        answer_class=schemas.GalleryDetailsAnswer,
        method="PATCH",
        path=f"/v1/galleries/{_part(name)}",
        repeatable=new_name is None,
        body=body,
    )


def delete_gallery(name: str) -> Call[schemas.ErasedAnswer]:
    """Deletes a gallery; the second time it is not found, and what it held is not told."""
    return _delete(schemas.ErasedAnswer, f"/v1/galleries/{_part(name)}", repeatable=False)


def gallery_erasure(name: str) -> Call[schemas.ReceiptAnswer]:
    """The receipt of the gallery of this name that was deleted last."""
    return _get(schemas.ReceiptAnswer, f"/v1/galleries/{_part(name)}/erasure")


def templates(
    gallery: str, subject_id: str, *, limit: int = 100, cursor: str | None = None
) -> Call[schemas.TemplatesAnswer]:
    """A page of a subject's templates."""
    path = f"{_subject_path(gallery, subject_id)}/templates"
    return _get(schemas.TemplatesAnswer, path, _page(limit, cursor))


def template(
    gallery: str, template_id: str, *, embedding: bool = False
) -> Call[schemas.TemplateAnswer]:
    """A template; with its vector where key and settings allow it."""
    query = {"embedding": "true"} if embedding else {}
    return _get(schemas.TemplateAnswer, _template_path(gallery, template_id), query)


def remove_template(gallery: str, template_id: str) -> Call[schemas.ErasedTemplateAnswer]:
    """Removes one template; the second time it is not found."""
    path = _template_path(gallery, template_id)
    return _delete(schemas.ErasedTemplateAnswer, path, repeatable=False)


def template_erasure(gallery: str, template_id: str) -> Call[schemas.ReceiptAnswer]:
    """The receipt of a removed template, final once it is purged."""
    return _get(schemas.ReceiptAnswer, f"{_template_path(gallery, template_id)}/erasure")


def move_templates(
    gallery: str,
    subject_id: str,
    template_ids: Sequence[str],
    *,
    to_subject_id: str | None = None,
    to_name: str | None = None,
    to_external_id: str | None = None,
    dry_run: bool = False,
) -> Call[schemas.MoveAnswer]:
    """Gives templates to another subject; the second time they are not the first one's."""
    return Call(
        answer_class=schemas.MoveAnswer,
        method="POST",
        path=f"{_subject_path(gallery, subject_id)}/templates/move",
        repeatable=dry_run,
        body={
            "templates": list(template_ids),
            "to_subject_id": to_subject_id,
            "to_name": to_name,
            "to_external_id": to_external_id,
            "dry_run": dry_run,
        },
    )


def merge_subjects(
    gallery: str, subject_id: str, *, into: str, dry_run: bool = False
) -> Call[schemas.MergeAnswer]:
    """Gives all that one subject has to another; the second time the one is not found."""
    return Call(
        answer_class=schemas.MergeAnswer,
        method="POST",
        path=f"{_subject_path(gallery, subject_id)}/merge",
        repeatable=dry_run,
        body={"into": into, "dry_run": dry_run},
    )


def look_alikes(
    gallery: str, *, limit: int = 100, cursor: str | None = None
) -> Call[schemas.LookAlikesAnswer]:
    """A page of declared pairs."""
    path = f"/v1/galleries/{_part(gallery)}/look-alikes"
    return _get(schemas.LookAlikesAnswer, path, _page(limit, cursor))


def look_alikes_of(gallery: str, subject_id: str) -> Call[schemas.SubjectLookAlikesAnswer]:
    """The declared look-alikes of a subject."""
    path = f"{_subject_path(gallery, subject_id)}/look-alikes"
    return _get(schemas.SubjectLookAlikesAnswer, path)


def declare_look_alikes(gallery: str, one: str, other: str) -> Call[schemas.LookAlikeAnswer]:
    """Declares two subjects look-alikes; a second time changes nothing, and says so."""
    return Call(
        answer_class=schemas.LookAlikeAnswer,
        method="PUT",
        path=f"{_subject_path(gallery, one)}/look-alikes/{_part(other)}",
        repeatable=False,
    )


def withdraw_look_alikes(gallery: str, one: str, other: str) -> Call[schemas.LookAlikeAnswer]:
    """Takes a declaration back; a second time changes nothing, and says so."""
    path = f"{_subject_path(gallery, one)}/look-alikes/{_part(other)}"
    return _delete(schemas.LookAlikeAnswer, path, repeatable=False)


def subjects(
    gallery: str,
    *,
    limit: int = 100,
    cursor: str | None = None,
    name: str | None = None,
    external_id: str | None = None,
) -> Call[schemas.SubjectsAnswer]:
    """A page of subjects, or the one who is called so."""
    given = {"name": name, "external_id": external_id}
    query = dict(_page(limit, cursor)) | {
        key: value for key, value in given.items() if value is not None
    }
    return _get(schemas.SubjectsAnswer, f"/v1/galleries/{_part(gallery)}/subjects", query)


def subject(gallery: str, subject_id: str) -> Call[schemas.SubjectAnswer]:
    """A subject."""
    return _get(schemas.SubjectAnswer, _subject_path(gallery, subject_id))


def change_subject(
    gallery: str, subject_id: str, patch: Mapping[str, object], *, version: str | None = None
) -> Call[schemas.SubjectAnswer]:
    """Changes a subject; for one version it can be done once, and any other time again."""
    return Call(
        answer_class=schemas.SubjectAnswer,
        method="PATCH",
        path=_subject_path(gallery, subject_id),
        repeatable=version is None,
        body=patch_json(patch),
        headers={} if version is None else {"If-Match": f'"{version}"'},
    )


def remove_subject(gallery: str, subject_id: str) -> Call[schemas.ErasedAnswer]:
    """Removes a subject; the second time it is not found, and what it held is not told."""
    return _delete(schemas.ErasedAnswer, _subject_path(gallery, subject_id), repeatable=False)


def erasure(gallery: str, subject_id: str) -> Call[schemas.ReceiptAnswer]:
    """The receipt of a removed subject, final once all is purged."""
    return _get(schemas.ReceiptAnswer, f"{_subject_path(gallery, subject_id)}/erasure")


def export_path(gallery: str) -> str:
    """Where a gallery's file is fetched; it is no answer that lies in memory."""
    return f"/v1/galleries/{_part(gallery)}/export"


def import_gallery(gallery: str, content: bytes) -> Call[schemas.ImportAnswer]:
    """Writes a file into a gallery; the second time all of it is there already."""
    return Call(
        answer_class=schemas.ImportAnswer,
        method="POST",
        path=f"/v1/galleries/{_part(gallery)}/import",
        repeatable=False,
        headers={"Content-Type": "application/vnd.apache.parquet"},
        content=content,
    )


def audit(*, limit: int = 100, cursor: str | None = None) -> Call[schemas.AuditAnswer]:
    """A page of the audit log."""
    return _get(schemas.AuditAnswer, "/v1/audit", _page(limit, cursor))


def events(
    *, after: str | None = None, gallery: str | None = None, limit: int = 100
) -> Call[schemas.EventsAnswer]:
    """A page of events behind a cursor; without one there are none, only where to go on."""
    query = {"wait": "0", "limit": str(limit)} | _given(after=after, gallery=gallery)
    return _get(schemas.EventsAnswer, "/v1/events", query)


def reviews(
    *,
    state: ReviewState | None = None,
    gallery: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Call[schemas.ReviewsAnswer]:
    """A page of reviews."""
    query = {"limit": str(limit)} | _given(state=state, gallery=gallery, cursor=cursor)
    return _get(schemas.ReviewsAnswer, "/v1/reviews", query)


def review(review_id: str) -> Call[schemas.ReviewAnswer]:
    """A review."""
    return _get(schemas.ReviewAnswer, _review_path(review_id))


def review_crop(review_id: str) -> Call[schemas.CropAnswer]:
    """The face of a review."""
    return _get(schemas.CropAnswer, f"{_review_path(review_id)}/crop")


def template_crop(gallery: str, template_id: str) -> Call[schemas.CropAnswer]:
    """The face that a template was made of."""
    path = f"/v1/galleries/{_part(gallery)}/templates/{_part(template_id)}/crop"
    return _get(schemas.CropAnswer, path)


def claim_review(review_id: str) -> Call[schemas.ReviewAnswer]:
    """Claims a review; a second time it is claimed for longer."""
    return Call(
        answer_class=schemas.ReviewAnswer,
        method="POST",
        path=f"{_review_path(review_id)}/claim",
        repeatable=True,
    )


def release_review(review_id: str) -> Call[schemas.ReviewAnswer]:
    """Gives a claimed review back; a second time nothing changes."""
    path = f"{_review_path(review_id)}/claim"
    return _delete(schemas.ReviewAnswer, path, repeatable=True)


def decide_review(review_id: str, verdict: Verdict) -> Call[schemas.ReviewAnswer]:
    """Decides a review; the same a second time changes nothing."""
    return Call(
        answer_class=schemas.ReviewAnswer,
        method="POST",
        path=f"{_review_path(review_id)}/decision",
        repeatable=True,
        body={"verdict": verdict},
    )


def keys() -> Call[schemas.KeysAnswer]:
    """All keys, without their secrets."""
    return _get(schemas.KeysAnswer, "/v1/keys")


def create_key(
    *,
    role: Role,
    label: str = "",
    galleries: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    allowance: Allowance | None = None,
) -> Call[schemas.NewKeyAnswer]:
    """A new key; twice there would be two."""
    return Call(
        answer_class=schemas.NewKeyAnswer,
        method="POST",
        path="/v1/keys",
        repeatable=False,
        body={
            "role": role.value,
            "label": label,
            "galleries": None if galleries is None else list(galleries),
            "expires_at": None if expires_at is None else expires_at.isoformat(),
            "max_per_minute": None if allowance is None else allowance.per_minute,
            "max_per_day": None if allowance is None else allowance.per_day,
        },
    )


def revoke_key(key_id: str) -> Call[schemas.KeyAnswer]:
    """Revokes a key; a second time changes nothing."""
    return _delete(schemas.KeyAnswer, f"/v1/keys/{_part(key_id)}", repeatable=True)


def models() -> Call[schemas.ModelsAnswer]:
    """The installed models."""
    return _get(schemas.ModelsAnswer, "/v1/models")


def ready() -> Call[schemas.ReadyAnswer]:
    """That photos can be answered."""
    return _get(schemas.ReadyAnswer, "/readyz")


def _get(
    answer_class: type[AnyAnswer], path: str, query: Mapping[str, str] | None = None
) -> Call[AnyAnswer]:
    return Call(
        answer_class=answer_class, method="GET", path=path, repeatable=True, query=query or {}
    )


def _delete(answer_class: type[AnyAnswer], path: str, *, repeatable: bool) -> Call[AnyAnswer]:
    return Call(answer_class=answer_class, method="DELETE", path=path, repeatable=repeatable)


def _page(limit: int, cursor: str | None) -> dict[str, str]:
    return {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})


def _template_path(gallery: str, template_id: str) -> str:
    return f"/v1/galleries/{_part(gallery)}/templates/{_part(template_id)}"


def _subject_path(gallery: str, subject_id: str) -> str:
    return f"/v1/galleries/{_part(gallery)}/subjects/{_part(subject_id)}"


def _review_path(review_id: str) -> str:
    return f"/v1/reviews/{_part(review_id)}"


def _told(*, source: str | None, queue_reviews: bool) -> dict[str, str]:
    """What is sent only where it is given."""
    fields = {} if source is None else {"source": source}
    return fields | ({"queue_reviews": _word(yes=True)} if queue_reviews else {})


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _part(text: str) -> str:
    """One segment of a path."""
    return quote(text, safe="")


def _numbers(**numbers: float | None) -> dict[str, str]:
    """Those that are given, as text that is read back to the last digit."""
    return {name: repr(float(each)) for name, each in numbers.items() if each is not None}


def _face(face: FacesChoice, *, usual: str) -> dict[str, str]:
    """The field that says which face; none for the usual choice."""
    if isinstance(face, str):
        return {} if face == usual else {"face": face}
    return {"box": f"{face.left},{face.top},{face.right},{face.bottom}"}


def _word(*, yes: bool) -> str:
    return str(yes).lower()
