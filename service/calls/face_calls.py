"""Photos: enroll, identify, verify and detect."""

import uuid
from collections.abc import Mapping, Sequence

from embedding.choosing import FaceChoice
from embedding.errors import RequestInvalid
from service import schemas
from service.calls.call import AnyAnswer, Call, given, numbers, path_of
from service.idempotency_key import HEADER as IDEMPOTENCY_KEY
from service.identifying import FacesChoice
from service.people_calls import Person, person_fields


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
    """Saves one template from each photo, all or none.

    Every enroll has an idempotency key, so it may be sent again.

    Args:
        photos: of one person.
        gallery: its name.
        subject: name; found or created.
        external_id: the caller's own id; found or created.
        subject_id: opaque id of an existing subject; excludes the other two.
        face: which one of each photo.
        force: take faces of poor quality too.
        dry_run: save nothing.
        person: what is to be kept of the person besides.
        idempotency_key: for a program that keeps it over its own restart; a new one if None.
    """
    return _form(
        schemas.EnrollAnswer,
        "enroll",
        fields={
            "gallery": gallery,
            "force": _word(yes=force),
            "dry_run": _word(yes=dry_run),
            **given(subject=subject, external_id=external_id, subject_id=subject_id),
            **person_fields(person or {}),
            **_face(face, usual="only"),
        },
        photos=photos,
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
    """Who each face of a photo is.

    With a source or a queue it is sent once: twice, others would be told twice.

    Args:
        photo: JPEG, PNG or WebP.
        gallery: its name.
        turns: try quarter turns when no face is found, or none surely upright.
        num_candidates: that are told of each face at most.
        face: all, the only one, the largest, or the one at a box.
        fpir: rate that a match is to stand for, instead of that of the service's settings.
        threshold: or the smallest similarity of a match.
        source: what the caller calls itself in events and reviews, such as a door.
        queue_reviews: have a person look at faces that are a ``review``.
    """
    return _form(
        schemas.IdentifyAnswer,
        "identify",
        fields={
            "gallery": gallery,
            **_search(turns, num_candidates, face, fpir=fpir, threshold=threshold),
            **given(source=source, queue_reviews=_word(yes=True) if queue_reviews else None),
        },
        photo=photo,
        repeatable=source is None and not queue_reviews,
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
    """Who each face of a photo is, asked of several galleries; with a source it is sent once.

    Args:
        photo: JPEG, PNG or WebP.
        galleries: their names.
        turns: as in `identify`, and so are those below.
        num_candidates: in each gallery.
        face: all, one of them, or the one at a box.
        fpir: in each gallery.
        threshold: in each gallery.
        source: what the caller calls itself in events.
    """
    return _form(
        schemas.IdentifyAcrossAnswer,
        "identify",
        fields={
            "galleries": ",".join(galleries),
            **_search(turns, num_candidates, face, fpir=fpir, threshold=threshold),
            **given(source=source),
        },
        photo=photo,
        repeatable=source is None,
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
    """Whether two photos, or a photo and a subject, are one person.

    Args:
        photos: two, or one with a subject.
        gallery: of the subject; the gallery ``default`` if None.
        subject: name.
        external_id: or the caller's own id.
        subject_id: or the opaque id.
        face: which one of each photo.
        far: false accept rate that a match is to stand for.
    """
    whom = given(gallery=gallery, subject=subject, external_id=external_id, subject_id=subject_id)
    return _form(
        schemas.VerifyAnswer,
        "verify",
        fields={**whom, **numbers(far=far), **_face(face, usual="only")},
        photos=photos,
    )


def detect(photo: bytes, *, turns: bool = False) -> Call[schemas.DetectAnswer]:
    """The faces of a photo with their quality."""
    return _form(schemas.DetectAnswer, "detect", fields={"turns": _word(yes=turns)}, photo=photo)


def _form(
    answer_class: type[AnyAnswer],
    action: str,
    *,
    fields: Mapping[str, str],
    photo: bytes | None = None,
    photos: Sequence[bytes] = (),
    repeatable: bool = True,
    headers: Mapping[str, str] | None = None,
) -> Call[AnyAnswer]:
    """A form with one `photo`, or with several `photos`.

    Raises:
        RequestInvalid: no photo; without a file it would not even be sent as a form.
    """
    if photo is None and not photos:
        raise RequestInvalid("give at least one photo")
    files = tuple(("photos", (f"photo-{n}", each)) for n, each in enumerate(photos))
    return Call(
        answer_class=answer_class,
        method="POST",
        path=path_of(action),
        repeatable=repeatable,
        fields=fields,
        files=files if photo is None else (("photo", ("photo", photo)),),
        headers=headers or {},
    )


def _search(
    turns: bool,
    num_candidates: int,
    face: FacesChoice,
    *,
    fpir: float | None,
    threshold: float | None,
) -> dict[str, str]:
    """How faces are looked for, in one gallery or in several."""
    return {
        "turns": _word(yes=turns),
        "num_candidates": str(num_candidates),
        **numbers(fpir=fpir, threshold=threshold),
        **_face(face, usual="all"),
    }


def _face(face: FacesChoice, *, usual: str) -> dict[str, str]:
    """The field that says which face; none for the usual choice."""
    if isinstance(face, str):
        return {} if face == usual else {"face": face}
    return {"box": f"{face.left},{face.top},{face.right},{face.bottom}"}


def _word(*, yes: bool) -> str:
    return str(yes).lower()
