"""Comparisons, and what decides in a gallery, as they are answered."""

from embedding.thresholds import Threshold
from index.calibration.kept import KeptCalibration
from service import schemas
from service.answers.faces import face_fields
from service.answers.subjects import identified_subject
from service.answers.thresholds import model_ref, threshold_answer
from service.calibrating import GalleryThresholds
from service.results import Verification


def verify_answer(result: Verification) -> schemas.VerifyAnswer:
    """Whether two faces, or a face and a subject, are one person."""
    return schemas.VerifyAnswer(
        decision=result.decision,
        similarity=result.similarity,
        match=_far_answer(result.match),
        review=_far_answer(result.review),
        gallery=result.gallery,
        subject=None if result.subject is None else identified_subject(result.subject),
        template_id=result.template_id,
        faces=[
            schemas.VerifiedFace.model_validate({**face_fields(face), "photo": position})
            for position, face in enumerate(result.faces)
        ],
        model=model_ref(result.card),
        timings_ms=dict(result.timings_ms),
    )


def _far_answer(threshold: Threshold) -> schemas.VerifyThresholdAnswer:
    return schemas.VerifyThresholdAnswer(
        value=threshold.value,
        low=threshold.low,
        high=threshold.high,
        far=threshold.fpir,
        extrapolated=threshold.extrapolated,
    )


def gallery_threshold_answer(found: GalleryThresholds) -> schemas.GalleryThresholdAnswer:
    """What decides in a gallery."""
    thresholds = found.thresholds
    return schemas.GalleryThresholdAnswer(
        gallery=found.gallery,
        num_subjects=thresholds.num_subjects,
        num_templates=found.num_templates,
        model=model_ref(found.card),
        rule=thresholds.rule,
        source=thresholds.source,
        match=threshold_answer(thresholds.match),
        review=threshold_answer(thresholds.review),
        normalised=thresholds.normalisation is not None,
        stale=thresholds.stale,
        reasons=list(thresholds.reasons),
        calibration=None if found.kept is None else _kept_answer(found.kept),
    )


def _kept_answer(kept: KeptCalibration) -> schemas.KeptCalibrationAnswer:
    made = kept.calibration
    return schemas.KeptCalibrationAnswer(
        made_at=made.made_at,
        source=made.source,
        rule=made.rule,
        num_subjects=made.num_subjects,
        num_templates=made.num_templates,
        num_probes=made.num_probes,
        num_people=made.num_people,
        num_mated=made.num_mated,
        num_close=made.num_close,
        points=[
            schemas.CalibratedPointAnswer(
                fpir=each.fpir,
                value=each.value,
                low=each.low,
                high=each.high,
                measured=each.measured,
                floor=each.floor,
                num_errors=each.num_errors,
                num_missed=each.num_missed,
                predicted_low=each.predicted_low,
                predicted_high=each.predicted_high,
                supported=each.supported,
            )
            for each in made.points
        ],
    )
