"""Templates that get another person; whoever only looks what would become of them is entered."""

from index.audit.entries import AuditEvent
from index.gallery import Gallery
from index.moves import MergedSubjects, MovedTemplates
from service.assembly import Parts
from service.bodies.templates import MergeBody, MoveBody


def move_templates_of(parts: Parts, name: str, subject_id: str, body: MoveBody) -> MovedTemplates:
    """What a move did, or would do; see `Gallery.move_templates`."""
    gallery = parts.galleries.get(name)
    moved = gallery.move_templates(
        subject_id,
        body.templates,
        to_subject_id=body.to_subject_id,
        to_name=body.to_name,
        to_external_id=body.to_external_id,
        dry_run=body.dry_run,
    )
    if body.dry_run:
        _note_look(parts, gallery, "template.move_dry_run", subject_id, moved.subject_id)
    return moved


def merge_subject(parts: Parts, name: str, subject_id: str, body: MergeBody) -> MergedSubjects:
    """What a merge did, or would do; see `Gallery.merge_subjects`."""
    gallery = parts.galleries.get(name)
    merged = gallery.merge_subjects(subject_id, into=body.into, dry_run=body.dry_run)
    if body.dry_run:
        _note_look(parts, gallery, "subject.merge_dry_run", subject_id, body.into)
    return merged


def _note_look(parts: Parts, gallery: Gallery, action: str, *subject_ids: str | None) -> None:
    """Enter that somebody looked how alike two people are, while both are there."""
    parts.galleries.audit.record(
        AuditEvent(
            action=action,
            gallery_id=gallery.id,
            subject_ids=tuple(each for each in subject_ids if each is not None),
        )
    )
