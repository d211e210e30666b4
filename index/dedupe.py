"""Subjects of a gallery that look like one person: pairs, and clusters of pairs.

Every subject is compared with every other one, by the cosine of their mean templates. The mean
tells people apart better than the closest two of their templates: among many templates there is
always one that resembles somebody else's. And in a large gallery some people resemble a hundred
others: a pair must also lead, be more alike than the two are to those who come next. (Cohort
normalisation, with the gallery itself for the cohort: Matejka et al., Interspeech 2017, adaptive
s-norm without the division.)

Shapes: S subjects, N templates, D embedding dimension, P pairs, K next closest.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.gallery import Gallery
from index.records import EMBEDDING_DIMENSION, Subject

logger = logging.getLogger(__name__)

MAX_PAIRS = 10_000
"""More than a person will look at; a threshold that gives more is too low."""

MIN_LEAD = 0.15
"""Of 3,950 people of the training set, 200 of them split in two, 187 are found at similarity 0.67
with 57 other pairs (some of them one person in truth); without a lead there are 2,699 others."""

_NUM_NEXT = 20
"""Others whose mean similarity a pair must lead."""

_CHUNK = 1024
"""Subjects a side of one matrix product: 4 MB of similarities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAlikes:
    """Two subjects that may be one person.

    Attributes:
        first: enrolled before the second.
        second: the other one.
        similarity: cosine of their mean templates.
        lead: how far it is above the mean similarity of both to their next closest others.
    """

    first: Subject
    second: Subject
    similarity: float
    lead: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """What was found; nothing is changed by it.

    Attributes:
        pairs: the most similar first.
        clusters: subjects that pairs join, the largest first; each subject in at most one.
        num_pairs: that were found; more than `pairs` where these were cut off.
        num_subjects: that were compared, all with all.
        threshold: smallest similarity of a pair.
        seconds: it took.
    """

    pairs: tuple[LookAlikes, ...]
    clusters: tuple[tuple[Subject, ...], ...]
    num_pairs: int
    num_subjects: int
    threshold: float
    seconds: float


def find_duplicates(
    gallery: Gallery,
    *,
    threshold: float,
    min_lead: float = MIN_LEAD,
    sure: float = 1.0,
    max_pairs: int = MAX_PAIRS,
    progress: Callable[[int, int], None] | None = None,
) -> Duplicates:
    """Return the subjects of a gallery that look like one person.

    The comparison is exact. Beside the gallery itself one vector a subject is in memory, and
    `max_pairs` pairs; searches and changes go on meanwhile.

    Args:
        gallery: any.
        threshold: smallest cosine of the mean templates of a pair, -1 to 1; it belongs to it.
        min_lead: smallest lead of a pair; it belongs to it. A negative one leaves it out.
        sure: similarity from which on the lead does not matter; somebody who is there twenty
            times leads nobody.
        max_pairs: so many of the most similar are kept, at least 1.
        progress: called with the comparisons that are done and with all of them, in subjects.

    Raises:
        GalleryNotFound: it was deleted.
        RequestInvalid: an argument is out of range.
    """
    for name, value in (("threshold", threshold), ("sure", sure)):
        if not -1 <= value <= 1:
            raise RequestInvalid(f"{name} is a cosine, -1 to 1, not {value:g}")
    if max_pairs < 1 or not math.isfinite(min_lead):
        raise RequestInvalid("max_pairs is at least 1, and min_lead a finite number")
    start = time.monotonic()
    numbers_S, means_SD = _means(gallery.vectors_by_subject())
    tell = progress or (lambda _done, _all: None)
    num = len(numbers_S)
    next_S = np.zeros(num, np.float32)
    for rows, values in _next_closest(means_SD):
        next_S[rows] = values
        tell(rows.stop, 2 * num)
    found = _Best(max_pairs)
    rules = _Rules(threshold=threshold, min_lead=min_lead, sure=sure)
    for start_row in range(0, num, _CHUNK):
        for block in _blocks(means_SD, next_S, start_row, rules):
            found.add(block)
        tell(num + min(start_row + _CHUNK, num), 2 * num)
    pairs = _pairs(gallery, found, numbers_S)
    logger.info("compared %s subjects, %s pairs", len(numbers_S), found.num)
    return Duplicates(
        pairs=pairs,
        clusters=_clusters(pairs),
        num_pairs=found.num,
        num_subjects=len(numbers_S),
        threshold=threshold,
        seconds=time.monotonic() - start,
    )


def _means(
    pieces: Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The numbers (S,) of the subjects, ascending, and their unit mean templates (S, D)."""
    rows: dict[int, int] = {}
    sums_SD = np.zeros((0, EMBEDDING_DIMENSION), np.float32)
    for owners_N, vectors_ND in pieces:
        owners, places_N = np.unique(owners_N, return_inverse=True)
        rows_of = np.array([rows.setdefault(each, len(rows)) for each in owners.tolist()], int)
        if len(rows) > len(sums_SD):
            more = max(len(rows), len(sums_SD) * 5 // 4) - len(sums_SD)
            sums_SD = np.concatenate([sums_SD, np.zeros((more, sums_SD.shape[1]), np.float32)])
        np.add.at(sums_SD, rows_of[places_N], vectors_ND)
    sums_SD = sums_SD[: len(rows)]
    lengths_S = np.linalg.norm(sums_SD, axis=1)
    numbers_S = np.array(list(rows), np.int64)
    # Templates that cancel each other point nowhere; only vectors made by hand do.
    order = np.argsort(numbers_S)
    order = order[lengths_S[order] > 0]
    means_SD = sums_SD[order]
    means_SD /= lengths_S[order, np.newaxis]
    return numbers_S[order], means_SD


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    threshold: float
    min_lead: float
    sure: float

    def hold(
        self, similarities: NDArray[np.float32], leads: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        high = similarities >= np.float32(self.threshold)
        clear = leads >= np.float32(self.min_lead)
        return high & (clear | (similarities >= np.float32(self.sure)))


_Block = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
"""First and second subjects (P,), as rows, their similarities and leads."""


def _next_closest(means_SD: NDArray[np.float32]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Mean similarity of each subject to the next closest others, the closest one left out."""
    num = len(means_SD)
    num_next = min(_NUM_NEXT, num - 2)
    if num_next < 1:
        return
    for start in range(0, num, _CHUNK):
        some = means_SD[start : start + _CHUNK]
        best = np.full((len(some), 0), -1.0, np.float32)
        for other in range(0, num, _CHUNK):
            similarities = some @ means_SD[other : other + _CHUNK].T
            if other == start:
                np.fill_diagonal(similarities, -1.0)
            best = np.concatenate([best, similarities], axis=1)
            if best.shape[1] > num_next + 1:
                best = -np.partition(-best, num_next, axis=1)[:, : num_next + 1]
        # What stands at the place of the closest one is not taken for one of the next.
        values = (best.sum(axis=1) - best.max(axis=1)) / num_next
        yield slice(start, start + len(some)), values.astype(np.float32)


def _blocks(
    means_SD: NDArray[np.float32], next_S: NDArray[np.float32], start: int, rules: _Rules
) -> Iterator[_Block]:
    """The pairs of a chunk of subjects with those after them."""
    some, next_some = means_SD[start : start + _CHUNK], next_S[start : start + _CHUNK]
    for other in range(start, len(means_SD), _CHUNK):
        similarities: NDArray[np.float32] = some @ means_SD[other : other + _CHUNK].T
        next_both = next_some[:, None] + next_S[None, other : other + _CHUNK]
        leads: NDArray[np.float32] = similarities - np.float32(0.5) * next_both
        held = rules.hold(similarities, leads)
        if other == start:
            # Each pair once, and nobody with oneself.
            held[np.tril_indices(len(some))] = False
        firsts, seconds = np.nonzero(held)
        yield (
            firsts + start,
            seconds + other,
            similarities[firsts, seconds],
            leads[firsts, seconds],
        )


_NO_ROWS = np.zeros(0, np.int64)
_NO_FIGURES = np.zeros(0, np.float32)


class _Best:
    """The most similar pairs of many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.num = 0
        self._blocks: list[_Block] = []
        self._held = 0

    def add(self, block: _Block) -> None:
        self.num += len(block[0])
        self._held += len(block[0])
        self._blocks.append(block)
        if self._held > 2 * self._most:
            self._blocks = [self.best()]
            self._held = len(self._blocks[0][0])

    def best(self) -> _Block:
        """The pairs, the most similar first, equals by who was enrolled first."""
        blocks = self._blocks or [(_NO_ROWS, _NO_ROWS, _NO_FIGURES, _NO_FIGURES)]
        firsts, seconds = (np.concatenate([each[part] for each in blocks]) for part in (0, 1))
        similarities, leads = (np.concatenate([each[part] for each in blocks]) for part in (2, 3))
        order = np.lexsort((seconds, firsts, -similarities))[: self._most]
        return firsts[order], seconds[order], similarities[order], leads[order]


def _pairs(gallery: Gallery, found: _Best, numbers_S: NDArray[np.int64]) -> tuple[LookAlikes, ...]:
    firsts, seconds, similarities, leads = found.best()
    wanted = np.unique(numbers_S[np.concatenate([firsts, seconds])]).tolist()
    subjects = gallery.subjects_by_number(wanted)
    rows = zip(
        numbers_S[firsts].tolist(),
        numbers_S[seconds].tolist(),
        similarities.tolist(),
        leads.tolist(),
        strict=True,
    )
    return tuple(
        LookAlikes(
            first=subjects[first],
            second=subjects[second],
            similarity=min(similarity, 1.0),
            lead=lead,
        )
        for first, second, similarity, lead in rows
        # Somebody may have been removed meanwhile.
        if first in subjects and second in subjects
    )


def _clusters(pairs: tuple[LookAlikes, ...]) -> tuple[tuple[Subject, ...], ...]:
    """The subjects that pairs join, directly or through others."""
    joined: dict[str, list[Subject]] = {}
    for pair in pairs:
        first = joined.setdefault(pair.first.id, [pair.first])
        second = joined.setdefault(pair.second.id, [pair.second])
        if first is not second:
            larger, smaller = (first, second) if len(first) >= len(second) else (second, first)
            larger += smaller
            joined |= {each.id: larger for each in smaller}
    clusters = {id(each): tuple(each) for each in joined.values()}
    return tuple(sorted(clusters.values(), key=len, reverse=True))
