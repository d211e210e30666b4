"""The photos that a gallery's templates were made of, found again by their hashes."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from embedding.detect import Box
from embedding.errors import SubjectNotFound, TemplateNotFound
from index.batch.hashing import Hashing
from index.batch.sources.source import Skip, Source, SourcePhoto, SubjectKey
from index.gallery import Gallery

logger = logging.getLogger(__name__)

Photo = tuple[bytes, SubjectKey]
"""What tells a template from others: the hash of its photo, and whom it shows."""


class OldTemplates:
    """The photos of a source as often as the old gallery has a template of them."""

    def __init__(self, source: Source, old: Gallery, *, hashing: Hashing, max_bytes: int) -> None:
        self._source = source
        self._old = old
        self._hashing = hashing
        self._max_bytes = max_bytes

    @property
    def address(self) -> str:
        """The source's."""
        return self._source.address

    def photos(self) -> Iterator[SourcePhoto | Skip]:
        """See `Source`; photos that the gallery does not know are passed over."""
        ids: dict[bytes, list[str]] = defaultdict(list)
        for (content_hash, _), some in templates_by_photo(self._old).items():
            ids[content_hash] += some
        for each in self._source.photos():
            if isinstance(each, Skip):
                yield each
                continue
            try:
                content = each.read(self._max_bytes + 1)
            except OSError as error:
                message = f"it could not be read: {error.strerror}"
                yield Skip(key=each.key, error="unreadable", message=message)
                continue
            for template_id in ids.get(self._hashing.content(content), ()):
                yield from self._photo(each, template_id)

    def _photo(self, photo: SourcePhoto, template_id: str) -> Iterator[SourcePhoto]:
        try:
            template = self._old.template(template_id)
            if template.subject_id is None:
                return
            subject = self._old.subject(template.subject_id)
        except (TemplateNotFound, SubjectNotFound) as error:
            logger.debug("template %s was removed meanwhile: %s", template_id, error)
            return
        left, top, right, bottom = template.box
        yield replace(
            photo,
            key=f"{photo.key}#{template_id}",
            # What the source says of the photo matters as little as whom it names.
            metadata=None,
            subject=key_of(subject.name, subject.external_id, template.subject_id),
            box=Box(left=left, top=top, right=right, bottom=bottom),
            enrolled_at=template.created_at,
        )


def key_of(name: str | None, external_id: str | None, subject_id: str) -> SubjectKey:
    """Whom a template shows; who has neither name nor external id is known by the old id."""
    if name is None and external_id is None:
        return SubjectKey(external_id=subject_id)
    return SubjectKey(name=name, external_id=external_id)


def templates_by_photo(gallery: Gallery) -> Mapping[Photo, Sequence[str]]:
    """The ids of all templates with a photo's hash or without, by photo and person."""
    found: dict[Photo, list[str]] = defaultdict(list)
    sequence = 0
    while some := gallery.photo_changes(after=sequence):
        sequence = some[-1].sequence
        for each in some:
            if each.added and each.image_id is not None:
                owner = ""
                if each.name is None and each.external_id is None:
                    owner = gallery.template(each.template_id).subject_id or ""
                found[each.image_hash, key_of(each.name, each.external_id, owner)].append(
                    each.template_id
                )
    return found
