"""One answer from the answers of several galleries about one face; pure, nothing is looked up.

The rules, to the edge:

- A candidate's *margin* is its similarity minus the smallest one of a ``match`` in its gallery.
  Similarities of two models say nothing about each other; margins only order them.
- Galleries rank by decision (``match``, ``review``, ``unknown``), then by the margin of their best
  candidate (descending), then as they were given. The first one's decision and subject are the
  answer's, and its reasons.
- Two subjects of different galleries are one person where both have the same external id.
- A ``match`` becomes a ``review`` where another gallery also has a ``match``, of somebody else
  (``matched_elsewhere``), or has a ``review`` of somebody else whose margin is closer to the
  first's than the larger of both galleries' smallest leads (``close_runner_up``).
- In one photo a person is named at most once; the largest margin keeps the name.
- Each gallery gives strangers a chance of its own to be named: the FPIR of all together is at most
  the sum of theirs, whatever their people have in common.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from index.decision import Candidate, Decision, Identification, Reason
from index.records import Subject

AcrossReason = Reason | Literal["matched_elsewhere"]
"""Why an answer is a ``review``: of the first gallery, or that another one has a match too."""

_RANKS: dict[Decision, int] = {"match": 0, "review": 1, "unknown": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryAnswer:
    """What one gallery says of a face.

    Attributes:
        gallery: its name.
        answer: of that gallery.
        match_similarity: smallest similarity of a ``match`` of this face there.
        smallest_lead: of a ``match`` there.
    """

    gallery: str
    answer: Identification
    match_similarity: float
    smallest_lead: float

    @property
    def margin(self) -> float:
        """Of the best candidate; minus infinity where there is none."""
        similarity = self.answer.similarity
        return -float("inf") if similarity is None else similarity - self.match_similarity


@dataclass(frozen=True, slots=True, kw_only=True)
class AcrossCandidate:
    """A subject of one of the galleries.

    Attributes:
        margin: similarity minus that of a ``match`` in its gallery.
    """

    gallery: str
    candidate: Candidate
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AcrossIdentification:
    """Who a face is, asked of several galleries.

    Attributes:
        decision: only ``match`` names somebody.
        gallery: of the subject; None for ``unknown``.
        subject: of ``match`` the person, of ``review`` the person to compare with.
        similarity: of the best candidate of the first gallery; None where nobody is enrolled.
        margin: of that candidate; None likewise.
        reasons: why it is ``review``.
        candidates: of all galleries, largest margin first.
        answers: of each gallery, in the order in which they were asked.
    """

    decision: Decision
    gallery: str | None
    subject: Subject | None
    similarity: float | None
    margin: float | None
    reasons: tuple[AcrossReason, ...]
    candidates: tuple[AcrossCandidate, ...]
    answers: tuple[GalleryAnswer, ...]


def decide_across(
    answers: Sequence[GalleryAnswer], *, num_candidates: int
) -> AcrossIdentification:
    """Return one answer for a face.

    Args:
        answers: of at least one gallery, each gallery once.
        num_candidates: at most so many.
    """
    first, *others = sorted(answers, key=lambda each: (_RANKS[each.answer.decision], -each.margin))
    is_known = first.answer.decision != "unknown"
    reasons = _reasons(first, others)
    return AcrossIdentification(
        decision="review" if reasons else first.answer.decision,
        gallery=first.gallery if is_known else None,
        subject=first.answer.subject,
        similarity=first.answer.similarity,
        margin=None if first.answer.similarity is None else first.margin,
        reasons=reasons,
        candidates=_candidates(answers)[:num_candidates],
        answers=tuple(answers),
    )


def name_each_person_once(
    answers: Sequence[AcrossIdentification],
) -> tuple[AcrossIdentification, ...]:
    """Return the answers for the faces of one photo with every person named at most once.

    Of several faces that match one person the one with the largest margin keeps the name (of
    equals the first); the others become ``review``.
    """
    keeper: dict[tuple[str | None, str], int] = {}
    for place, answer in enumerate(answers):
        if answer.decision == "match" and answer.subject is not None:
            person = _person(answer.gallery, answer.subject)
            held = keeper.setdefault(person, place)
            if (answer.margin or 0.0) > (answers[held].margin or 0.0):
                keeper[person] = place
    named = set(keeper.values())
    return tuple(
        replace(answer, decision="review", reasons=(*answer.reasons, "named_elsewhere"))
        if answer.decision == "match" and place not in named
        else answer
        for place, answer in enumerate(answers)
    )


def combined_fpir(fpirs: Iterable[float]) -> float:
    """Return what the FPIR of several searches of one face together is at most."""
    return min(1.0, sum(fpirs))


def _reasons(first: GalleryAnswer, others: Sequence[GalleryAnswer]) -> tuple[AcrossReason, ...]:
    reasons: tuple[AcrossReason, ...] = first.answer.reasons
    if first.answer.decision != "match":
        return reasons
    rivals = [each for each in others if not _same_person(first, each)]
    if any(each.answer.decision == "match" for each in rivals):
        reasons = (*reasons, "matched_elsewhere")
    if any(
        each.answer.decision == "review"
        and first.margin - each.margin < max(first.smallest_lead, each.smallest_lead)
        for each in rivals
    ):
        reasons = (*reasons, "close_runner_up")
    return reasons


def _candidates(answers: Sequence[GalleryAnswer]) -> tuple[AcrossCandidate, ...]:
    found = [
        AcrossCandidate(
            gallery=each.gallery,
            candidate=candidate,
            margin=candidate.similarity - each.match_similarity,
        )
        for each in answers
        for candidate in each.answer.candidates
    ]
    return tuple(sorted(found, key=lambda each: -each.margin))


def _same_person(one: GalleryAnswer, other: GalleryAnswer) -> bool:
    mine, theirs = one.answer.subject, other.answer.subject
    if mine is None or theirs is None:
        return False
    return _person(one.gallery, mine) == _person(other.gallery, theirs)


def _person(gallery: str | None, subject: Subject) -> tuple[str | None, str]:
    """What stands for a person: an external id, or else the subject of one gallery."""
    if subject.external_id is not None:
        return None, subject.external_id
    return gallery, subject.id
