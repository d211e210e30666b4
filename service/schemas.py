"""What the service answers."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from index.audit.entries import AuditEntry
from index.decision import Reason
from service.auth import Role

SUBJECT_ID = "3f0c8a52-d1b9-4e5c-8a7b-6d5e4f3a2b1c"
FINGERPRINT = "9b1d5f0c" * 8
CREATED = "2026-01-31T12:00:00Z"

GalleryName = Annotated[str, Field(description="Name of the gallery.", examples=["default"])]


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: Annotated[str, Field(examples=["about:blank"])]
    title: Annotated[str, Field(examples=["Unprocessable Content"])]
    status: Annotated[int, Field(examples=[422])]
    detail: Annotated[str, Field(examples=["2 faces were found where one was expected"])]
    code: Annotated[str, Field(description="Stable.", examples=["several_faces"])]
    reasons: Annotated[list[str] | None, Field(description="With `face_quality_too_low`.")] = None
    errors: Annotated[
        list[dict[str, str]] | None, Field(description="With `request_invalid`: where and what.")
    ] = None


class BoxAnswer(Answer):
    """Pixels of the upright photo, origin at the top left."""

    left: Annotated[float, Field(examples=[212.4])]
    top: Annotated[float, Field(examples=[88.0])]
    right: Annotated[float, Field(examples=[331.9])]
    bottom: Annotated[float, Field(examples=[240.7])]


class QualityAnswer(Answer):
    """How good a face is for recognition."""

    figure: Annotated[float, Field(description="In [0, 1].", examples=[0.83])]
    size_px: Annotated[float, Field(description="Shorter side of the box.", examples=[119.5])]
    sharpness: Annotated[float, Field(examples=[0.4])]
    brightness: Annotated[float, Field(description="Mean luma, 0 to 255.", examples=[127.0])]
    yaw_deg: Annotated[float, Field(examples=[-4.0])]
    pitch_deg: Annotated[float, Field(examples=[2.0])]
    roll_deg: Annotated[float, Field(examples=[1.0])]
    reasons: Annotated[list[str], Field(description="Why it is poor; empty when it is good.")]


class FaceAnswer(Answer):
    """One face of a photo."""

    box: BoxAnswer
    landmarks: Annotated[
        list[tuple[float, float]],
        Field(description="Eyes, nose, corners of the mouth; left in the image first."),
    ]
    confidence: Annotated[float, Field(description="Of the detector.", examples=[0.999])]
    quality: QualityAnswer
    num_quarter_turns: Annotated[
        int, Field(description="Counter-clockwise, after which it was found.", examples=[0])
    ]


class ModelRef(Answer):
    """The model that made the embeddings."""

    name: Annotated[str, Field(examples=["ir18-slim"])]
    fingerprint: Annotated[str, Field(examples=[FINGERPRINT])]


class ThresholdAnswer(Answer):
    """A similarity, and what it stands for."""

    value: Annotated[float, Field(examples=[0.41])]
    low: Annotated[float, Field(description="Of the 95 % interval.", examples=[0.39])]
    high: Annotated[float, Field(description="Of the 95 % interval.", examples=[0.43])]
    fpir: Annotated[
        float, Field(description="Share of strangers who would pass it.", examples=[0.01])
    ]
    num_subjects: Annotated[int, Field(description="Gallery size N.", examples=[6])]
    extrapolated: Annotated[
        bool,
        Field(
            description="Not measured at this size or for this fusion rule, or with fewer than "
            "30 errors behind it."
        ),
    ]


class CalibrationAnswer(Answer):
    """Thresholds that were measured on this gallery."""

    in_force: Annotated[
        bool, Field(description="They decide; otherwise the model card's do, and `reasons` why.")
    ]
    made_at: Annotated[datetime, Field(examples=[CREATED])]
    num_subjects: Annotated[int, Field(description="Gallery size N then.", examples=[6])]
    num_probes: Annotated[int, Field(description="Searches of strangers.", examples=[3000])]
    normalised: Annotated[
        bool,
        Field(
            description="Each face has a threshold of its own; those of `match` and `review` "
            "hold for a face that is as close to a cohort as most are."
        ),
    ]
    stale: Annotated[bool, Field(description="The gallery should be calibrated again.")]
    reasons: Annotated[list[str], Field(description="Why it is stale or not in force.")]


class SubjectAnswer(Answer):
    """A person in a gallery."""

    id: Annotated[str, Field(examples=[SUBJECT_ID])]
    name: Annotated[str | None, Field(examples=["Ada Lovelace"])]
    external_id: Annotated[str | None, Field(examples=[None])]
    num_templates: Annotated[int, Field(examples=[3])]
    created_at: Annotated[datetime, Field(examples=[CREATED])]


class CandidateAnswer(Answer):
    """A subject that a face looks like."""

    subject_id: Annotated[str, Field(examples=[SUBJECT_ID])]
    name: Annotated[str | None, Field(examples=["Ada Lovelace"])]
    similarity: Annotated[float, Field(examples=[0.72])]


class ConflictAnswer(CandidateAnswer):
    """Another subject who looks like the one who is enrolled."""

    photo: Annotated[int, Field(description="Position of the photo, from 0.", examples=[0])]


class StrangerAnswer(Answer):
    """A photo that does not seem to show the subject as enrolled so far."""

    photo: Annotated[int, Field(description="Position of the photo, from 0.", examples=[0])]
    similarity: Annotated[float, Field(description="To the subject.", examples=[0.21])]


class EnrolledFace(FaceAnswer):
    """The face that was taken from a photo."""

    photo: Annotated[int, Field(description="Position of the photo, from 0.", examples=[0])]
    template_id: Annotated[
        str | None, Field(description="None on a dry run.", examples=[SUBJECT_ID])
    ]


class EnrollAnswer(Answer):
    """What an enroll did; on a dry run, what it would do."""

    gallery: GalleryName
    subject_id: Annotated[
        str | None, Field(description="None on a dry run.", examples=[SUBJECT_ID])
    ]
    created: Annotated[bool, Field(description="The subject is new.")]
    dry_run: bool
    faces: list[EnrolledFace]
    conflicts: Annotated[
        list[ConflictAnswer], Field(description="Other subjects at or above the threshold.")
    ]
    not_the_subject: Annotated[
        list[StrangerAnswer],
        Field(description="Photos that do not look like the subject's templates so far."),
    ]
    groups: Annotated[
        list[list[int]],
        Field(
            description="Positions of the photos, those together that look like one person; "
            "several groups: the photos may show several people.",
            examples=[[[0]]],
        ),
    ]
    dropped_template_ids: Annotated[
        list[str],
        Field(description="Removed, because the gallery keeps no more of one subject."),
    ]
    threshold: ThresholdAnswer
    model: ModelRef
    timings_ms: Annotated[dict[str, float], Field(examples=[{"decode": 4.1, "embed": 11.9}])]


class IdentifiedFace(FaceAnswer):
    """A face, and who it is."""

    decision: Annotated[Literal["match", "review", "unknown"], Field(examples=["match"])]
    subject: Annotated[
        SubjectAnswer | None,
        Field(
            description="Of `match` the person, of `review` the one to compare with, which "
            "identifier keys do not see."
        ),
    ]
    similarity: Annotated[
        float | None,
        Field(description="Of the best candidate; not for identifier keys.", examples=[0.72]),
    ]
    reasons: Annotated[
        list[Reason], Field(description="Why it is a `review`; not for identifier keys.")
    ]
    match_threshold: Annotated[
        float | None,
        Field(
            description="Similarity from which on this face is a match; not for identifier keys. "
            "That of `match`, unless the calibration is normalised.",
            examples=[0.41],
        ),
    ]
    candidates: Annotated[
        list[CandidateAnswer], Field(description="Best first; not for identifier keys.")
    ]


class IdentifyAnswer(Answer):
    """Who is in a photo."""

    gallery: GalleryName
    num_subjects: Annotated[int, Field(description="Gallery size N.", examples=[6])]
    model: ModelRef
    match: Annotated[ThresholdAnswer, Field(description="From here on a face is a match.")]
    review: Annotated[ThresholdAnswer, Field(description="From here on a person should look.")]
    calibration: Annotated[
        CalibrationAnswer | None,
        Field(
            description="Of the gallery; null where it was never calibrated, so that the model "
            "card's thresholds decide."
        ),
    ]
    width: Annotated[int, Field(description="Of the upright photo.", examples=[640])]
    height: Annotated[int, Field(description="Of the upright photo.", examples=[480])]
    faces: Annotated[list[IdentifiedFace], Field(description="Largest first.")]
    timings_ms: Annotated[dict[str, float], Field(examples=[{"decode": 4.1, "search": 0.3}])]


class DetectAnswer(Answer):
    """The faces of a photo."""

    width: Annotated[int, Field(description="Of the upright photo.", examples=[640])]
    height: Annotated[int, Field(description="Of the upright photo.", examples=[480])]
    faces: Annotated[list[FaceAnswer], Field(description="Largest first.")]
    timings_ms: Annotated[dict[str, float], Field(examples=[{"decode": 4.1, "detect": 20.3}])]


class GalleryAnswer(Answer):
    """A gallery."""

    name: GalleryName
    num_subjects: Annotated[int, Field(examples=[6])]
    num_templates: Annotated[int, Field(examples=[18])]
    model: Annotated[str | None, Field(description="None when it is not installed.")]
    fingerprint: Annotated[str, Field(examples=[FINGERPRINT])]
    created_at: Annotated[datetime, Field(examples=[CREATED])]


class GalleriesAnswer(Answer):
    """The galleries that the key reaches."""

    galleries: list[GalleryAnswer]


class RemovedAnswer(Answer):
    """What a removal took away; none of it is ever matched again."""

    num_templates: Annotated[int, Field(examples=[3])]


class ErasureContent(Answer):
    """What was erased, and how far it is; this is what is signed."""

    gallery_id: Annotated[str, Field(examples=[SUBJECT_ID])]
    subject_id: Annotated[str, Field(examples=[SUBJECT_ID])]
    num_templates: Annotated[int, Field(examples=[3])]
    removed_at: Annotated[str, Field(description="Never matched since then.", examples=[CREATED])]
    ledger_entry: Annotated[
        int | None, Field(description="Number in the removal ledger.", examples=[12])
    ]
    final: Annotated[
        bool, Field(description="The bytes are out of database, its log and snapshot, too.")
    ]
    database_id: Annotated[str, Field(examples=[SUBJECT_ID])]
    purge_due_at: Annotated[
        str,
        Field(
            description="From then on it is final, unless a backup, an open transaction or a "
            "table too large to write anew holds it up.",
            examples=[CREATED],
        ),
    ]
    issued_at: Annotated[str, Field(examples=[CREATED])]


class ReceiptAnswer(Answer):
    """A signed erasure receipt (Ed25519)."""

    content: ErasureContent
    signature: Annotated[str, Field(description="128 hexadecimal digits.")]
    public_key: Annotated[str, Field(description="64 hexadecimal digits.")]


class ErasedAnswer(RemovedAnswer):
    """What the removal of a person took away, with its receipt."""

    receipt: ReceiptAnswer


class SubjectsAnswer(Answer):
    """A page of subjects, in the order of their enrollment."""

    subjects: list[SubjectAnswer]
    next_cursor: Annotated[
        str | None, Field(description="For the next page; None on the last.", examples=[None])
    ]


class KeyAnswer(Answer):
    """A key, without its secret."""

    key_id: Annotated[str, Field(examples=["0a1b2c3d4e5f"])]
    role: Role
    label: Annotated[str, Field(examples=["door camera"])]
    galleries: Annotated[list[str] | None, Field(examples=[["front-door"]])]
    created_at: Annotated[datetime, Field(examples=[CREATED])]
    revoked_at: Annotated[datetime | None, Field(examples=[None])]
    expires_at: Annotated[datetime | None, Field(examples=[None])]
    last_used_at: Annotated[
        datetime | None, Field(description="Written once an hour at most.", examples=[CREATED])
    ]
    max_per_minute: Annotated[int | None, Field(description="Requests.", examples=[None])]
    max_per_day: Annotated[int | None, Field(description="Requests.", examples=[None])]


class NewKeyAnswer(KeyAnswer):
    """A new key; this is the only time that it is shown."""

    key: Annotated[str, Field(examples=["fg_0a1b2c3d4e5f_" + "x" * 43])]


class KeysAnswer(Answer):
    """All keys, revoked ones too."""

    keys: list[KeyAnswer]


class AuditEntryAnswer(Answer):
    """Something that was done, or refused."""

    number: Annotated[int, Field(description="From 1 on, without a gap.", examples=[17])]
    at: Annotated[datetime, Field(examples=[CREATED])]
    actor: Annotated[
        str,
        Field(
            description="Id of the key; `local` for the command line and the program itself.",
            examples=["0a1b2c3d4e5f"],
        ),
    ]
    action: Annotated[str, Field(examples=["subject.enroll"])]
    outcome: Annotated[
        str, Field(description="`done`, or the code of an error.", examples=["done"])
    ]
    gallery_id: Annotated[str | None, Field(examples=[SUBJECT_ID])]
    subjects: Annotated[
        list[str],
        Field(
            description="What stands for the people concerned; once they are removed nobody can "
            "tell whom.",
            examples=[["5f0c8a52d1b94e5c8a7b6d5e"]],
        ),
    ]
    facts: Annotated[dict[str, Any], Field(examples=[{"num_templates": 3}])]

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """An entry as it is shown."""
        return cls(
            number=entry.number,
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            outcome=entry.outcome,
            gallery_id=entry.gallery_id,
            subjects=list(entry.subjects),
            facts=dict(entry.facts),
        )


class AuditAnswer(Answer):
    """A page of the audit log, the oldest entry first."""

    entries: list[AuditEntryAnswer]
    next_cursor: Annotated[
        str | None, Field(description="For the next page; None on the last.", examples=[None])
    ]


class ModelAnswer(ModelRef):
    """An installed model."""

    default: Annotated[bool, Field(description="New galleries get this one.")]
    licence: Annotated[str, Field(examples=["research only"])]
    accuracy: Annotated[dict[str, Any], Field(description="Measured figures of its card.")]


class ModelsAnswer(Answer):
    """The installed models, the default one first."""

    models: list[ModelAnswer]


class HealthAnswer(Answer):
    """How the service is."""

    status: Annotated[Literal["ok"], Field(examples=["ok"])] = "ok"


class ReadyAnswer(HealthAnswer):
    """That photos can be answered, and how current the answers are."""

    staleness_s: Annotated[
        float,
        Field(
            description="Seconds since this service knew all that others on the same database "
            "had enrolled; 0 where it is alone. Removals are looked up for every answer.",
            examples=[0.0],
        ),
    ]
    upkeep_failing_s: Annotated[
        float,
        Field(
            description="Seconds for which purging, snapshots or sealing anew have failed at "
            "every try; 0 while they work. Answers go on; the log says what is wrong.",
            examples=[0.0],
        ),
    ]
