"""What an enroll did, as it is answered."""

from service import schemas
from service.answers.faces import face_fields
from service.answers.identifying import candidate_answer
from service.answers.thresholds import model_ref, threshold_answer
from service.results import Enrollment


def enroll_answer(result: Enrollment, *, gallery: str) -> schemas.EnrollAnswer:
    """What an enroll did."""
    enrolled = result.enrolled
    template_ids = enrolled.template_ids if enrolled else (None,) * len(result.faces)
    return schemas.EnrollAnswer(
        gallery=gallery,
        subject_id=enrolled.subject_id if enrolled else None,
        created=enrolled.created if enrolled else result.would_create,
        dry_run=enrolled is None,
        faces=[
            schemas.EnrolledFace.model_validate(
                {**face_fields(face), "photo": position, "template_id": template_id}
            )
            for position, (face, template_id) in enumerate(
                zip(result.faces, template_ids, strict=True)
            )
        ],
        conflicts=[
            schemas.ConflictAnswer(
                photo=each.photo, **candidate_answer(each.candidate).model_dump()
            )
            for each in result.conflicts.elsewhere
        ],
        not_the_subject=[
            schemas.StrangerAnswer(photo=each.photo, similarity=each.similarity)
            for each in result.conflicts.strangers
        ],
        groups=[list(group) for group in result.conflicts.groups],
        dropped_template_ids=list(enrolled.dropped_ids) if enrolled else [],
        threshold=threshold_answer(result.threshold),
        model=model_ref(result.card),
        timings_ms=dict(result.timings_ms),
    )
