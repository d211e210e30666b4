"""From comparisons, several galleries and thresholds to what HTTP and the command line show."""

from embedding.faces import Face
from embedding.thresholds import Threshold
from index.across import AcrossIdentification, GalleryAnswer, combined_fpir
from index.calibration.kept import KeptCalibration
from service import schemas
from service.answers import (
    calibration_answer,
    candidate_answer,
    face_fields,
    identified_subject,
    model_ref,
    threshold_answer,
)
from service.calibrating import GalleryThresholds
from service.results import AcrossRecognition, SearchedGallery, Verification


def across_answer(
    result: AcrossRecognition, *, similarities: bool
) -> schemas.IdentifyAcrossAnswer:
    """Who is in a photo, asked of several galleries."""
    searched = result.searched
    return schemas.IdentifyAcrossAnswer(
        galleries=[_searched(each) for each in searched],
        fpir=combined_fpir(each.thresholds.match.fpir for each in searched),
        review_fpir=combined_fpir(each.thresholds.review.fpir for each in searched),
        width=result.photo.width,
        height=result.photo.height,
        faces=[
            _across_face(face, answer, similarities=similarities)
            for face, answer in zip(result.photo.faces, result.answers, strict=True)
        ],
        timings_ms=dict(result.timings_ms),
    )


def _searched(searched: SearchedGallery) -> schemas.SearchedGalleryAnswer:
    thresholds = searched.thresholds
    return schemas.SearchedGalleryAnswer(
        gallery=searched.gallery,
        num_subjects=thresholds.num_subjects,
        model=model_ref(searched.card),
        match=threshold_answer(thresholds.match),
        review=threshold_answer(thresholds.review),
        calibration=calibration_answer(thresholds),
    )


def _across_face(
    face: Face, answer: AcrossIdentification, *, similarities: bool
) -> schemas.AcrossFace:
    """As `answers.identified_face`: who sees no similarities sees decisions and matches alone."""
    named = answer.subject if similarities or answer.decision == "match" else None
    return schemas.AcrossFace.model_validate(
        {
            **face_fields(face),
            "decision": answer.decision,
            "gallery": answer.gallery if named else None,
            "subject": identified_subject(named) if named else None,
            "similarity": answer.similarity if similarities else None,
            "reasons": list(answer.reasons) if similarities else [],
            "candidates": [
                schemas.AcrossCandidateAnswer(
                    gallery=each.gallery,
                    margin=each.margin,
                    **candidate_answer(each.candidate).model_dump(),
                )
                for each in answer.candidates
            ]
            if similarities
            else [],
            "answers": [_in_gallery(each, similarities=similarities) for each in answer.answers],
        }
    )


def _in_gallery(answer: GalleryAnswer, *, similarities: bool) -> schemas.InGalleryAnswer:
    found = answer.answer
    named = found.subject if similarities or found.decision == "match" else None
    return schemas.InGalleryAnswer(
        gallery=answer.gallery,
        decision=found.decision,
        subject=identified_subject(named) if named else None,
        similarity=found.similarity if similarities else None,
        match_threshold=answer.match_similarity if similarities else None,
        reasons=list(found.reasons) if similarities else [],
    )


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
