"""The secret matrix of a gallery's space, sealed in the gallery's row."""

from embedding.errors import RequestInvalid, StoreCorrupt
from index.records import EMBEDDING_DIMENSION
from index.sealing import ChunkContext, Sealer
from index.space import GallerySpace
from index.store.stored_gallery import StoredGallery


def new_space(sealer: Sealer, *, gallery_id: str) -> tuple[str, bytes]:
    """Return the id of a new space, and its sealed matrix.

    Raises:
        RequestInvalid: nothing is sealed here: the matrix would lie beside the vectors.
    """
    if not sealer.encrypts:
        raise RequestInvalid(
            "a gallery space needs sealing, or its secret would lie in the clear beside the "
            "vectors; give a key file, or create the gallery without a space"
        )
    space = GallerySpace.random(EMBEDDING_DIMENSION)
    return space.id, sealer.seal(space.to_bytes(), context=_context(gallery_id, space.id))


def space_of(gallery: StoredGallery, sealer: Sealer) -> GallerySpace | None:
    """Return the gallery's space; None where vectors are stored as the model made them.

    Raises:
        StoreCorrupt: it was changed, or is another gallery's.
        SealKeyMissing: it is sealed with a key that is not at hand.
    """
    if gallery.space_id is None or gallery.sealed_space is None:
        return None
    clear = sealer.unseal(gallery.sealed_space, context=_context(gallery.id, gallery.space_id))
    space = GallerySpace.from_bytes(clear)
    if space.id != gallery.space_id:
        raise StoreCorrupt("a gallery's space is not the one that its row names")
    return space


def resealed_space(gallery: StoredGallery, *, old: Sealer, new: Sealer) -> bytes | None:
    """Return the matrix sealed anew; None where there is none or it is current."""
    if gallery.space_id is None or gallery.sealed_space is None:
        return None
    if new.is_current(gallery.sealed_space):
        return None
    context = _context(gallery.id, gallery.space_id)
    return new.seal(old.unseal(gallery.sealed_space, context=context), context=context)


def _context(gallery_id: str, space_id: str) -> ChunkContext:
    return ChunkContext(
        purpose="gallery space", owner_id=gallery_id, file=space_id, chunk=0, last=True
    )
