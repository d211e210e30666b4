"""Brings a batch's state in step with its gallery, which others change, and kills interrupt."""

import logging
from collections.abc import Sequence

from index.batch.hashing import Hashing
from index.batch.sources.source import SubjectKey
from index.gallery import Gallery
from index.store.batch_rows import FollowedChange
from index.store.batch_state import BatchState
from index.store.photo_changes import PhotoChange

logger = logging.getLogger(__name__)


def catch_up(state: BatchState, gallery: Gallery, *, hashing: Hashing) -> None:
    """Know every template that is in the gallery, and every photo that was taken out of it.

    A lot that was about to be committed when its process died was committed, all of it, where
    the gallery's log has one of its photos; a photo of it that is not there now was removed
    meanwhile. Where all of a lot's templates came and went, as many came and went unknown: then
    its photos count as removed, since who was erased must not come back.

    Raises:
        StoreError: gallery or state cannot be read or written.
    """
    sequence, anchor = state.position()
    if gallery.anchor(sequence) != anchor:
        logger.warning("the gallery went back to another state; the batch compares all of it")
        state.start_over()
        sequence = 0
    gone: list[int] = []
    while some := gallery.photo_changes(after=sequence):
        sequence = some[-1].sequence
        followed = [_followed(each, hashing) for each in some]
        unknown = set(
            state.follow(followed, sequence=sequence, anchor=gallery.anchor(sequence) or "")
        )
        gone += [each.sequence for each in some if each.added and each.template_id in unknown]
    _settle(state, gone)
    state.revive_duplicates()


def _settle(state: BatchState, gone: Sequence[int]) -> None:
    for lot in state.unsettled():
        num_gone = sum(sequence > lot.sequence for sequence in gone)
        committed = lot.num_committed > 0 or num_gone >= lot.num_photos
        state.settle(lot.number, "removed" if committed else "pending")


def _followed(change: PhotoChange, hashing: Hashing) -> FollowedChange:
    return FollowedChange(
        template_id=change.template_id,
        added=change.added,
        image_id=change.image_id,
        content_hash=change.image_hash,
        subject=hashing.subject(SubjectKey(name=change.name, external_id=change.external_id)),
    )
