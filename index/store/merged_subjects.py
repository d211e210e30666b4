"""Which subjects were merged into which, remembered as long as the one that took them is there.

Whoever asks for the id of before is told where it went; and who is removed is removed under all
ids that they ever had, so that a restored backup brings none of them back.
"""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select

from index.store.facts import delete_fact, read_fact, write_fact
from index.store.lots import in_lots
from index.store.tables import facts, subjects


def merged_into(connection: Connection, gallery: int, public_id: str) -> str | None:
    """Return the id of the subject that one lives on in; None for one that was not merged.

    Args:
        connection: in a transaction.
        gallery: row id.
        public_id: of the one that is not there.
    """
    value = read_fact(connection, _merged(gallery, public_id))
    return None if value is None else value.decode()


def all_merged(connection: Connection, gallery: int) -> list[tuple[str, str]]:
    """Return who was merged into whom, as public ids, by the ids that are gone."""
    start = _merged(gallery, "")
    rows = connection.execute(
        select(facts.c.name, facts.c.value)
        .where(facts.c.name.startswith(start))
        .order_by(facts.c.name)
    ).all()
    return [(row.name.removeprefix(start), row.value.decode()) for row in rows]


def note_merged(connection: Connection, gallery: int, *, gone: str, into: str) -> None:
    """Remember that one, and all that it took before, live on in another.

    Args:
        connection: in a transaction that holds the gallery.
        gallery: row id.
        gone: public id.
        into: public id.
    """
    moved = [*forget_merged(connection, gallery, gone), gone]
    for each in moved:
        write_fact(connection, _merged(gallery, each), into.encode())
    taken = json.dumps([*_taken_by(connection, gallery, into), *moved])
    write_fact(connection, _took(gallery, into), taken.encode())


def note_all_merged(
    connection: Connection, gallery: int, taken: Mapping[str, Sequence[str]]
) -> None:
    """Remember who lives on in whom, at a price that does not grow with how many one took.

    Args:
        connection: in a transaction that holds the gallery.
        gallery: row id.
        taken: by the id of a subject, those who live on in it: nobody that was merged before
            (`known_merged`), nor that took anybody.
    """
    rows = [
        {"name": _merged(gallery, gone), "value": into.encode()}
        for into, ids in taken.items()
        for gone in ids
    ]
    if rows:
        connection.execute(insert(facts), rows)
    for into, ids in taken.items():
        all_taken = json.dumps([*_taken_by(connection, gallery, into), *ids])
        write_fact(connection, _took(gallery, into), all_taken.encode())


def known_merged(connection: Connection, gallery: int, public_ids: Sequence[str]) -> set[str]:
    """Return those of the ids that were merged into somebody."""
    start = _merged(gallery, "")
    found: set[str] = set()
    for some in in_lots(public_ids):
        query = select(facts.c.name).where(facts.c.name.in_([start + each for each in some]))
        found.update(name.removeprefix(start) for name in connection.scalars(query))
    return found


def forget_merged(connection: Connection, gallery: int, public_id: str) -> list[str]:
    """Forget who was merged into a subject that goes; returns their ids, the earliest first."""
    taken = _taken_by(connection, gallery, public_id)
    for each in taken:
        delete_fact(connection, _merged(gallery, each))
    delete_fact(connection, _took(gallery, public_id))
    return taken


def removed_with(connection: Connection, gallery: int, public_id: str) -> list[str]:
    """Forget who was merged into a subject that is removed; returns whom that removes, too."""
    taken = forget_merged(connection, gallery, public_id)
    # An import of an old file may have brought one back, who is somebody of their own now.
    back: set[str] = set()
    for some in in_lots(taken):
        query = select(subjects.c.public_id).where(subjects.c.public_id.in_(some))
        back.update(connection.scalars(query))
    return [each for each in taken if each not in back]


def forget_all_merged(connection: Connection, gallery: int) -> None:
    """Forget all of a gallery that is deleted."""
    for start in (_merged(gallery, ""), _took(gallery, "")):
        connection.execute(delete(facts).where(facts.c.name.startswith(start)))


def _taken_by(connection: Connection, gallery: int, public_id: str) -> list[str]:
    value = read_fact(connection, _took(gallery, public_id))
    return [] if value is None else [str(each) for each in json.loads(value)]


def _merged(gallery: int, public_id: str) -> str:
    # By the row's number, which is never used twice: with the gallery's id it would be too long.
    return f"merged:{gallery}:{public_id}"


def _took(gallery: int, public_id: str) -> str:
    return f"took:{gallery}:{public_id}"
