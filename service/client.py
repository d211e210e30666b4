"""One way to the service for the command line, so that every command is written once."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO, Protocol

from embedding.choosing import FaceChoice
from index.events import ReviewState, Verdict
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

    def create_gallery(
        self, name: str, *, model: str | None = None, space: bool = False
    ) -> schemas.GalleryAnswer:
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

    def gallery(self, name: str) -> schemas.GalleryDetailsAnswer:
        """A gallery with its rules, thresholds and calibration."""
        ...

    def change_gallery(
        self,
        name: str,
        *,
        new_name: str | None = None,
        fusion: str | None = None,
        max_templates: int | None = None,
        smallest_lead: float | None = None,
    ) -> schemas.GalleryDetailsAnswer:
        """Renames a gallery, or says how it decides; 0 templates for any number."""
        ...

    def templates(
        self, gallery: str, subject_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> schemas.TemplatesAnswer:
        """A page of a subject's templates."""
        ...

    def remove_template(self, gallery: str, template_id: str) -> schemas.ErasedTemplateAnswer:
        """Removes one template; its subject stays."""
        ...

    def move_templates(
        self,
        gallery: str,
        subject_id: str,
        template_ids: Sequence[str],
        *,
        to_subject_id: str | None = None,
        to_name: str | None = None,
        to_external_id: str | None = None,
        dry_run: bool = False,
    ) -> schemas.MoveAnswer:
        """Gives templates of one subject to another."""
        ...

    def merge_subjects(
        self, gallery: str, subject_id: str, *, into: str, dry_run: bool = False
    ) -> schemas.MergeAnswer:
        """Gives all that one subject has to another, and deletes the one."""
        ...

    def look_alikes(
        self, gallery: str, *, limit: int = 100, cursor: str | None = None
    ) -> schemas.LookAlikesAnswer:
        """A page of declared pairs."""
        ...

    def declare_look_alikes(self, gallery: str, one: str, other: str) -> schemas.LookAlikeAnswer:
        """Says that a photo may not tell two subjects apart."""
        ...

    def withdraw_look_alikes(self, gallery: str, one: str, other: str) -> schemas.LookAlikeAnswer:
        """Takes such a declaration back."""
        ...

    def follow(
        self, *, after: str | None = None, gallery: str | None = None
    ) -> Iterator[schemas.EventAnswer]:
        """Every event as it is decided."""
        ...

    def reviews(
        self,
        *,
        state: ReviewState | None = None,
        gallery: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> schemas.ReviewsAnswer:
        """A page of reviews."""
        ...

    def decide_review(self, review_id: str, verdict: Verdict) -> schemas.ReviewAnswer:
        """Says whether a review's face is the candidate's."""
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
