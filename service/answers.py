"""From what the packages below return to what HTTP and the command line show."""

from embedding.faces import Face, PhotoFaces
from embedding.model import ModelCard, Threshold
from index.calibration.in_force import ThresholdsInForce
from index.decision import Candidate, Identification
from index.galleries import Galleries
from index.gallery import Gallery
from index.receipts import Erasure, Receipt
from index.records import Page, Subject
from index.store.stored_gallery import StoredGallery
from index.transfer import Transferred
from service import schemas
from service.embedders import Embedders, InstalledModel
from service.keys import KeyInfo
from service.results import Enrollment, Recognition

_MAX_IDS = 1000
"""Of templates that an import left out."""


def face_fields(face: Face) -> dict[str, object]:
    """The fields that every kind of face answer has."""
    quality = face.quality
    return {
        "box": schemas.BoxAnswer(
            left=face.box.left, top=face.box.top, right=face.box.right, bottom=face.box.bottom
        ),
        "landmarks": [(float(x), float(y)) for x, y in face.landmarks],
        "confidence": face.confidence,
        "quality": schemas.QualityAnswer(
            figure=quality.figure,
            size_px=quality.size_px,
            sharpness=quality.sharpness,
            brightness=quality.brightness,
            yaw_deg=quality.yaw_deg,
            pitch_deg=quality.pitch_deg,
            roll_deg=quality.roll_deg,
            reasons=list(quality.reasons),
        ),
        "num_quarter_turns": face.num_quarter_turns,
    }


def threshold_answer(threshold: Threshold) -> schemas.ThresholdAnswer:
    """A threshold and what it stands for."""
    return schemas.ThresholdAnswer(
        value=threshold.value,
        low=threshold.low,
        high=threshold.high,
        fpir=threshold.fpir,
        num_subjects=threshold.num_subjects,
        extrapolated=threshold.extrapolated,
    )


def calibration_answer(thresholds: ThresholdsInForce) -> schemas.CalibrationAnswer | None:
    """The gallery's calibration; None where it was never calibrated."""
    made = thresholds.calibration
    if made is None:
        return None
    return schemas.CalibrationAnswer(
        in_force=thresholds.source == "calibration",
        made_at=made.made_at,
        num_subjects=made.num_subjects,
        num_probes=made.num_probes,
        normalised=thresholds.normalisation is not None,
        stale=thresholds.stale,
        reasons=list(thresholds.reasons),
    )


def model_ref(card: ModelCard) -> schemas.ModelRef:
    """Which model."""
    return schemas.ModelRef(name=card.name, fingerprint=card.fingerprint)


def subject_answer(subject: Subject) -> schemas.SubjectAnswer:
    """A subject, with all that is kept of it."""
    details = subject.details
    return schemas.SubjectAnswer(
        id=subject.id,
        name=subject.name,
        external_id=subject.external_id,
        num_templates=subject.num_templates,
        created_at=subject.created_at,
        metadata=dict(details.metadata),
        purpose=details.purpose,
        consent_reference=details.consent,
        expires_at=details.expires_at,
        version=subject.version,
    )


def identified_subject(subject: Subject) -> schemas.IdentifiedSubject:
    """A subject as an identification names it, whoever asks."""
    return schemas.IdentifiedSubject(
        id=subject.id,
        name=subject.name,
        external_id=subject.external_id,
        num_templates=subject.num_templates,
        created_at=subject.created_at,
    )


def subjects_answer(page: Page) -> schemas.SubjectsAnswer:
    """A page of subjects."""
    return schemas.SubjectsAnswer(
        subjects=[subject_answer(subject) for subject in page.subjects],
        next_cursor=page.next_cursor,
    )


def candidate_answer(candidate: Candidate) -> schemas.CandidateAnswer:
    """A candidate."""
    return schemas.CandidateAnswer(
        subject_id=candidate.subject_id,
        name=candidate.subject.name,
        similarity=candidate.similarity,
    )


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


def detect_answer(found: PhotoFaces) -> schemas.DetectAnswer:
    """The faces of a photo."""
    return schemas.DetectAnswer(
        width=found.width,
        height=found.height,
        faces=[schemas.FaceAnswer.model_validate(face_fields(face)) for face in found.faces],
        timings_ms=dict(found.timings_ms),
    )


def receipt_answer(receipt: Receipt) -> schemas.ReceiptAnswer:
    """A receipt."""
    return schemas.ReceiptAnswer(
        content=schemas.ErasureContent.model_validate(dict(receipt.content)),
        signature=receipt.signature,
        public_key=receipt.public_key,
    )


def erased_answer(erasure: Erasure, galleries: Galleries) -> schemas.ErasedAnswer:
    """A removal, with its receipt."""
    return schemas.ErasedAnswer(
        num_templates=erasure.num_templates, receipt=receipt_answer(galleries.receipt(erasure))
    )


def new_gallery_answer(made: StoredGallery, embedders: Embedders) -> schemas.GalleryAnswer:
    """A gallery as it is when it is made."""
    names = {model.card.fingerprint: model.card.name for model in embedders.installed()}
    return schemas.GalleryAnswer(
        id=made.id,
        name=made.name,
        num_subjects=0,
        num_templates=0,
        model=names.get(made.fingerprint),
        fingerprint=made.fingerprint,
        created_at=made.created_at,
        space=made.space_id is not None,
    )


def gallery_answer(gallery: Gallery, embedders: Embedders) -> schemas.GalleryAnswer:
    """A gallery, with its model's name where that is installed."""
    names = {model.card.fingerprint: model.card.name for model in embedders.installed()}
    return schemas.GalleryAnswer(
        id=gallery.id,
        name=gallery.name,
        num_subjects=gallery.num_subjects,
        num_templates=gallery.num_templates,
        model=names.get(gallery.fingerprint),
        fingerprint=gallery.fingerprint,
        created_at=gallery.created_at,
        space=gallery.space_id is not None,
    )


def key_answer(key: KeyInfo) -> schemas.KeyAnswer:
    """A key, without its secret."""
    return schemas.KeyAnswer(
        key_id=key.key_id,
        role=key.role,
        label=key.label,
        galleries=None if key.galleries is None else list(key.galleries),
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        max_per_minute=key.allowance.per_minute,
        max_per_day=key.allowance.per_day,
    )


def new_key_answer(key: KeyInfo, secret_key: str) -> schemas.NewKeyAnswer:
    """A new key, this once with its secret."""
    return schemas.NewKeyAnswer(key=secret_key, **key_answer(key).model_dump())


def models_answer(models: tuple[InstalledModel, ...]) -> schemas.ModelsAnswer:
    """The installed models."""
    return schemas.ModelsAnswer(
        models=[
            schemas.ModelAnswer(
                name=model.card.name,
                fingerprint=model.card.fingerprint,
                default=model.default,
                licence=model.card.licence,
                accuracy=dict(model.card.accuracy),
            )
            for model in models
        ]
    )


def import_answer(done: Transferred, *, has_ledger: bool) -> schemas.ImportAnswer:
    """What an import did."""
    return schemas.ImportAnswer(
        num_templates=done.imported.num_templates,
        num_subjects=done.imported.num_subjects,
        num_present=done.imported.num_present,
        num_look_alikes=done.imported.num_look_alikes,
        num_left_out=len(done.left_out),
        left_out=list(done.left_out[:_MAX_IDS]),
        has_ledger=has_ledger,
    )
