"""Who is in a photo, as it is answered to who may see similarities, and to who may not."""

from embedding.faces import Face
from index.across import AcrossIdentification, GalleryAnswer, combined_fpir
from index.decision import Candidate, Identification
from service import schemas
from service.answers.faces import face_fields
from service.answers.subjects import identified_subject
from service.answers.thresholds import calibration_answer, model_ref, threshold_answer
from service.results import AcrossRecognition, Recognition, SearchedGallery


def candidate_answer(candidate: Candidate) -> schemas.CandidateAnswer:
    """A candidate."""
    return schemas.CandidateAnswer(
        subject_id=candidate.subject_id,
        name=candidate.subject.name,
        similarity=candidate.similarity,
    )


def identified_face(
    face: Face,
    answer: Identification,
    *,
    match_similarity: float,
    similarities: bool,
    review_id: str | None = None,
) -> schemas.IdentifiedFace:
    """A face and who it is.

    Who may not see similarities sees no candidates, no reasons, which tell of a second one, and
    of a ``review`` no subject, which is nothing but the first candidate.
    """
    named = answer.subject if similarities or answer.decision == "match" else None
    return schemas.IdentifiedFace.model_validate(
        {
            **face_fields(face),
            "decision": answer.decision,
            "subject": identified_subject(named) if named else None,
            "similarity": answer.similarity if similarities else None,
            "reasons": list(answer.reasons) if similarities else [],
            "match_threshold": match_similarity if similarities else None,
            "review_id": review_id,
            "candidates": [candidate_answer(each) for each in answer.candidates]
            if similarities
            else [],
        }
    )


def identify_answer(
    result: Recognition, *, gallery: str, similarities: bool
) -> schemas.IdentifyAnswer:
    """Who is in a photo."""
    return schemas.IdentifyAnswer(
        gallery=gallery,
        num_subjects=result.thresholds.num_subjects,
        model=model_ref(result.card),
        match=threshold_answer(result.thresholds.match),
        review=threshold_answer(result.thresholds.review),
        calibration=calibration_answer(result.thresholds),
        width=result.photo.width,
        height=result.photo.height,
        faces=[
            identified_face(
                face,
                answer,
                match_similarity=match,
                similarities=similarities,
                review_id=review_id,
            )
            for face, answer, match, review_id in zip(
                result.photo.faces,
                result.answers,
                result.match_similarities,
                result.review_ids,
                strict=True,
            )
        ],
        timings_ms=dict(result.timings_ms),
    )


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
    """As `identified_face`: who sees no similarities sees decisions and matches alone."""
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
