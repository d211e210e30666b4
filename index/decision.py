"""From template similarities to a person-level decision; pure functions, nothing is looked up.

The rules, to the edge:

- A subject's similarity is the maximum over its templates, unless another rule of `index.fusion`
  was asked for.
- Subjects rank by similarity (descending), then by the quality of the closest template
  (descending), then by the enrollment of that template (ascending).
- ``match`` when similarity >= match_threshold; ``review`` when review_threshold <= similarity
  < match_threshold; ``unknown`` below, and when there is no candidate.
- A ``match`` becomes a ``review`` where the second candidate is closer to the first than a
  smallest lead, and where the first has a declared look-alike (a twin) among the candidates at or
  above review_threshold.
- A template without a subject never names anybody.
- In one photo a subject is named (``match``) at most once.
- A ``review`` says why: `Reason`, every one that holds, in the order in which they stand there.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from embedding.errors import RequestInvalid
from index.records import Subject

Decision = Literal["match", "review", "unknown"]

Reason = Literal["below_match", "close_runner_up", "look_alike", "named_elsewhere"]
"""Why an answer is a ``review``:

- ``below_match``: review_threshold <= similarity < match_threshold.
- ``close_runner_up``: the second candidate is closer to the first than the smallest lead.
- ``look_alike``: a declared look-alike of the first is a candidate at or above review_threshold.
- ``named_elsewhere``: another face of the photo is named as this subject.
"""

LookAlikes = Collection[tuple[str, str]]
"""Pairs of ids of subjects that a photo may not tell apart, in either order."""


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
        template_id: the subject's closest template.
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
        reasons: why it is ``review``; empty for ``match`` and ``unknown``.
    """

    decision: Decision
    subject: Subject | None
    similarity: float | None
    candidates: tuple[Candidate, ...]
    reasons: tuple[Reason, ...] = ()


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
    candidates: Sequence[Candidate],
    *,
    match_threshold: float,
    review_threshold: float,
    smallest_lead: float = 0.0,
    look_alikes: LookAlikes = (),
) -> Decision:
    """Return the decision for ranked candidates; see `identification`."""
    return identification(
        candidates,
        match_threshold=match_threshold,
        review_threshold=review_threshold,
        smallest_lead=smallest_lead,
        look_alikes=look_alikes,
    ).decision


def identification(
    candidates: Sequence[Candidate],
    *,
    match_threshold: float,
    review_threshold: float,
    smallest_lead: float = 0.0,
    look_alikes: LookAlikes = (),
) -> Identification:
    """Return the whole answer for ranked candidates; both thresholds belong to the upper side.

    Args:
        candidates: best first, each subject once. Runner-up and look-alikes are looked for among
            these only.
        match_threshold: smallest similarity of a ``match``.
        review_threshold: smallest similarity of a ``review``.
        smallest_lead: by how much a ``match`` must lead over the second candidate, whatever that
            one's similarity. A lead equal to it is enough, so 0 switches this off, and then equal
            candidates are a ``match`` of the first. Without a second candidate any lead is enough.
        look_alikes: pairs that were declared; ids that are not among the candidates do nothing.

    Raises:
        RequestInvalid: a threshold is not finite, review_threshold > match_threshold, the lead is
            not in [0, 2], or somebody is declared a look-alike of oneself.
    """
    check_thresholds(match_threshold=match_threshold, review_threshold=review_threshold)
    check_doubts(smallest_lead=smallest_lead, look_alikes=look_alikes)
    similarity = candidates[0].similarity if candidates else None
    if similarity is None or similarity < review_threshold:
        return Identification(
            decision="unknown", subject=None, similarity=similarity, candidates=tuple(candidates)
        )
    found: dict[Reason, bool] = {
        "below_match": similarity < match_threshold,
        "close_runner_up": _runner_up_is_close(candidates, smallest_lead),
        "look_alike": _has_look_alike(candidates, look_alikes, review_threshold),
    }
    reasons = tuple(reason for reason, holds in found.items() if holds)
    return Identification(
        decision="review" if reasons else "match",
        subject=candidates[0].subject,
        similarity=similarity,
        candidates=tuple(candidates),
        reasons=reasons,
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
        replace(answer, decision="review", reasons=(*answer.reasons, "named_elsewhere"))
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


def check_doubts(*, smallest_lead: float, look_alikes: LookAlikes) -> None:
    """Pass what may turn a ``match`` into a ``review``.

    Raises:
        RequestInvalid: the lead is not in [0, 2], or a pair holds one subject twice.
    """
    if not 0.0 <= smallest_lead <= 2.0:
        raise RequestInvalid(f"the smallest lead must be in [0, 2], but is {smallest_lead}")
    if any(one == other for one, other in look_alikes):
        raise RequestInvalid("a subject cannot be its own look-alike; give pairs of two subjects")


def _runner_up_is_close(candidates: Sequence[Candidate], smallest_lead: float) -> bool:
    return (
        len(candidates) > 1 and candidates[0].similarity - candidates[1].similarity < smallest_lead
    )


def _has_look_alike(
    candidates: Sequence[Candidate], look_alikes: LookAlikes, review_threshold: float
) -> bool:
    first = candidates[0].subject_id
    partners = {
        other if one == first else one for one, other in look_alikes if first in (one, other)
    }
    return any(
        each.subject_id in partners and each.similarity >= review_threshold
        for each in candidates[1:]
    )


def _rank(hit: TemplateHit) -> tuple[float, float, int]:
    return (-hit.similarity, -hit.quality, hit.sequence)
