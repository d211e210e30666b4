"""Verify, and the thresholds of a gallery: measured and told."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from index.calibration.asked import SMALLEST_RATE
from service import schemas
from service.access import PartsOf, allowed, in_worker
from service.admission import admission_of, check_room
from service.answers.deciding import gallery_threshold_answer, verify_answer
from service.auth import Caller, Permission
from service.bodies.deciding import CalibrateBody, VerifyBody
from service.choosing import SubjectChoice, box_of
from service.openapi import body_of, problems
from service.reading import SMALL_BODY_BYTES, photo_body_bytes, read_body
from service.routes.galleries import GalleryPath
from service.verifying import gallery_of

router = APIRouter(prefix="/v1")


@router.post(
    "/verify",
    tags=["faces"],
    dependencies=[Depends(check_room)],
    responses=problems(400, 404, 408, 409, 413, 415, 429, 503),
    openapi_extra=body_of(VerifyBody),
)
async def verify(
    request: Request,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.VERIFY))],
) -> schemas.VerifyAnswer:
    """Tell whether two photos, or a photo and a subject, are one person; nothing is saved."""
    max_bytes = photo_body_bytes(2 * parts.settings.max_photo_bytes)
    with admission_of(request).place(request) as place:
        body = await place.read(read_body(request, VerifyBody, max_bytes=max_bytes, max_photos=2))
        subject = SubjectChoice(
            subject_id=body.subject_id, name=body.subject, external_id=body.external_id
        )
        gallery = gallery_of(body.gallery, subject)
        if gallery is not None:
            caller.require_gallery(gallery)
        result = await place.work(
            parts.recognizer.verify,
            body.photos,
            gallery=gallery,
            subject=subject,
            face=body.face if body.box is None else box_of(body.box),
            far=body.far,
        )
    return verify_answer(result)


@router.post(
    "/galleries/{gallery}/calibrate",
    tags=["galleries"],
    dependencies=[Depends(check_room)],
    responses=problems(400, 404, 408, 409, 413, 415, 429, 503),
    openapi_extra=body_of(CalibrateBody),
)
async def calibrate(
    request: Request,
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.CALIBRATE))],
) -> schemas.GalleryThresholdAnswer:
    """Measure the gallery's thresholds on itself, and keep them: they decide from then on.

    It takes a worker for seconds, with many templates for half a minute. What was begun is
    finished and kept, also where the caller leaves.
    """
    caller.require_gallery(gallery)
    with admission_of(request).place(request) as place:
        body = await place.read(read_body(request, CalibrateBody, max_bytes=SMALL_BODY_BYTES))
        found = await place.work(
            parts.calibrating.calibrate, gallery, fpirs=body.fpirs, max_probes=body.max_probes
        )
    return gallery_threshold_answer(found)


@router.get("/galleries/{gallery}/threshold", tags=["galleries"], responses=problems(404, 409))
async def get_threshold(
    request: Request,
    gallery: GalleryPath,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.READ_GALLERIES))],
    fpir: Annotated[
        float | None,
        Query(
            ge=SMALLEST_RATE,
            lt=1,
            allow_inf_nan=False,
            description="Wanted false positive identification rate; that of the service's "
            "settings if absent.",
            examples=[0.001],
        ),
    ] = None,
) -> schemas.GalleryThresholdAnswer:
    """Tell the threshold for a wanted FPIR, what it was measured on, and whether it still holds.

    For a rate that was not measured it is that of the next smaller one, which `match.fpir`
    tells; below all that were measured it is continued, and marked as extrapolated.
    """
    caller.require_gallery(gallery)
    found = await in_worker(request, parts.calibrating.thresholds, gallery, fpir=fpir)
    return gallery_threshold_answer(found)
