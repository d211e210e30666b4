"""Whom photos show, as a caller says it, and which of them an error is about."""

from dataclasses import dataclass

from embedding.detect import Box
from embedding.errors import (
    FaceGalleryError,
    FaceQualityTooLow,
    RequestInvalid,
    SubjectExists,
)
from index.gallery import Gallery
from index.records import Subject

DEFAULT_GALLERY = "default"
"""Made with a new data folder, and meant where no gallery is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectChoice:
    """Whom photos show: an existing subject by id, or one found or created by name or external id.

    Attributes:
        subject_id: opaque id; excludes the other two.
        name: found or created.
        external_id: the caller's own id; found or created.
    """

    subject_id: str | None = None
    name: str | None = None
    external_id: str | None = None


def find_subject(gallery: Gallery, subject: SubjectChoice) -> Subject | None:
    """The subject when it exists; also checks names before a photo is worked on.

    Raises:
        SubjectNotFound: it was given by an id that does not exist.
        NameInvalid: the name or external id is not accepted.
        SubjectExists: the name and the external id are not of one subject.
    """
    if subject.subject_id is not None:
        if subject.name is not None or subject.external_id is not None:
            raise RequestInvalid("give the subject by its id, or by name and external id")
        return gallery.subject(subject.subject_id)
    found = [
        gallery.find_subject(**{label: value})
        for label, value in (("external_id", subject.external_id), ("name", subject.name))
        if value is not None
    ]
    if len({each and each.id for each in found}) > 1:
        raise SubjectExists(
            "the name and the external id do not belong to the same subject; give one of them, "
            "or the subject's id"
        )
    return found[0] if found else None


def at_photo(error: FaceGalleryError, position: int, num_photos: int) -> FaceGalleryError:
    """The same error, saying which of several photos it is about."""
    if num_photos == 1:
        return error
    message = f"photo {position + 1} of {num_photos}: {error}"
    if isinstance(error, FaceQualityTooLow):
        return FaceQualityTooLow(message, reasons=error.reasons)
    return type(error)(message)


def box_of(edges: tuple[float, float, float, float]) -> Box:
    """The box with these edges: left, top, right, bottom in pixels of the upright photo."""
    return Box(left=edges[0], top=edges[1], right=edges[2], bottom=edges[3])
