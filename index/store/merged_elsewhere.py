"""Who was merged into whom, out to files and in from them."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from index.store.lots import in_lots
from index.store.merged_subjects import all_merged, known_merged, note_all_merged
from index.store.tables import subjects


def merged_pairs(connection: Connection, gallery: int) -> list[tuple[str, str]]:
    """Return who was merged into whom, as public ids; nobody who is a subject again."""
    pairs = all_merged(connection, gallery)
    back = _present(connection, [gone for gone, _ in pairs])
    return [pair for pair in pairs if pair[0] not in back]


def note_known(connection: Connection, gallery: int, pairs: Sequence[tuple[str, str]]) -> int:
    """Remember who was merged into whom elsewhere; returns how many were not known here.

    Left out is whoever is a subject here, of this gallery or another, and whoever lives on in
    somebody who is not in this gallery.

    Args:
        connection: in a transaction that holds the gallery.
        gallery: row id.
        pairs: of the one that is gone and the one that it lives on in; public ids.
    """
    present = _present(connection, [gone for gone, _ in pairs])
    own = _present(connection, [into for _, into in pairs], gallery=gallery)
    left_out = present | known_merged(connection, gallery, [gone for gone, _ in pairs])
    taken: dict[str, list[str]] = {}
    for gone, into in pairs:
        if gone not in left_out and into in own:
            left_out.add(gone)
            taken.setdefault(into, []).append(gone)
    note_all_merged(connection, gallery, taken)
    return sum(map(len, taken.values()))


def _present(
    connection: Connection, public_ids: Sequence[str], *, gallery: int | None = None
) -> set[str]:
    """Those of the ids that are subjects, of a gallery or of any."""
    found: set[str] = set()
    for some in in_lots(public_ids):
        query = select(subjects.c.public_id).where(subjects.c.public_id.in_(some))
        if gallery is not None:
            query = query.where(subjects.c.gallery_id == gallery)
        found.update(connection.scalars(query))
    return found
