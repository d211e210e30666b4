"""What speaks against enrolling some photos as one subject; it reports and refuses nothing.

Shapes: P photos, D embedding dimension.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.checks import check_new_templates
from index.decision import Candidate, check_thresholds
from index.fusion import FusionRule, template_similarities
from index.gallery import Gallery
from index.records import EMBEDDING_DIMENSION, NewTemplate

_TOLD = 5
"""Other subjects that a photo looks like; the best few tell enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BelongsElsewhere:
    """A photo whose face already belongs to another subject.

    Attributes:
        photo: its place among the new templates, from 0.
        candidate: another subject, at or above the threshold for others.
    """

    photo: int
    candidate: Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotosDiffer:
    """Two new photos that do not seem to show one person.

    Attributes:
        photo: the first one's place among the new templates, from 0.
        other_photo: the second one's, behind the first.
        similarity: cosine in [-1, 1], below the threshold for one person.
    """

    photo: int
    other_photo: int
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTheSubject:
    """A photo that does not seem to show the subject whose templates are there already.

    Attributes:
        photo: its place among the new templates, from 0.
        similarity: to the subject under the fusion rule, below the threshold for one person.
        template_id: the subject's closest template.
    """

    photo: int
    similarity: float
    template_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts:
    """Everything that speaks against an enroll.

    Attributes:
        elsewhere: photos of somebody who is enrolled as another subject, by photo, then closest
            first, at most five of a photo. Declared look-alikes of the subject are not among
            them: their photos are known to look so.
        differing: pairs of new photos that are not alike; two photos of one person in very
            different poses or years may stand here.
        groups: places of the new photos, those together that hang together by pairs at or above
            the threshold for one person; largest group first, then by the first photo. More than
            one says that the photos show more than one person, or one person in ways that
            no photo links.
        strangers: photos that do not fit the subject's templates so far.
    """

    elsewhere: tuple[BelongsElsewhere, ...]
    differing: tuple[PhotosDiffer, ...]
    groups: tuple[tuple[int, ...], ...]
    strangers: tuple[NotTheSubject, ...]

    @property
    def found(self) -> bool:
        """Whether anything speaks against the enroll: a face elsewhere, groups, or strangers.

        Differing pairs alone do not, as long as other photos link them.
        """
        return bool(self.elsewhere or self.strangers) or len(self.groups) > 1


def find_conflicts(
    gallery: Gallery,
    templates: Sequence[NewTemplate],
    *,
    subject_id: str | None,
    other_threshold: float | Sequence[float],
    same_threshold: float,
    fusion: FusionRule | None = None,
) -> Conflicts:
    """Return what speaks against enrolling templates as one subject; nothing is changed.

    Args:
        gallery: where they are to be enrolled.
        templates: at least one, of the gallery's model.
        subject_id: whom they are meant for; None for somebody new.
        other_threshold: smallest similarity at which a face belongs to another subject: the
            gallery's ``match`` threshold, of its size and rule; one for all, or one a photo.
        same_threshold: similarity below which two photos, or a photo and a subject, do not show
            one person: a threshold of pairs, such as the model card's at one subject.
        fusion: how a subject's templates become its similarity; None for the gallery's rule.

    Raises:
        EmbeddingInvalid: NaN, zero, not of unit length, or of another dimension.
        ModelMismatch: a template of another model.
        RequestInvalid: no templates, a threshold that is not finite, or not one a photo.
        SubjectNotFound: no subject with this id.
    """
    limits = (
        list(other_threshold)
        if isinstance(other_threshold, Sequence)
        else [other_threshold] * len(templates)
    )
    if len(limits) != len(templates):
        raise RequestInvalid(f"{len(templates)} photos need as many thresholds, not {len(limits)}")
    for limit in (*limits, same_threshold):
        check_thresholds(match_threshold=limit, review_threshold=limit)
    embeddings_PD = check_new_templates(templates, dimension=EMBEDDING_DIMENSION)
    rule = gallery.rules().rule if fusion is None else fusion
    strangers = (
        ()
        if subject_id is None
        else _strangers(gallery, embeddings_PD, subject_id, same_threshold, rule)
    )
    own = _own_and_look_alikes(gallery, subject_id)
    similarities_PP = np.stack(
        [template_similarities(embedding_D, embeddings_PD) for embedding_D in embeddings_PD]
    )
    return Conflicts(
        elsewhere=tuple(
            BelongsElsewhere(photo=photo, candidate=candidate)
            for photo, (template, limit) in enumerate(zip(templates, limits, strict=True))
            for candidate in _others(gallery, template, own, limit, rule)
        ),
        differing=tuple(
            PhotosDiffer(
                photo=int(one),
                other_photo=int(other),
                similarity=float(similarities_PP[one, other]),
            )
            for one, other in np.argwhere(np.triu(similarities_PP < same_threshold, k=1))
        ),
        groups=photo_groups(similarities_PP >= same_threshold),
        strangers=strangers,
    )


def _own_and_look_alikes(gallery: Gallery, subject_id: str | None) -> set[str]:
    if subject_id is None:
        return set()
    return {subject_id, *gallery.look_alikes_of(subject_id)}


def _others(
    gallery: Gallery,
    template: NewTemplate,
    own: Collection[str],
    threshold: float,
    fusion: FusionRule,
) -> list[Candidate]:
    answer = gallery.identify(
        template.embedding,
        fingerprint=template.fingerprint,
        match_threshold=threshold,
        review_threshold=threshold,
        num_candidates=_TOLD + len(own),
        fusion=fusion,
    )
    return [
        each
        for each in answer.candidates
        if each.subject_id not in own and each.similarity >= threshold
    ][:_TOLD]


def _strangers(
    gallery: Gallery,
    embeddings_PD: NDArray[np.float32],
    subject_id: str,
    threshold: float,
    fusion: FusionRule,
) -> tuple[NotTheSubject, ...]:
    so_far = gallery.references(subject_id)
    if not so_far.templates:
        return ()
    found = []
    for photo, embedding_D in enumerate(embeddings_PD):
        similarity = fusion.fuse(embedding_D, so_far.vectors_ND, so_far.qualities)
        closest = int(template_similarities(embedding_D, so_far.vectors_ND).argmax())
        if similarity < threshold:
            found.append(
                NotTheSubject(
                    photo=photo,
                    similarity=similarity,
                    template_id=so_far.templates[closest].template_id,
                )
            )
    return tuple(found)


def photo_groups(linked_PP: NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
    """Return the photos that links lead to from each other, the largest group first.

    Args:
        linked_PP: (P, P), symmetric; whether two photos are alike.
    """
    left = set(range(len(linked_PP)))
    groups = []
    while left:
        group, todo = set[int](), {min(left)}
        while todo:
            photo = todo.pop()
            group.add(photo)
            todo |= set(np.flatnonzero(linked_PP[photo]).tolist()) - group
        left -= group
        groups.append(tuple(sorted(group)))
    return tuple(sorted(groups, key=lambda group: (-len(group), group[0])))
