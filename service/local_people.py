"""What the client in process answers of people: subjects, templates and look-alikes."""

from collections.abc import Mapping, Sequence

from index.gallery import Gallery
from service import schemas
from service.answers.subjects import erased_answer, subject_answer, subjects_answer
from service.answers.templates import (
    erased_template_answer,
    merge_answer,
    move_answer,
    templates_answer,
)
from service.arranging import merge_subject, move_templates_of
from service.assembly import Parts
from service.bodies.subjects import change_of
from service.bodies.templates import MergeBody, MoveBody


class LocalPeople:
    """The part of `LocalClient` that is about people."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def subjects(
        self,
        gallery: str,
        *,
        limit: int = 100,
        cursor: str | None = None,
        name: str | None = None,
        external_id: str | None = None,
    ) -> schemas.SubjectsAnswer:
        """As in `HttpClient`."""
        page = self._gallery(gallery).subjects(
            limit=limit, cursor=cursor, name=name, external_id=external_id
        )
        return subjects_answer(page)

    def subject(self, gallery: str, subject_id: str) -> schemas.SubjectAnswer:
        """As in `HttpClient`."""
        return subject_answer(self._gallery(gallery).subject(subject_id))

    def change_subject(
        self,
        gallery: str,
        subject_id: str,
        patch: Mapping[str, object],
        *,
        version: str | None = None,
    ) -> schemas.SubjectAnswer:
        """As in `HttpClient`."""
        subject = self._gallery(gallery).change_subject(
            subject_id, change_of(patch), versions=None if version is None else (version,)
        )
        return subject_answer(subject)

    def remove_subject(self, gallery: str, subject_id: str) -> schemas.ErasedAnswer:
        """As in `HttpClient`."""
        erasure = self._gallery(gallery).erase_subject(subject_id)
        return erased_answer(erasure, self._parts.galleries)

    def templates(
        self, gallery: str, subject_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> schemas.TemplatesAnswer:
        """As in `HttpClient`."""
        found = self._gallery(gallery)
        return templates_answer(found.template_page(subject_id, limit=limit, cursor=cursor))

    def remove_template(self, gallery: str, template_id: str) -> schemas.ErasedTemplateAnswer:
        """As in `HttpClient`."""
        found = self._gallery(gallery)
        erasure = found.erase_template(template_id)
        return erased_template_answer(
            erasure, self._parts.galleries, num_left=found.num_templates_of(erasure.subject_id)
        )

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
        """As in `HttpClient`."""
        body = MoveBody.model_construct(
            templates=list(template_ids),
            to_subject_id=to_subject_id,
            to_name=to_name,
            to_external_id=to_external_id,
            dry_run=dry_run,
        )
        moved = move_templates_of(self._parts, gallery, subject_id, body)
        return move_answer(moved, dry_run=dry_run)

    def merge_subjects(
        self, gallery: str, subject_id: str, *, into: str, dry_run: bool = False
    ) -> schemas.MergeAnswer:
        """As in `HttpClient`."""
        body = MergeBody.model_construct(into=into, dry_run=dry_run)
        merged = merge_subject(self._parts, gallery, subject_id, body)
        return merge_answer(merged, dry_run=dry_run)

    def look_alikes(
        self, gallery: str, *, limit: int = 100, cursor: str | None = None
    ) -> schemas.LookAlikesAnswer:
        """As in `HttpClient`."""
        pairs, next_cursor = self._gallery(gallery).look_alikes_page(limit=limit, cursor=cursor)
        return schemas.LookAlikesAnswer(pairs=pairs, next_cursor=next_cursor)

    def declare_look_alikes(self, gallery: str, one: str, other: str) -> schemas.LookAlikeAnswer:
        """As in `HttpClient`."""
        new = self._gallery(gallery).declare_look_alikes(one, other)
        return schemas.LookAlikeAnswer(declared=True, changed=new)

    def withdraw_look_alikes(self, gallery: str, one: str, other: str) -> schemas.LookAlikeAnswer:
        """As in `HttpClient`."""
        was_there = self._gallery(gallery).withdraw_look_alikes(one, other)
        return schemas.LookAlikeAnswer(declared=False, changed=was_there)

    def _gallery(self, name: str) -> Gallery:
        return self._parts.galleries.get(name)
