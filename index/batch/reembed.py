"""A gallery for another model, made of the photos that the old one was made of.

A gallery keeps no photos, and embeddings of two models cannot be compared: every template is made
anew of its photo, known by its hash, of the face at its box. Who is not in the old gallery does
not get into the new one; who is removed from the old one meanwhile goes from the new one too. At
the end the new gallery gets the old one's name, in one commit.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from embedding.embedder import FaceEmbedder
from embedding.errors import (
    GalleryError,
    GalleryExists,
    ModelMismatch,
    RequestInvalid,
    SubjectNotFound,
)
from index.batch.build import BuildOptions, Built, build, state_path
from index.batch.following import catch_up
from index.batch.hashing import Hashing
from index.batch.mapping import check_new, write_mapping
from index.batch.old_templates import OldTemplates, Photo, key_of, templates_by_photo
from index.batch.sources.source import Source
from index.batch.tally import Tally
from index.checks import check_gallery_name
from index.details import NO_DETAILS, Details
from index.filling import kept_name
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import Subject
from index.store.batch_state import BatchState

_PAGE = 1000

_CROPS_TOGETHER = 100
"""2 MB in one commit."""
_PASSES = 3
"""The second makes anew whose templates moved during the first, which takes long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReEmbedOptions:
    """How a gallery is made anew.

    Attributes:
        build: how photos are worked on; which face is meant, the old template says.
        allow_missing: switch over even if templates are missing.
        switch: switch over at the end; False only fills the new gallery.
        delete_old: delete the old gallery after the switch.
        mapping: new CSV file for the old and the new id of each subject, written just before the
            switch; None for none.
    """

    build: BuildOptions
    allow_missing: bool = False
    switch: bool = True
    delete_old: bool = False
    mapping: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReEmbedded:
    """What a re-embedding did.

    Attributes:
        built: what the build of the new gallery did, in templates.
        num_templates: of the old gallery.
        missing: ids of its templates that are not in the new one: without their photo in the
            source, without a face at their box, or of nobody.
        num_removed: templates taken out of the new gallery, since the old one has them no more.
        switched: whether the new gallery has the old one's name now.
        new_name: of the new gallery.
        old_name: of the old one; None where it was deleted.
    """

    built: Built
    num_templates: int
    missing: tuple[str, ...]
    num_removed: int
    switched: bool
    new_name: str
    old_name: str | None


def reembed(
    source: Source,
    galleries: Galleries,
    name: str,
    *,
    embedder: FaceEmbedder,
    options: ReEmbedOptions,
    state: Path | None = None,
    old_state: Path | None = None,
    tally: Tally | None = None,
) -> ReEmbedded:
    """Fill a new gallery with the embedder's model, and switch over to it.

    Stopped at any moment, another call goes on. The old gallery goes on being used meanwhile, and
    afterwards stays under the name that the answer gives, until it is deleted.

    Args:
        source: of the photos; whom they show does not matter.
        galleries: of the data folder.
        name: of the gallery.
        embedder: of the other model.
        options: how.
        state: file of what is done; None for the usual place.
        old_state: of the batches into the old gallery, for who was removed from it; None for the
            usual place, where it may be missing.
        tally: counts while it goes on; None for a new one.

    Raises:
        GalleryExists: there is a gallery with the name that the old one would get; nothing was
            done then.
        GalleryNotFound: no such gallery.
        ModelMismatch: the gallery is of this model already, or the one that is being filled is
            of another one.
        RequestInvalid: the old gallery was changed in the last moment; the next call goes on. Or
            the file for the ids exists.
        StoreInUse: another process works with one of the state files.
    """
    old = galleries.get(name)
    if old.fingerprint == embedder.fingerprint:
        raise ModelMismatch(
            f"the gallery is of model {old.fingerprint[:12]} already; nothing is to be done"
        )
    old_name = kept_name(name, old.fingerprint)
    _check_free(galleries, old_name)
    if options.mapping is not None:
        check_new(options.mapping)
    new = galleries.filling(name, fingerprint=embedder.fingerprint, space=old.space_id is not None)
    # Until the end without a cap: it would take out what is to be counted.
    new.set_rules(replace(old.rules(), max_templates=None))
    hashing = Hashing(galleries.secret("service"))
    photos = OldTemplates(source, old, hashing=hashing, max_bytes=embedder.limits.max_bytes)
    with ExitStack() as held:
        known = held.enter_context(
            BatchState(state or state_path(galleries.path, new), gallery_id=new.id)
        )
        built, sequence, wanted = _fill(
            photos,
            old,
            new,
            embedder=embedder,
            state=known,
            secret=galleries.secret("service"),
            options=options.build,
            tally=tally or Tally(),
        )
        num_removed = _remove_others(new, wanted)
        _carry_choices(old, new)
        _carry_details(old, new)
        made = templates_by_photo(new)
        _carry_crops(old, new, wanted, made)
        missing = tuple(
            template_id
            for photo, ids in wanted.items()
            if photo not in made
            for template_id in ids
        )
        switched = options.switch and (options.allow_missing or not missing)
        if switched:
            old_path = old_state or state_path(galleries.path, old)
            if old_state is not None or old_path.exists():
                # Held until the name is the new one's: no build goes between.
                before = held.enter_context(BatchState(old_path, gallery_id=old.id))
                catch_up(before, old, hashing=hashing)
                before.carry_removed_to(known)
            if options.mapping is not None:
                # Before: who dies in between has it, or finds the old ids still there.
                write_mapping(options.mapping, _id_pairs(old, new))
            try:
                galleries.switch(name, new, kept_name=old_name, sequence=sequence)
            except (GalleryError, RequestInvalid):
                # After any other error the switch may be on disk nevertheless.
                if options.mapping is not None:
                    options.mapping.unlink()
                raise
    afterwards: str | None = old_name if switched else name
    if switched and options.delete_old:
        galleries.delete(old_name)
        afterwards = None
    return ReEmbedded(
        built=built,
        num_templates=sum(map(len, wanted.values())),
        missing=missing,
        num_removed=num_removed,
        switched=switched,
        new_name=name if switched else new.name,
        old_name=afterwards,
    )


def _check_free(galleries: Galleries, old_name: str) -> None:
    """Pass a name that the old gallery can get; it is too late to hear of it at the end."""
    check_gallery_name(old_name)
    if any(each.name == old_name for each in galleries.list()):
        raise GalleryExists(
            f"the old gallery is to be {old_name} afterwards, and there is one of this name, "
            f"perhaps from a switch before; delete it first, if nobody needs it"
        )


def _fill(
    photos: OldTemplates,
    old: Gallery,
    new: Gallery,
    *,
    embedder: FaceEmbedder,
    state: BatchState,
    secret: bytes,
    options: BuildOptions,
    tally: Tally,
) -> tuple[Built, int, Mapping[Photo, Sequence[str]]]:
    """Make the templates anew; what was done, and the old gallery's templates at which number."""
    for passes_left in reversed(range(_PASSES)):
        begun_at = old.sequence
        built = build(
            photos,
            new,
            embedder=embedder,
            state=state,
            secret=secret,
            options=options,
            tally=tally,
        )
        # Who has expired meanwhile goes from both, and is missing in neither.
        old.expire()
        sequence = old.sequence
        wanted = templates_by_photo(old)
        if not passes_left or not _need_another_pass(old, new, wanted, begun_at=begun_at):
            break
        tally.forget_known()
    return built, sequence, wanted


def _need_another_pass(
    old: Gallery, new: Gallery, wanted: Mapping[Photo, Sequence[str]], *, begun_at: int
) -> bool:
    """Whether templates of the old gallery got another person, or name, during a pass.

    Another one makes them anew: taken out now, they could not be made again.
    """
    made = templates_by_photo(new).keys()
    moved = {content_hash for content_hash, _ in wanted.keys() - made}
    moved &= {content_hash for content_hash, _ in made - wanted.keys()}
    # Two who changed places are in both galleries, but not with their own faces.
    return bool(moved) or old.store.moved_since(begun_at)


def _remove_others(new: Gallery, wanted: Mapping[Photo, Sequence[str]]) -> int:
    """Take out of the new gallery what the old one has no more; returns how many templates."""
    num_removed = 0
    for photo, ids in templates_by_photo(new).items():
        if photo in wanted:
            continue
        for template_id in ids:
            new.remove_template(template_id)
            num_removed += 1
    # Their names would outlive them; also of those who were renamed.
    for subject in list(_empty(new)):
        new.remove_subject(subject.id)
    return num_removed


def _carry_choices(old: Gallery, new: Gallery) -> None:
    """Have the new gallery decide as the old one does, with the same declared look-alikes."""
    new.set_rules(old.rules())
    wanted = {
        _pair(_counterpart(one, old, new), _counterpart(other, old, new))
        for one, other in old.look_alikes()
    }
    there = {_pair(*each) for each in new.look_alikes()}
    for one, other in there - wanted:
        new.withdraw_look_alikes(one, other)
    for one, other in wanted - there:
        # Who is missing in the new gallery is nobody's look-alike there.
        if one and other:
            new.declare_look_alikes(one, other)


def _carry_crops(
    old: Gallery,
    new: Gallery,
    wanted: Mapping[Photo, Sequence[str]],
    made: Mapping[Photo, Sequence[str]],
) -> None:
    """Give the new templates the crops that were kept of the old ones: the faces are the same."""
    pairs = iter(
        [
            # Copies of one photo became one template, and any of them may have the crop.
            (old_id, made[photo][min(place, len(made[photo]) - 1)])
            for photo, ids in wanted.items()
            if photo in made
            for place, old_id in enumerate(ids)
        ]
    )
    while some := list(itertools.islice(pairs, _CROPS_TOGETHER)):
        new.store.carry_crops(old.stored, some)


def _carry_details(old: Gallery, new: Gallery) -> None:
    """Give the new gallery's people exactly the details that they have in the old one."""
    wanted: dict[str, Details] = {}
    for subject in _subjects(old):
        if not subject.details.empty and (found := _counterpart(subject.id, old, new)):
            wanted[found] = subject.details
    for subject in _subjects(new):
        if not subject.details.empty:
            wanted.setdefault(subject.id, NO_DETAILS)
    items = iter(wanted.items())
    while some := dict(itertools.islice(items, _PAGE)):
        new.set_details(some)


def _pair(one: str, other: str) -> tuple[str, str]:
    return min(one, other), max(one, other)


def _counterpart(subject_id: str, old: Gallery, new: Gallery) -> str:
    """The id in the new gallery of a subject of the old one; empty where it is missing."""
    try:
        subject = old.subject(subject_id)
    except SubjectNotFound:
        return ""
    key = key_of(subject.name, subject.external_id, subject_id)
    if key.external_id is not None:
        found = new.find_subject(external_id=key.external_id)
    else:
        found = new.find_subject(name=key.name)
    return "" if found is None else found.id


def _id_pairs(old: Gallery, new: Gallery) -> Iterator[tuple[str, str]]:
    """The old and the new id of each subject that went over."""
    for subject in _subjects(old):
        if found := _counterpart(subject.id, old, new):
            yield subject.id, found


def _empty(gallery: Gallery) -> Iterator[Subject]:
    """Subjects without templates."""
    return (each for each in _subjects(gallery) if each.num_templates == 0)


def _subjects(gallery: Gallery) -> Iterator[Subject]:
    cursor: str | None = None
    while True:
        page = gallery.subjects(limit=_PAGE, cursor=cursor)
        yield from page.subjects
        cursor = page.next_cursor
        if cursor is None:
            return
