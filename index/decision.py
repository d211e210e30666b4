"""From template similarities to a person-level decision; pure functions, nothing is looked up.

The rules, to the edge:

- A subject's similarity is the maximum over its templates.
- Subjects rank by similarity (descending), then by the quality of the template that gave it
  (descending), then by the enrollment of that template (ascending).
- ``match`` when similarity >= match_threshold; ``review`` when review_threshold <= similarity
  < match_threshold; ``unknown`` below, and when there is no candidate.
- A template without a subject never names anybody.
- In one photo a subject is named (``match``) at most once.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from embedding.errors import RequestInvalid
from index.records import Subject

Decision = Literal["match", "review", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateHit:
    """One stored template and its similarity to a probe.

    Attributes:
        subject_id: None for a template that belongs to nobody.
        similarity: cosine in [-1, 1]; higher is closer.
        quality: the template's quality figure in [0, 1].
        sequence: place of its enrollment in the gallery's change log.
    """

    template_id: str
    subject_id: str | None
    similarity: float
    quality: float
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A subject that may be the person, with its fused similarity.

    Attributes:
        similarity: the fused cosine in [-1, 1].
        template_id: the template that gave the similarity.
    """

    subject: Subject
    similarity: float
    template_id: str

    @property
    def subject_id(self) -> str:
        """The subject's opaque id."""
        return self.subject.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """The answer to "who is this face?".

    Attributes:
        decision: only ``match`` names somebody.
        subject: of ``match`` the person, of ``review`` the person to compare with; None for
            ``unknown``.
        similarity: of the best candidate, also when the decision is ``unknown``; None when the
            gallery holds no subject with a template.
        candidates: best first, each subject once, whatever their similarity.
    """

    decision: Decision
    subject: Subject | None
    similarity: float | None
    candidates: tuple[Candidate, ...]


def fuse_max(hits: Iterable[TemplateHit]) -> list[TemplateHit]:
    """Return the best hit of every subject, best subject first.

    Args:
        hits: template similarities in any order; those without a subject are left out.
    """
    best: dict[str, TemplateHit] = {}
    for hit in sorted(hits, key=_rank):
        if hit.subject_id is not None:
            best.setdefault(hit.subject_id, hit)
    return list(best.values())


def decide(
    candidates: Sequence[Candidate], *, match_threshold: float, review_threshold: float
) -> Decision:
    """Return the decision for ranked candidates; both thresholds belong to the upper side.

    Args:
        candidates: best first, as `fuse_max` ranks them.
        match_threshold: smallest similarity of a ``match``.
        review_threshold: smallest similarity of a ``review``.

    Raises:
        RequestInvalid: a threshold is not finite, or review_threshold > match_threshold.
    """
    check_thresholds(match_threshold=match_threshold, review_threshold=review_threshold)
    if not candidates:
        return "unknown"
    similarity = candidates[0].similarity
    if similarity >= match_threshold:
        return "match"
    return "review" if similarity >= review_threshold else "unknown"


def identification(
    candidates: Sequence[Candidate], *, match_threshold: float, review_threshold: float
) -> Identification:
    """Return the whole answer for ranked candidates.

    Args:
        candidates: best first, as `fuse_max` ranks them.
        match_threshold: smallest similarity of a ``match``.
        review_threshold: smallest similarity of a ``review``.

    Raises:
        RequestInvalid: as `decide`.
    """
    decision = decide(
        candidates, match_threshold=match_threshold, review_threshold=review_threshold
    )
    return Identification(
        decision=decision,
        subject=None if decision == "unknown" else candidates[0].subject,
        similarity=candidates[0].similarity if candidates else None,
        candidates=tuple(candidates),
    )


def name_each_subject_once(
    identifications: Sequence[Identification],
) -> tuple[Identification, ...]:
    """Return the answers for the faces of one photo with every subject named at most once.

    Of several faces that match one subject the one with the highest similarity keeps the name
    (of equals the first); the others become ``review`` and keep subject and candidates, so that
    a person can look. Order and number stay as given.
    """
    keeper: dict[str, int] = {}
    for place, answer in enumerate(identifications):
        if answer.decision != "match":
            continue
        subject_id = answer.candidates[0].subject_id
        held = keeper.setdefault(subject_id, place)
        if answer.candidates[0].similarity > identifications[held].candidates[0].similarity:
            keeper[subject_id] = place
    named = set(keeper.values())
    return tuple(
        replace(answer, decision="review")
        if answer.decision == "match" and place not in named
        else answer
        for place, answer in enumerate(identifications)
    )


def check_thresholds(*, match_threshold: float, review_threshold: float) -> None:
    """Pass thresholds that can decide.

    Raises:
        RequestInvalid: one is not finite, or review_threshold > match_threshold.
    """
    if not (math.isfinite(match_threshold) and math.isfinite(review_threshold)):
        raise RequestInvalid("thresholds must be finite numbers")
    if review_threshold > match_threshold:
        raise RequestInvalid(
            f"the review threshold must not be above the match threshold, but "
            f"{review_threshold:.4f} > {match_threshold:.4f}"
        )


def _rank(hit: TemplateHit) -> tuple[float, float, int]:
    return (-hit.similarity, -hit.quality, hit.sequence)
