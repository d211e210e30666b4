"""What the service answers, a module for each kind of thing."""

from service.schemas.audit import AuditAnswer, AuditEntryAnswer
from service.schemas.base import (
    CREATED,
    FINGERPRINT,
    SUBJECT_ID,
    Answer,
    GalleryName,
    ModelRef,
    Problem,
    ThresholdAnswer,
)
from service.schemas.crops import CropAnswer
from service.schemas.deciding import (
    AcrossCandidateAnswer,
    AcrossFace,
    CalibratedPointAnswer,
    GalleryThresholdAnswer,
    IdentifyAcrossAnswer,
    InGalleryAnswer,
    KeptCalibrationAnswer,
    SearchedGalleryAnswer,
    VerifiedFace,
    VerifyAnswer,
    VerifyThresholdAnswer,
)
from service.schemas.enrolling import (
    CandidateAnswer,
    ConflictAnswer,
    EnrollAnswer,
    EnrolledFace,
    StrangerAnswer,
)
from service.schemas.events import EventAnswer, EventsAnswer
from service.schemas.faces import BoxAnswer, DetectAnswer, FaceAnswer, QualityAnswer
from service.schemas.galleries import GalleriesAnswer, GalleryAnswer, ModelAnswer, ModelsAnswer
from service.schemas.gallery_details import GalleryDetailsAnswer, RulesAnswer
from service.schemas.identifying import CalibrationAnswer, IdentifiedFace, IdentifyAnswer
from service.schemas.keys import KeyAnswer, KeysAnswer, NewKeyAnswer
from service.schemas.looks import LookAlikeAnswer, LookAlikesAnswer, SubjectLookAlikesAnswer
from service.schemas.operation import HealthAnswer, ReadyAnswer
from service.schemas.reviews import ReviewAnswer, ReviewsAnswer
from service.schemas.sessions import Feature, SessionAnswer
from service.schemas.subjects import (
    ErasedAnswer,
    ErasureContent,
    IdentifiedSubject,
    ReceiptAnswer,
    RemovedAnswer,
    SubjectAnswer,
    SubjectsAnswer,
)
from service.schemas.templates import (
    ErasedTemplateAnswer,
    MergeAnswer,
    MoveAnswer,
    MovedTemplateAnswer,
    TemplateAnswer,
    TemplatesAnswer,
)
from service.schemas.transfer import ImportAnswer

__all__ = [
    "CREATED",
    "FINGERPRINT",
    "SUBJECT_ID",
    "AcrossCandidateAnswer",
    "AcrossFace",
    "Answer",
    "AuditAnswer",
    "AuditEntryAnswer",
    "BoxAnswer",
    "CalibratedPointAnswer",
    "CalibrationAnswer",
    "CandidateAnswer",
    "ConflictAnswer",
    "CropAnswer",
    "DetectAnswer",
    "EnrollAnswer",
    "EnrolledFace",
    "ErasedAnswer",
    "ErasedTemplateAnswer",
    "ErasureContent",
    "EventAnswer",
    "EventsAnswer",
    "FaceAnswer",
    "Feature",
    "GalleriesAnswer",
    "GalleryAnswer",
    "GalleryDetailsAnswer",
    "GalleryName",
    "GalleryThresholdAnswer",
    "HealthAnswer",
    "IdentifiedFace",
    "IdentifiedSubject",
    "IdentifyAcrossAnswer",
    "IdentifyAnswer",
    "ImportAnswer",
    "InGalleryAnswer",
    "KeptCalibrationAnswer",
    "KeyAnswer",
    "KeysAnswer",
    "LookAlikeAnswer",
    "LookAlikesAnswer",
    "MergeAnswer",
    "ModelAnswer",
    "ModelRef",
    "ModelsAnswer",
    "MoveAnswer",
    "MovedTemplateAnswer",
    "NewKeyAnswer",
    "Problem",
    "QualityAnswer",
    "ReadyAnswer",
    "ReceiptAnswer",
    "RemovedAnswer",
    "ReviewAnswer",
    "ReviewsAnswer",
    "RulesAnswer",
    "SearchedGalleryAnswer",
    "SessionAnswer",
    "StrangerAnswer",
    "SubjectAnswer",
    "SubjectLookAlikesAnswer",
    "SubjectsAnswer",
    "TemplateAnswer",
    "TemplatesAnswer",
    "ThresholdAnswer",
    "VerifiedFace",
    "VerifyAnswer",
    "VerifyThresholdAnswer",
]
