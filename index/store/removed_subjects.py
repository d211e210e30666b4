"""What the change log of a gallery remembers of a subject that was removed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, not_, select

from embedding.errors import TemplateNotFound
from index.store.change_log import ChangeKind
from index.store.subject_rows import subject_not_found
from index.store.tables import changes

_REMOVED: ChangeKind = "subject_removed"
_TEMPLATE_REMOVED: ChangeKind = "template_removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedSubject:
    """A removal.

    Attributes:
        sequence: its number in the change log.
        at: when, UTC.
        num_templates: that went with it.
        subject_id: whose a template was that was removed by itself.
    """

    sequence: int
    at: datetime
    num_templates: int
    subject_id: str | None = None


def removed_subject(
    connection: Connection, gallery: int, subject_id: str, *, sequence: int | None = None
) -> RemovedSubject:
    """Return the removal of a subject.

    Args:
        connection: in a transaction.
        gallery: row id.
        subject_id: public id.
        sequence: number of the removal; None to look for it, which reads the whole log.

    Raises:
        SubjectNotFound: nobody with this id was removed.
    """
    own = (changes.c.gallery_id == gallery, changes.c.subject == subject_id)
    query = select(changes.c.sequence, changes.c.at).where(*own, changes.c.kind == _REMOVED)
    if sequence is not None:
        query = query.where(changes.c.sequence == sequence)
    found = connection.execute(query.order_by(changes.c.sequence.desc()).limit(1)).first()
    if found is None:
        raise subject_not_found()
    # Its templates stand right before it.
    before: int = (
        connection.scalar(
            select(changes.c.sequence)
            .where(
                changes.c.gallery_id == gallery,
                changes.c.sequence < found.sequence,
                not_(
                    and_(
                        changes.c.kind == _TEMPLATE_REMOVED,
                        changes.c.subject == subject_id,
                        changes.c.at == found.at,
                    )
                ),
            )
            .order_by(changes.c.sequence.desc())
            .limit(1)
        )
        or 0
    )
    return RemovedSubject(
        sequence=found.sequence, at=found.at, num_templates=found.sequence - 1 - before
    )


def removed_template(
    connection: Connection, gallery: int, template_id: str, *, sequence: int | None = None
) -> RemovedSubject:
    """Return the removal of one template.

    Args:
        connection: in a transaction.
        gallery: row id.
        template_id: public id.
        sequence: number of the removal; None to look for it, which reads the whole log.

    Raises:
        TemplateNotFound: none with this id was removed.
    """
    query = select(changes.c.sequence, changes.c.at, changes.c.subject).where(
        changes.c.gallery_id == gallery,
        changes.c.template == template_id,
        changes.c.kind == _TEMPLATE_REMOVED,
    )
    if sequence is not None:
        query = query.where(changes.c.sequence == sequence)
    found = connection.execute(query.order_by(changes.c.sequence.desc()).limit(1)).first()
    if found is None:
        raise TemplateNotFound("no template with this id was removed from the gallery")
    return RemovedSubject(
        sequence=found.sequence, at=found.at, num_templates=1, subject_id=found.subject
    )
