"""The statements for a photo's row in the state of batches, and what is in it."""

from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, func, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert

from index.store.batch_rows import KnownPhoto, PhotoRecord, SubjectDigest
from index.store.batch_tables import photos


def contains(connection: Connection, content_hash: bytes, subject: SubjectDigest) -> bool:
    """Return whether a photo of these bytes is in the gallery for this subject."""
    statement = _CONTAINS[subject.name is not None, subject.external_id is not None]
    given = {"content": content_hash, "name": subject.name, "external": subject.external_id}
    return connection.execute(statement, given).first() is not None


def _contains(*, name: bool, external: bool) -> Select[int]:
    """The question with what a subject is called by; OR NULL in its place would use no index."""
    query = select(photos.c.id).where(
        photos.c.content_hash == bindparam("content"), photos.c.state == "done"
    )
    if name:
        query = query.where(photos.c.name_digest == bindparam("name"))
    if external:
        query = query.where(photos.c.external_digest == bindparam("external"))
    return query.limit(1)


# Built once: they are asked for every photo, and building takes longer than answering.
_CONTAINS = {
    (name, external): _contains(name=name, external=external)
    for name in (False, True)
    for external in (False, True)
}


def _upsert() -> Any:  # noqa: ANN401 - a statement of SQLAlchemy's
    statement = upsert(photos)
    new = statement.excluded
    given: dict[str, Any] = {
        column: new[column]
        for column in (
            "state",
            "size_bytes",
            "mtime_ns",
            "content_hash",
            "name_digest",
            "external_digest",
            "metadata_digest",
            "error",
            "message",
            "lot",
            "lot_sequence",
            "run",
        )
    }
    # Found unchanged, a photo keeps the id that its template has.
    given["image_id"] = func.coalesce(new.image_id, photos.c.image_id)
    return statement.on_conflict_do_update(
        index_elements=["source_id", "key"],
        set_=given | _templates_after(new),
    )


def _templates_after(new: Any) -> dict[str, Any]:  # noqa: ANN401 - columns of SQLAlchemy's
    """A template stays until that of the photo as it is now is in the gallery."""
    # No IN: its list cannot be part of a statement for many rows.
    leaves = or_(new.state == "writing", new.state == "duplicate")
    old = func.coalesce(photos.c.template_id, photos.c.replaced_id)
    return {
        "replaced_id": case((leaves, old), else_=photos.c.replaced_id),
        "template_id": case((leaves, None), else_=photos.c.template_id),
    }


UPSERT = _upsert()
"""Of rows of `row_of_record`."""


def row_of_record(
    record: PhotoRecord, *, source: int, run: int, lot: int, sequence: int | None
) -> dict[str, Any]:
    """Return the values of a record for `UPSERT`."""
    writing = record.state == "writing"
    return {
        "source_id": source,
        "key": record.key,
        "state": record.state,
        "size_bytes": record.size_bytes,
        "mtime_ns": record.mtime_ns,
        "content_hash": record.content_hash,
        "name_digest": record.subject.name,
        "external_digest": record.subject.external_id,
        "metadata_digest": record.metadata_digest,
        "error": record.error,
        "message": record.message,
        "lot": lot if writing else None,
        "lot_sequence": sequence if writing else None,
        "image_id": record.image_id,
        "run": run,
    }


def known_of(row: Any) -> KnownPhoto:  # noqa: ANN401 - a row of SQLAlchemy's
    """Return what a row of `photos` tells."""
    return KnownPhoto(
        state=row.state,
        size_bytes=row.size_bytes,
        mtime_ns=row.mtime_ns,
        content_hash=row.content_hash,
        subject=SubjectDigest(name=row.name_digest, external_id=row.external_digest),
        run=row.run,
        metadata_digest=row.metadata_digest,
    )
