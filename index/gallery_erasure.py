"""What a receipt tells of a gallery that was deleted."""

from index.receipts import Erasure
from index.snapshot.key_use import SNAPSHOTS_NAME
from index.store.batch_files import state_file
from index.store.deleted_galleries import DeletedGallery
from index.store.store import Store


def erasure_of(deleted: DeletedGallery, *, store: Store) -> Erasure:
    """Return the deletion as it stands now.

    Reads the ledger as far as it must, which takes a moment where it is long.

    Args:
        deleted: as the store remembers it.
        store: of it, open.

    Raises:
        LedgerUnfit: the ledger was removed or changed since it was opened.
    """
    beside = (store.path / SNAPSHOTS_NAME / deleted.id, state_file(store.path, deleted.id))
    return Erasure(
        gallery_id=deleted.id,
        subject_id=None,
        num_templates=deleted.num_templates,
        num_subjects=deleted.num_subjects,
        removed_at=deleted.removed_at,
        ledger_entry=_ledger_entry(store, deleted.id),
        final=deleted.purged and not any(path.exists() for path in beside),
    )


def _ledger_entry(store: Store, gallery_id: str) -> int | None:
    """The number of its entry, from 1 on; None without a ledger, or where it was begun later."""
    for number, removal in enumerate(store.removals(), start=1):
        if removal.kind == "gallery" and removal.gallery_id == gallery_id:
            return number
    return None
