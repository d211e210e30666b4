"""What in a database is still sealed with a key."""

from sqlalchemy import ColumnElement, Connection, LargeBinary, func, select

from index.encryption import sealed_start
from index.store.seal_mark import marked_key_id
from index.store.tables import crops, facts, galleries, templates


def sealed_with(connection: Connection, key_id: str) -> list[str]:
    """Return what a key is still needed for, in words; empty when it can go.

    Args:
        connection: in a transaction.
        key_id: of the key.
    """
    found = []
    num_templates = connection.scalar(
        select(func.count()).where(_begins(templates.c.sealed_embedding, key_id))
    )
    if num_templates:
        found.append(f"{num_templates} templates")
    num_spaces = connection.scalar(
        select(func.count()).where(_begins(galleries.c.sealed_space, key_id))
    )
    if num_spaces:
        found.append(f"{num_spaces} gallery spaces")
    num_cohorts = connection.scalar(
        select(func.count()).where(
            facts.c.name.contains("normalisation:"), _begins(facts.c.value, key_id)
        )
    )
    if num_cohorts:
        found.append(f"{num_cohorts} cohorts of calibrations")
    num_crops = connection.scalar(select(func.count()).where(_begins(crops.c.sealed, key_id)))
    if num_crops:
        found.append(f"{num_crops} crops of faces")
    if marked_key_id(connection) == key_id:
        found.append("the mark of the database")
    return found


def _begins(column: ColumnElement[bytes], key_id: str) -> ColumnElement[bool]:
    start = sealed_start(key_id)
    return func.substr(column, 1, len(start), type_=LargeBinary) == start
