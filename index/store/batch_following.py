"""Brings a batch's state in step with what came into the gallery and went."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from index.store.batch_rows import FollowedChange
from index.store.batch_tables import photos
from index.store.lots import in_lots

ELSEWHERE = 0
"""Source of templates that did not come from one."""

_CONFIRM = (
    update(photos)
    .where(
        photos.c.image_id == bindparam("of_image"),
        # No IN: its list cannot be part of a statement for many rows.
        or_(photos.c.state == "writing", photos.c.state == "pending"),
    )
    .values(state="done", template_id=bindparam("new_template"))
)
_REMOVE = (
    update(photos)
    .where(photos.c.template_id == bindparam("of_template"))
    .values(state="removed", template_id=None)
)


def follow(connection: Connection, some: Sequence[FollowedChange]) -> list[str]:
    """Follow changes in their order; returns templates that came, went and are not known."""
    unknown: list[str] = []
    start = 0
    for end in range(1, len(some) + 1):
        # Runs of the same kind are done together.
        if end == len(some) or some[end].added != some[start].added:
            run = some[start:end]
            if run[0].added:
                unknown += _added(connection, run)
            else:
                rows = [{"of_template": each.template_id} for each in run]
                connection.execute(_REMOVE, rows)
            start = end
    return unknown


def _added(connection: Connection, some: Sequence[FollowedChange]) -> list[str]:
    """Confirm photos that were about to be written, and take up those from elsewhere."""
    there = [each for each in some if each.image_id is not None]
    if there:
        connection.execute(
            _CONFIRM,
            [{"of_image": each.image_id, "new_template": each.template_id} for each in there],
        )
    known: set[str] = set()
    for lot in in_lots([each.template_id for each in some]):
        known |= set(
            connection.scalars(select(photos.c.template_id).where(photos.c.template_id.in_(lot)))
        )
    # An imported template has no hash: nobody could tell its photo.
    new = [each for each in there if each.template_id not in known and each.content_hash]
    if new:
        connection.execute(
            upsert(photos).on_conflict_do_nothing(),
            [_from_elsewhere(each) for each in new],
        )
    gone = (each.template_id for each in some if each.image_id is None)
    return [each for each in gone if each not in known]


def _from_elsewhere(change: FollowedChange) -> dict[str, object]:
    return {
        "source_id": ELSEWHERE,
        "key": change.template_id,
        "state": "done",
        "size_bytes": 0,
        "mtime_ns": 0,
        "content_hash": change.content_hash,
        "name_digest": change.subject.name,
        "external_digest": change.subject.external_id,
        "image_id": None,
        "template_id": change.template_id,
        "run": 0,
    }
