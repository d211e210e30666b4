"""The one error tree of the project.

FaceGalleryError                     code: stable, machine readable
├── PhotoError                       the bytes are not a photo that is accepted
│   ├── PhotoUnreadable              not JPEG, PNG or WebP, or damaged
│   ├── PhotoTooLarge                more bytes than the limit
│   └── PhotoTooManyPixels           the header announces more pixels than the limit
├── FaceError                        the photo is fine, its faces are not what was asked for
│   ├── NoFace                       no face found
│   ├── SeveralFaces                 several faces where one was expected
│   ├── FaceNotAtBox                 no face at the box that was given
│   └── FaceQualityTooLow            a face that would make a poor template; carries `reasons`
├── ModelError
│   ├── ModelInvalid                 a model directory that is incomplete or was changed
│   ├── ModelMismatch                embeddings of two models were about to be compared
│   └── ModelNotFound                no model directory with this name or fingerprint
├── EmbeddingInvalid                 a vector that is NaN, zero, not unit or of another dimension
├── GalleryError
│   ├── GalleryNotFound
│   ├── GalleryExists
│   ├── GalleryFilling               it is being filled to take another one's place; nobody asks it
│   ├── CalibrationRunning           it is being calibrated; one at a time
│   ├── GalleryReplaced              its name stands for another gallery since a moment ago
│   ├── SubjectNotFound
│   ├── SubjectChanged               it is not as it was when the caller saw it
│   ├── TemplateNotFound
│   ├── CropNotFound                 no crop of the face was kept
│   ├── ReviewNotFound
│   ├── ReviewClaimed                another person has it, or had it first
│   ├── ReviewDecided                it was decided already
│   └── NameInvalid                  a name that is empty, too long or holds forbidden characters
├── StoreError
│   ├── StoreInUse                   another process holds the data folder; carries `url`
│   ├── StoreNewer                   written by a newer version of this program
│   ├── StoreCorrupt                 a checksum does not fit
│   ├── SealKeyMissing               sealed with a key that is not at hand, or not sealed at all
│   ├── SnapshotUnfit                a snapshot that is damaged, or of another state
│   └── LedgerUnfit                  no removal ledger, or not that of this database
├── AccessError
│   ├── KeyMissing                   a request without a key
│   ├── KeyInvalid                   malformed, unknown, expired or revoked
│   ├── KeyNotFound                  no key with the id that is to be managed
│   ├── KeyForbidden                 the key's role or galleries do not allow it
│   ├── TransferOff                  galleries are not given out, or taken in, over HTTP here
│   ├── KeyLimited                   the key has asked too often; carries `retry_after_s`
│   ├── SessionEnded                 signed out, too old, or its key is no longer good
│   ├── CrossOrigin                  a session's cookie on a request of another page
│   └── HttpsRequired                plain HTTP that no trusted proxy passed on
├── ServiceError                     the service does not do this now; carries `retry_after_s`
│   ├── Overloaded                   as many requests wait as may
│   ├── DeadlinePassed               waited too long for its turn; nothing was begun
│   ├── BodyTooSlow                  the body of a request did not come in time
│   ├── IdempotencyKeyInUse          a request with this key is being worked on
│   └── ServiceStopping              shuts down and begins nothing new
├── RequestInvalid                   a value of the caller's that is out of range or ill formed
│   ├── SubjectExists                another subject has the name or external id
│   ├── IdempotencyKeyReused         the key came with another request before
│   └── IdempotencyKeySpent          what was done with the key was erased since
├── CursorExpired                    what comes after this cursor is not kept any more
├── FeatureOff                       the service's settings leave this off
├── SettingsInvalid                  a setting that is missing, a placeholder or out of range
├── ServerUnreachable                a client found no service at the address
└── TrainingError
    ├── DataInvalid                  a training or evaluation set that cannot be used
    ├── LossNotFinite                stopped before the optimizer step
    ├── CheckpointInvalid            of another architecture, or damaged
    └── ExportDisagrees              ONNX, OpenVINO and torch give different embeddings

Messages name what was expected and what came, and say what to do. They never hold a photo, an
embedding, a key or a person's name.
"""

from collections.abc import Sequence


class FaceGalleryError(Exception):
    """Everything that this project raises for a caller's mistake or a broken input."""

    code = "error"


class PhotoError(FaceGalleryError):
    """The bytes are not a photo that is accepted."""

    code = "photo_error"


class PhotoUnreadable(PhotoError):
    """Not JPEG, PNG or WebP, or damaged."""

    code = "photo_unreadable"


class PhotoTooLarge(PhotoError):
    """More bytes than the limit."""

    code = "photo_too_large"


class PhotoTooManyPixels(PhotoError):
    """The header announces more pixels than the limit."""

    code = "photo_too_many_pixels"


class FaceError(FaceGalleryError):
    """The photo is fine, its faces are not what was asked for."""

    code = "face_error"


class NoFace(FaceError):
    """No face was found in the photo."""

    code = "no_face"


class SeveralFaces(FaceError):
    """Several faces where exactly one was expected."""

    code = "several_faces"


class FaceNotAtBox(FaceError):
    """No face was found at the box that was given."""

    code = "face_not_at_box"


class FaceQualityTooLow(FaceError):
    """A face that would make a poor template.

    Attributes:
        reasons: machine-readable reasons, such as ``too_small``; never empty.
    """

    code = "face_quality_too_low"

    def __init__(self, message: str, *, reasons: Sequence[str]) -> None:
        super().__init__(message)
        self.reasons = tuple(reasons)


class ModelError(FaceGalleryError):
    """Something is wrong with a model directory or its use."""

    code = "model_error"


class ModelInvalid(ModelError):
    """A model directory that is incomplete or was changed."""

    code = "model_invalid"


class ModelMismatch(ModelError):
    """Embeddings of two different models were about to be compared."""

    code = "model_mismatch"


class ModelNotFound(ModelError):
    """No model directory with this name or fingerprint."""

    code = "model_not_found"


class EmbeddingInvalid(FaceGalleryError):
    """A vector that is NaN, zero, not of unit length or of another dimension."""

    code = "embedding_invalid"


class GalleryError(FaceGalleryError):
    """Something is wrong with a gallery, a subject or a name."""

    code = "gallery_error"


class GalleryNotFound(GalleryError):
    """No gallery with this name."""

    code = "gallery_not_found"


class GalleryExists(GalleryError):
    """A gallery with this name exists already."""

    code = "gallery_exists"


class GalleryReplaced(GalleryError):
    """The gallery's name stands for another one since a moment ago; the same call works again."""

    code = "gallery_replaced"


class GalleryFilling(GalleryError):
    """The gallery is being filled to take another one's place, and is not to be used before."""

    code = "gallery_filling"


class CalibrationRunning(GalleryError):
    """The gallery is being calibrated; a second time beside it would measure the same."""

    code = "calibration_running"


class SubjectNotFound(GalleryError):
    """No subject with this id in the gallery.

    Attributes:
        merged_into: id of the subject that it was merged into; None where it was not.
    """

    code = "subject_not_found"

    def __init__(self, message: str, *, merged_into: str | None = None) -> None:
        super().__init__(message)
        self.merged_into = merged_into


class SubjectChanged(GalleryError):
    """The subject is not as it was when the caller saw it."""

    code = "subject_changed"


class TemplateNotFound(GalleryError):
    """No template with this id in the gallery."""

    code = "template_not_found"


class CropNotFound(GalleryError):
    """No crop of this face was kept."""

    code = "crop_not_found"


class ReviewNotFound(GalleryError):
    """No review with this id, or one that has expired."""

    code = "review_not_found"


class ReviewClaimed(GalleryError):
    """Another person has claimed the review."""

    code = "review_claimed"


class ReviewDecided(GalleryError):
    """The review was decided already."""

    code = "review_decided"


class NameInvalid(GalleryError):
    """A name that is empty, too long or holds forbidden characters."""

    code = "name_invalid"


class StoreError(FaceGalleryError):
    """Something is wrong with the data folder or database."""

    code = "store_error"


class StoreInUse(StoreError):
    """Another process holds the data folder.

    Attributes:
        url: where that process serves HTTP, or None when it does not.
    """

    code = "store_in_use"

    def __init__(self, message: str, *, url: str | None = None) -> None:
        super().__init__(message)
        self.url = url


class StoreNewer(StoreError):
    """Written by a newer version of this program."""

    code = "store_newer"


class StoreCorrupt(StoreError):
    """A stored template does not fit its checksum."""

    code = "store_corrupt"


class SealKeyMissing(StoreError):
    """Templates are sealed with a key that is not at hand, or lie in the clear."""

    code = "seal_key_missing"


class SnapshotUnfit(StoreError):
    """A snapshot is damaged or of another state; it is made anew from the database."""

    code = "snapshot_unfit"


class LedgerUnfit(StoreError):
    """The removal ledger is missing, damaged, or of another database."""

    code = "ledger_unfit"


class AccessError(FaceGalleryError):
    """The caller may not do this."""

    code = "access_error"


class KeyMissing(AccessError):
    """A request without a key."""

    code = "key_missing"


class KeyInvalid(AccessError):
    """A key that is malformed, unknown, expired or revoked."""

    code = "key_invalid"


class KeyNotFound(AccessError):
    """No key with the id that is to be shown or revoked."""

    code = "key_not_found"


class KeyForbidden(AccessError):
    """The key's role or galleries do not allow this."""

    code = "key_forbidden"


class TransferOff(AccessError):
    """The service does not give galleries out, or take them in."""

    code = "transfer_off"


class KeyLimited(AccessError):
    """The key has asked more often than it may.

    Attributes:
        retry_after_s: when it may ask again, in seconds.
        key_id: public part of the key, for the log; None where it is not known.
    """

    code = "key_limited"

    def __init__(
        self, message: str, *, retry_after_s: float = 1.0, key_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.key_id = key_id


class SessionEnded(AccessError):
    """A session that was signed out, is too old, or whose key was revoked or expired."""

    code = "session_ended"


class CrossOrigin(AccessError):
    """A request with a session's cookie that does not come from the service's own page."""

    code = "cross_origin"


class HttpsRequired(AccessError):
    """A request over plain HTTP that no trusted proxy passed on."""

    code = "https_required"


class ServiceError(FaceGalleryError):
    """The service does not do this now; the same request may be sent again.

    Attributes:
        retry_after_s: whole seconds after which it is worth it.
    """

    code = "service_error"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(ServiceError):
    """As many requests wait as may."""

    code = "overloaded"


class DeadlinePassed(ServiceError):
    """A request waited too long for its turn; nothing of its work was begun."""

    code = "deadline_passed"


class BodyTooSlow(ServiceError):
    """The body of a request did not come in time."""

    code = "body_too_slow"


class IdempotencyKeyInUse(ServiceError):
    """A request with the same idempotency key is being worked on; its answer comes later."""

    code = "idempotency_key_in_use"


class ServiceStopping(ServiceError):
    """The service shuts down and begins nothing new."""

    code = "stopping"


class RequestInvalid(FaceGalleryError):
    """A value of the caller's that is out of range or ill formed."""

    code = "request_invalid"


class SubjectExists(RequestInvalid):
    """Another subject of the gallery has the name or external id."""

    code = "subject_exists"


class CursorExpired(FaceGalleryError):
    """What comes after this cursor is not all kept any more."""

    code = "cursor_expired"


class FeatureOff(FaceGalleryError):
    """The service's settings leave this off."""

    code = "feature_off"


class IdempotencyKeyReused(RequestInvalid):
    """The idempotency key came with another request before."""

    code = "idempotency_key_reused"


class IdempotencyKeySpent(RequestInvalid):
    """What was done with the idempotency key was erased since; it does nothing any more."""

    code = "idempotency_key_spent"


class SettingsInvalid(FaceGalleryError):
    """A setting that is missing, a placeholder or out of range."""

    code = "settings_invalid"


class ServerUnreachable(FaceGalleryError):
    """A client found no service at the address."""

    code = "server_unreachable"


class TrainingError(FaceGalleryError):
    """Training, evaluation or export cannot go on."""

    code = "training_error"


class DataInvalid(TrainingError):
    """A training or evaluation set that cannot be used."""

    code = "data_invalid"


class LossNotFinite(TrainingError):
    """The loss was NaN or infinite; raised before the optimizer step."""

    code = "loss_not_finite"


class CheckpointInvalid(TrainingError):
    """A checkpoint of another architecture, or a damaged one."""

    code = "checkpoint_invalid"


class ExportDisagrees(TrainingError):
    """ONNX, OpenVINO and torch give different embeddings for the same crops."""

    code = "export_disagrees"
