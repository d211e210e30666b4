"""Which photos came into a gallery and which were removed, after a point in its history."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from index.store.tables import changes, subjects, templates

_KINDS = ("template_added", "template_removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoChange:
    """A template that came or went.

    Attributes:
        sequence: number in the gallery's change log.
        template_id: public id.
        added: False where it was removed.
        image_id: of an added template that is still there; None otherwise.
        image_hash: likewise; empty where the template was imported.
        name: of its subject now.
        external_id: of its subject now.
    """

    sequence: int
    template_id: str
    added: bool
    image_id: str | None
    image_hash: bytes
    name: str | None
    external_id: str | None


def photo_changes(
    connection: Connection, gallery: int, *, after: int, limit: int
) -> list[PhotoChange]:
    """Return what came after a number, at most so many entries."""
    rows = connection.execute(
        select(
            changes.c.sequence,
            changes.c.kind,
            changes.c.template,
            templates.c.image_id,
            templates.c.image_hash,
            subjects.c.name,
            subjects.c.external_id,
        )
        .outerjoin_from(
            changes,
            templates,
            and_(
                templates.c.id == changes.c.template_row,
                templates.c.public_id == changes.c.template,
                changes.c.kind == "template_added",
            ),
        )
        .outerjoin(subjects, subjects.c.id == templates.c.subject_id)
        .where(
            changes.c.gallery_id == gallery,
            changes.c.sequence > after,
            changes.c.kind.in_(_KINDS),
            changes.c.template.is_not(None),
        )
        .order_by(changes.c.sequence)
        .limit(limit)
    )
    return [
        PhotoChange(
            sequence=row.sequence,
            template_id=row.template,
            added=row.kind == "template_added",
            image_id=row.image_id,
            image_hash=row.image_hash or b"",
            name=row.name,
            external_id=row.external_id,
        )
        for row in rows
    ]
