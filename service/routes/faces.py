"""Enroll, identify and detect."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from embedding.errors import RequestInvalid
from service import schemas
from service.access import PartsOf, allowed
from service.admission import admission_of, check_room
from service.answers.faces import detect_answer
from service.answers.identifying import across_answer, identify_answer
from service.auth import Caller, Permission
from service.bodies.faces import DetectBody, EnrollBody, IdentifyBody
from service.choosing import box_of
from service.enrolling import enroll_once
from service.idempotency_key import REPLAYED, SentKey
from service.identifying import IdentifyingOptions
from service.openapi import body_of, problems
from service.reading import photo_body_bytes, read_body
from service.recording import Telling
from service.thresholds import Asked

router = APIRouter(prefix="/v1", tags=["faces"], dependencies=[Depends(check_room)])


@router.post(
    "/enroll",
    status_code=201,
    responses={
        200: {"model": schemas.EnrollAnswer, "description": "A dry run: nothing was saved."},
        **problems(400, 404, 408, 409, 413, 415, 429, 503),
    },
    openapi_extra=body_of(EnrollBody),
)
async def enroll(
    request: Request,
    response: Response,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.ENROLL))],
    key: SentKey,
) -> schemas.EnrollAnswer:
    """Save templates of one subject from photos of that person: all of them, or none."""
    with admission_of(request).place(request) as place:
        body = await place.read(
            read_body(
                request,
                EnrollBody,
                max_bytes=parts.settings.max_request_bytes,
                max_photos=parts.settings.max_photos,
            )
        )
        caller.require_gallery(body.gallery)
        answer, again = await place.stoppable_work(
            enroll_once,
            parts,
            body,
            caller=caller.key_id,
            key=key,
            check=place.check_wanted,
        )
    if body.dry_run:
        response.status_code = 200
    if again:
        response.headers[REPLAYED] = "true"
    return answer


@router.post(
    "/identify",
    responses=problems(400, 404, 408, 409, 413, 415, 429, 503),
    openapi_extra=body_of(IdentifyBody),
)
async def identify(
    request: Request,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.IDENTIFY))],
) -> schemas.IdentifyAnswer | schemas.IdentifyAcrossAnswer:
    """Tell for each face of a photo who it is; of the photo nothing is saved.

    Identifier keys get decisions: names of matches, without similarities and candidates. Asked of
    several `galleries`, the answer says what each of them says, and one decision of all.
    """
    similarities = caller.may(Permission.SEE_SIMILARITIES)
    max_bytes = photo_body_bytes(parts.settings.max_photo_bytes)
    with admission_of(request).place(request) as place:
        body = await place.read(read_body(request, IdentifyBody, max_bytes=max_bytes))
        asked = Asked(fpir=body.fpir, threshold=body.threshold)
        if asked.anything:
            # Whoever may move the threshold learns the similarity by halves.
            caller.require(Permission.CHOOSE_THRESHOLDS)
        for gallery in body.galleries or [body.gallery]:
            caller.require_gallery(gallery)
        options = IdentifyingOptions(
            turns=body.turns,
            num_candidates=body.num_candidates,
            face=body.face if body.box is None else box_of(body.box),
            asked=asked,
            telling=Telling(source=body.source, queue_reviews=body.queue_reviews),
        )
        if body.galleries is not None:
            if "gallery" in body.model_fields_set:
                raise RequestInvalid("give gallery or galleries, not both")
            across = await place.work(
                parts.recognizer.identify_across,
                body.photo,
                galleries=body.galleries,
                **options,
            )
            return across_answer(across, similarities=similarities)
        result = await place.work(
            parts.recognizer.identify, body.photo, gallery=body.gallery, **options
        )
    return identify_answer(result, gallery=body.gallery, similarities=similarities)


@router.post(
    "/detect",
    responses=problems(400, 408, 409, 413, 415, 429, 503),
    openapi_extra=body_of(DetectBody),
)
async def detect(
    request: Request,
    parts: PartsOf,
    _caller: Annotated[Caller, Depends(allowed(Permission.DETECT))],
) -> schemas.DetectAnswer:
    """Find the faces of a photo, with their quality; nothing is saved or compared."""
    max_bytes = photo_body_bytes(parts.settings.max_photo_bytes)
    with admission_of(request).place(request) as place:
        body = await place.read(read_body(request, DetectBody, max_bytes=max_bytes))
        found = await place.work(parts.recognizer.detect, body.photo, turns=body.turns)
    return detect_answer(found)
