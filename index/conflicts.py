"""What speaks against enrolling some photos as one subject; it reports and refuses nothing.

Shapes: P photos, D embedding dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.checks import check_new_templates
from index.decision import Candidate, check_thresholds
from index.fusion import MAXIMUM, FusionRule, template_similarities
from index.gallery import Gallery
from index.records import EMBEDDING_DIMENSION, NewTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class BelongsElsewhere:
    """A photo whose face already belongs to another subject.

    Attributes:
        photo: its place among the new templates, from 0.
        candidate: the closest other subject, at or above the threshold for others.
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
        elsewhere: photos of somebody who is enrolled as another subject.
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
    other_threshold: float,
    same_threshold: float,
    fusion: FusionRule = MAXIMUM,
) -> Conflicts:
    """Return what speaks against enrolling templates as one subject; nothing is changed.

    Args:
        gallery: where they are to be enrolled.
        templates: at least one, of the gallery's model.
        subject_id: whom they are meant for; None for somebody new.
        other_threshold: smallest similarity at which a face belongs to another subject: the
            gallery's ``match`` threshold, of its size and rule.
        same_threshold: similarity below which two photos, or a photo and a subject, do not show
            one person: a threshold of pairs, such as the model card's at one subject.
        fusion: how a subject's templates become its similarity.

    Raises:
        EmbeddingInvalid: NaN, zero, not of unit length, or of another dimension.
        ModelMismatch: a template of another model.
        RequestInvalid: no templates, or a threshold that is not finite.
        SubjectNotFound: no subject with this id.
    """
    check_thresholds(match_threshold=other_threshold, review_threshold=other_threshold)
    check_thresholds(match_threshold=same_threshold, review_threshold=same_threshold)
    embeddings_PD = check_new_templates(templates, dimension=EMBEDDING_DIMENSION)
    strangers = (
        ()
        if subject_id is None
        else _strangers(gallery, embeddings_PD, subject_id, same_threshold, fusion)
    )
    found = (
        _elsewhere(gallery, photo, template, subject_id, other_threshold, fusion)
        for photo, template in enumerate(templates)
    )
    similarities_PP = np.stack(
        [template_similarities(embedding_D, embeddings_PD) for embedding_D in embeddings_PD]
    )
    return Conflicts(
        elsewhere=tuple(each for each in found if each is not None),
        differing=tuple(
            PhotosDiffer(
                photo=int(one),
                other_photo=int(other),
                similarity=float(similarities_PP[one, other]),
            )
            for one, other in np.argwhere(np.triu(similarities_PP < same_threshold, k=1))
        ),
        groups=_groups(similarities_PP >= same_threshold),
        strangers=strangers,
    )


def _elsewhere(
    gallery: Gallery,
    photo: int,
    template: NewTemplate,
    subject_id: str | None,
    threshold: float,
    fusion: FusionRule,
) -> BelongsElsewhere | None:
    answer = gallery.identify(
        template.embedding,
        fingerprint=template.fingerprint,
        match_threshold=threshold,
        review_threshold=threshold,
        num_candidates=2,  # One of them may be the subject itself.
        fusion=fusion,
    )
    for candidate in answer.candidates:
        if candidate.subject_id != subject_id and candidate.similarity >= threshold:
            return BelongsElsewhere(photo=photo, candidate=candidate)
    return None


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


def _groups(linked_PP: NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
    """The photos that links lead to from each other."""
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
