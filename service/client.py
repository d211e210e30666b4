"""One way to the service for the command line, so that every command is written once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import BinaryIO, Protocol

from embedding.choosing import FaceChoice
from service import schemas
from service.auth import Role
from service.identifying import FacesChoice
from service.limits import Allowance
from service.people_calls import Person


class Client(Protocol):
    """What the command line asks for; each method raises the project's own errors."""

    def enroll(
        self,
        photos: Sequence[bytes],
        *,
        gallery: str,
        subject: str,
        face: FaceChoice = "only",
        force: bool = False,
        dry_run: bool = False,
        person: Person | None = None,
    ) -> schemas.EnrollAnswer:
        """Saves one template from each photo for the subject with this name."""
        ...

    def identify(
        self,
        photo: bytes,
        *,
        gallery: str,
        turns: bool = False,
        num_candidates: int = 5,
        face: FacesChoice = "all",
        fpir: float | None = None,
        threshold: float | None = None,
    ) -> schemas.IdentifyAnswer:
        """Who each face of a photo is."""
        ...

    def identify_across(
        self,
        photo: bytes,
        *,
        galleries: Sequence[str],
        turns: bool = False,
        num_candidates: int = 5,
        face: FacesChoice = "all",
        fpir: float | None = None,
        threshold: float | None = None,
    ) -> schemas.IdentifyAcrossAnswer:
        """Who each face of a photo is, asked of several galleries."""
        ...

    def verify(
        self,
        photos: Sequence[bytes],
        *,
        gallery: str | None = None,
        subject: str | None = None,
        external_id: str | None = None,
        subject_id: str | None = None,
        face: FaceChoice = "only",
        far: float | None = None,
    ) -> schemas.VerifyAnswer:
        """Whether two photos, or a photo and a subject, are one person."""
        ...

    def calibrate(
        self, gallery: str, *, fpirs: Sequence[float] = (), max_probes: int | None = None
    ) -> schemas.GalleryThresholdAnswer:
        """Measures a gallery's thresholds on itself, and keeps them."""
        ...

    def threshold(
        self, gallery: str, *, fpir: float | None = None
    ) -> schemas.GalleryThresholdAnswer:
        """The threshold for a wanted FPIR, and what it rests on."""
        ...

    def galleries(self) -> schemas.GalleriesAnswer:
        """The galleries."""
        ...

    def create_gallery(self, name: str, *, model: str | None = None) -> schemas.GalleryAnswer:
        """A new, empty gallery."""
        ...

    def delete_gallery(self, name: str) -> schemas.ErasedAnswer:
        """Deletes a gallery with all its subjects."""
        ...

    def subjects(
        self,
        gallery: str,
        *,
        limit: int = 100,
        cursor: str | None = None,
        name: str | None = None,
        external_id: str | None = None,
    ) -> schemas.SubjectsAnswer:
        """A page of subjects, or the one who is called so."""
        ...

    def subject(self, gallery: str, subject_id: str) -> schemas.SubjectAnswer:
        """A subject."""
        ...

    def change_subject(
        self,
        gallery: str,
        subject_id: str,
        patch: Mapping[str, object],
        *,
        version: str | None = None,
    ) -> schemas.SubjectAnswer:
        """Changes a subject by a merge patch."""
        ...

    def remove_subject(self, gallery: str, subject_id: str) -> schemas.ErasedAnswer:
        """Removes a subject with its templates."""
        ...

    def export_gallery(self, gallery: str, file: BinaryIO) -> None:
        """Writes a gallery's file, in clear text; after an error it is none."""
        ...

    def import_gallery(self, gallery: str, content: bytes) -> schemas.ImportAnswer:
        """Writes a gallery's file into a gallery, all or nothing."""
        ...

    def keys(self) -> schemas.KeysAnswer:
        """All keys, without their secrets."""
        ...

    def create_key(
        self,
        *,
        role: Role,
        label: str = "",
        galleries: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        allowance: Allowance | None = None,
    ) -> schemas.NewKeyAnswer:
        """A new key."""
        ...

    def revoke_key(self, key_id: str) -> schemas.KeyAnswer:
        """Revokes a key."""
        ...

    def models(self) -> schemas.ModelsAnswer:
        """The installed models."""
        ...
