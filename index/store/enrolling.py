"""Writes an enroll: its subjects, its templates and their entries in the change log.

Shapes: N templates, D embedding dimension.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from index.records import Enrolled, NewSubject, NewTemplate
from index.sealing import Sealer, TemplateContext
from index.store import template_rows
from index.store.bulk import driver_time, insert_numbered
from index.store.change_log import Change, Committed, begin_change, write_changes
from index.store.crop_rows import insert_crops, seal_crop
from index.store.detail_rows import change_found, check_not_expired
from index.store.ids import new_ids
from index.store.stored_gallery import StoredGallery
from index.store.subject_rows import FoundSubject, find_or_create, write_version
from index.store.tables import templates, utc_now


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AddedTemplates(Committed):
    """A committed enroll.

    Attributes:
        enrolled: what was done, in the order of the subjects given.
        row_ids: (N,) int64, the ids for the matrix, ascending, in the order of the templates.
        dropped_row_ids: of templates, new ones among them, that a cap removed again.
    """

    enrolled: tuple[Enrolled, ...]
    row_ids: NDArray[np.int64]
    dropped_row_ids: tuple[int, ...] = ()


def write_enroll(
    connection: Connection,
    gallery: StoredGallery,
    new: Sequence[NewSubject],
    embeddings_ND: NDArray[np.float32],
    *,
    sealer: Sealer,
    expired_at: datetime,
) -> AddedTemplates:
    """Write templates of subjects.

    Args:
        connection: in a transaction that changes the gallery no further.
        gallery: its row.
        new: checked.
        embeddings_ND: (N, D) float32, what is stored for all their templates in order.
        sealer: seals them.
        expired_at: who expires until then is there no more.

    Raises:
        ExpiredFirstError: somebody who is meant has expired.
        GalleryNotFound: the gallery was deleted.
        RequestInvalid: a name and an external id belong to different subjects, metadata would
            have too many keys or bytes, or a crop is to be kept and nothing is sealed.
        SubjectNotFound: no subject with an id that was given.
    """
    before = begin_change(connection, gallery.row_id, name=gallery.name)
    now = utc_now()
    found = find_or_create(connection, gallery.row_id, new)
    check_not_expired(found, now=expired_at)
    change_found(connection, new, found)
    write_version(connection, {each.row_id for each in found if not each.created})
    planned = _planned(new, found, first=before.sequence + 1)
    rows = _rows(gallery, planned, embeddings_ND, sealer=sealer, now=now)
    written_at = driver_time(connection, now)
    for row, one in zip(rows, planned, strict=True):
        given = one.template.created_at
        row["created_at"] = written_at if given is None else driver_time(connection, given)
    row_ids = insert_numbered(connection, templates, rows, gallery=gallery.row_id)
    insert_crops(connection, "template", _sealed_crops(gallery, planned, row_ids, sealer=sealer))
    after = write_changes(
        connection,
        gallery.row_id,
        _log(planned, row_ids),
        before=before,
        at=now,
        num_templates=len(rows),
        num_subjects=len({each.id for each in found if each.num_templates == 0}),
    )
    return AddedTemplates(
        before=before,
        after=after,
        enrolled=tuple(_enrolled(new, found, planned)),
        row_ids=np.array(row_ids, dtype=np.int64),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Planned:
    """A template that is to be written.

    Attributes:
        id: public.
        owner: its subject.
        announced: its subject is new, and comes before it in the change log.
        sequence: its number there.
        template: what was given.
    """

    id: str
    owner: FoundSubject
    announced: bool
    sequence: int
    template: NewTemplate


def _planned(
    new: Sequence[NewSubject], found: Sequence[FoundSubject], *, first: int
) -> list[_Planned]:
    """The templates in order, numbered from the first number on."""
    ids = iter(new_ids(sum(len(each.templates) for each in new)))
    announced: set[str] = set()
    planned = []
    sequence = first
    for each, subject in zip(new, found, strict=True):
        for template in each.templates:
            is_first = subject.created and subject.id not in announced
            if is_first:
                announced.add(subject.id)
                sequence += 1
            planned.append(
                _Planned(
                    id=next(ids),
                    owner=subject,
                    announced=is_first,
                    sequence=sequence,
                    template=template,
                )
            )
            sequence += 1
    return planned


def _rows(
    gallery: StoredGallery,
    planned: Sequence[_Planned],
    embeddings_ND: NDArray[np.float32],
    *,
    sealer: Sealer,
    now: datetime,
) -> list[dict[str, Any]]:
    time = now.isoformat()
    rows = []
    for one, embedding in zip(planned, embeddings_ND.astype("<f4", copy=False), strict=True):
        given = one.template.created_at
        context = TemplateContext(
            gallery_id=gallery.id,
            subject_id=one.owner.id,
            template_id=one.id,
            fingerprint=gallery.fingerprint,
            space_id=gallery.space_id,
        )
        row = template_rows.pack(
            one.template,
            embedding=embedding.tobytes(),
            context=context,
            sealer=sealer,
            sequence=one.sequence,
            created_at=time if given is None else given.astimezone(UTC).isoformat(),
        )
        row["gallery_id"], row["subject_id"] = gallery.row_id, one.owner.row_id
        rows.append(row)
    owners = [one.owner.id for one in planned]
    template_rows.add_checksums(rows, gallery_id=gallery.id, owners=owners)
    return rows


def _sealed_crops(
    gallery: StoredGallery,
    planned: Sequence[_Planned],
    row_ids: Sequence[int],
    *,
    sealer: Sealer,
) -> dict[int, bytes]:
    """The crops that are to be kept, by the row ids of their templates."""
    return {
        row_id: seal_crop(
            one.template.crop,
            "template",
            one.id,
            gallery_id=gallery.id,
            subject_id=one.owner.id,
            sealer=sealer,
        )
        for one, row_id in zip(planned, row_ids, strict=True)
        if one.template.crop is not None
    }


def _log(planned: Sequence[_Planned], row_ids: Sequence[int]) -> list[Change]:
    log = []
    for one, row_id in zip(planned, row_ids, strict=True):
        if one.announced:
            log.append(Change(kind="subject_added", subject_id=one.owner.id))
        log.append(
            Change(
                kind="template_added",
                subject_id=one.owner.id,
                template_id=one.id,
                template_row=row_id,
            )
        )
    return log


def _enrolled(
    new: Sequence[NewSubject], found: Sequence[FoundSubject], planned: Sequence[_Planned]
) -> Iterator[Enrolled]:
    start = 0
    for each, subject in zip(new, found, strict=True):
        own = planned[start : start + len(each.templates)]
        start += len(own)
        yield Enrolled(
            subject_id=subject.id,
            template_ids=tuple([one.id for one in own]),
            # Whoever comes again in the same call was there by then.
            created=own[0].announced,
        )
