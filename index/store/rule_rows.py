"""How a gallery decides, in its row."""

from sqlalchemy import Connection, bindparam, select, update

from embedding.errors import GalleryNotFound
from index.rules import GalleryRules
from index.store.tables import galleries

_COLUMNS = {
    "fusion": galleries.c.fusion,
    "max_templates": galleries.c.max_templates,
    "smallest_lead": galleries.c.smallest_lead,
}
# Made once: it is asked at every identification, and making it takes longer than running it.
_OF_GALLERY = select(*_COLUMNS.values()).where(galleries.c.id == bindparam("gallery"))


def read_rules(connection: Connection, gallery: int) -> GalleryRules:
    """Return what was chosen, the defaults where nothing was.

    Raises:
        GalleryNotFound: the gallery was deleted.
        RequestInvalid: a newer version of this program wrote a rule that this one does not know.
    """
    row = connection.execute(_OF_GALLERY, {"gallery": gallery}).first()
    if row is None:
        raise GalleryNotFound("the gallery was deleted")
    return GalleryRules(
        **{name: value for name, value in row._mapping.items() if value is not None}
    )


def write_rules(connection: Connection, gallery: int, rules: GalleryRules) -> None:
    """Write what was chosen over what was before; does nothing to a gallery that is gone."""
    connection.execute(
        update(galleries)
        .where(galleries.c.id == gallery)
        .values({name: getattr(rules, name) for name in _COLUMNS})
    )
