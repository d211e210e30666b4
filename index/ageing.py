"""How old a subject's templates are, and whether newer photos fit the older ones less and less.

A store keeps no log of identifications, so the similarities that somebody was recognised with are
not known, and neither is when a photo was taken: the time of a template is that of its enrollment.
What is known is how each enrolled photo compares with those enrolled before it: at that time it
was a photo of the subject that the earlier templates had to recognise.

Shapes: N templates of a subject, oldest first.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.checks import MAX_PAGE
from index.fusion import template_similarities
from index.gallery import Gallery
from index.references import References

MIN_FOR_GAP = 4
"""Of three templates one pair alone stands against the gap: photos in random order then give more
than 0.2 in 6 % of people, of four in 1 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ageing:
    """What time has done to one subject's templates.

    Attributes:
        subject_id: opaque.
        num_templates: N.
        oldest: age of the oldest template; None without templates.
        newest: age of the newest one; None without templates.
        mated: for each template but the first, its mean similarity to all older ones; in the
            order of enrollment. Falling figures say that the subject has changed, or that a
            photo is of somebody else.
        between: mean similarity between the older half of the templates and the newer half (of
            an odd number the newer half has one more); None with fewer than two.
        within: mean similarity of the pairs inside the halves; None with fewer than three, when
            there is no such pair.
    """

    subject_id: str
    num_templates: int
    oldest: timedelta | None
    newest: timedelta | None
    mated: tuple[float, ...]
    between: float | None
    within: float | None

    @property
    def gap(self) -> float | None:
        """By how much old and new are less alike than each among themselves; None if unknown.

        About 0 for a subject that has not changed; it has the noise of few photos.
        """
        if self.between is None or self.within is None:
            return None
        return self.within - self.between


def ageing_of(gallery: Gallery, subject_id: str, *, now: datetime) -> Ageing:
    """Return what time has done to a subject's templates.

    Args:
        gallery: that has the subject.
        subject_id: whose templates.
        now: aware; ages count up to it, and are never below zero.

    Raises:
        RequestInvalid: the time has no zone.
        SubjectNotFound: no subject with this id.
    """
    if now.tzinfo is None:
        raise RequestInvalid("the time that ages are counted up to needs a zone")
    return _ageing(subject_id, gallery.references(subject_id), now)


def due(
    gallery: Gallery, *, now: datetime, max_age: timedelta, max_gap: float = math.inf
) -> Iterator[Ageing]:
    """Yield the subjects of whom new photos should be enrolled, in order of creation.

    Args:
        gallery: whose subjects; three queries for each of them.
        now: aware.
        max_age: a newest template that is older than this is due; of exactly this age it is not.
        max_gap: so is a subject with at least `MIN_FOR_GAP` templates whose `Ageing.gap` is
            larger, however new they are.

    Raises:
        RequestInvalid: the time has no zone.
    """
    cursor = None
    while True:
        page = gallery.subjects(limit=MAX_PAGE, cursor=cursor)
        for subject in page.subjects:
            found = ageing_of(gallery, subject.id, now=now)
            is_old = found.newest is not None and found.newest > max_age
            drifts = (
                found.gap is not None
                and found.num_templates >= MIN_FOR_GAP
                and found.gap > max_gap
            )
            if is_old or drifts:
                yield found
        cursor = page.next_cursor
        if cursor is None:
            return


def _ageing(subject_id: str, references: References, now: datetime) -> Ageing:
    num = len(references.templates)
    ages = [max(now - each.created_at, timedelta()) for each in references.templates]
    similarities_NN = (
        np.stack(
            [
                template_similarities(each_D, references.vectors_ND)
                for each_D in references.vectors_ND
            ]
        )
        if num
        else np.zeros((0, 0))
    )
    half = num // 2
    inside = [
        *_pairs(similarities_NN[:half, :half]),
        *_pairs(similarities_NN[half:, half:]),
    ]
    return Ageing(
        subject_id=subject_id,
        num_templates=num,
        oldest=max(ages, default=None),
        newest=min(ages, default=None),
        mated=tuple(float(similarities_NN[row, :row].mean()) for row in range(1, num)),
        between=float(similarities_NN[:half, half:].mean()) if half else None,
        within=float(np.mean(inside)) if inside else None,
    )


def _pairs(similarities_NN: NDArray[np.float64]) -> NDArray[np.float64]:
    """The similarity of each pair once."""
    pairs: NDArray[np.float64] = similarities_NN[np.triu_indices(len(similarities_NN), k=1)]
    return pairs
