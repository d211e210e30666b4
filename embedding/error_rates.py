"""Error rates of verification (1:1) and open-set identification (1:N), in pure NumPy.

Everything follows one convention: a comparison is accepted when similarity >= threshold. A
threshold for a wanted error rate is the smallest one that keeps the rate at or below it, never
interpolated between scores, never the nearest rate (NIST FRTE definitions of FPIR and FNIR).

Shape legend: P probes, S subjects, N non-mated comparisons or searches, M mated ones.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embedding.errors import RequestInvalid

# Below 30 errors a rate is known to worse than about a third of itself ("rule of thirty").
RULE_OF_THIRTY = 30

# Random galleries a resampled set of people: enough to take most of the draw's own noise out.
_BOOTSTRAP_DRAWS = 8


def smallest_threshold(non_mated_N: ArrayLike, rate: float) -> float:
    """The smallest threshold at which at most `rate` of the non-mated similarities are accepted.

    For 1:1 the similarities are those of impostor pairs and the rate is a FAR; for 1:N they are
    each stranger's best similarity in the gallery and the rate is an FPIR.

    Args:
        non_mated_N: similarities, at least one, finite.
        rate: wanted rate, 0 <= rate < 1.

    Returns:
        A threshold just above the largest similarity that has to be refused.

    Raises:
        RequestInvalid: no similarities, one that is not finite, or a rate outside [0, 1).
    """
    similarities = _finite(non_mated_N, "non-mated similarities")
    if not 0.0 <= rate < 1.0:
        raise RequestInvalid(f"an error rate lies in [0, 1), got {rate}")
    # The tiny addend keeps 0.001 * 3000 from becoming 2.9999999999999996.
    num_allowed = min(math.floor(rate * len(similarities) + 1e-9), len(similarities) - 1)
    descending = np.sort(similarities)[::-1]
    return float(np.nextafter(descending[num_allowed], np.inf))


@dataclass(frozen=True, slots=True, kw_only=True)
class RateAtThreshold:
    """A share with the counts behind it and its interval.

    Attributes:
        num_errors: errors (for a TAR: acceptances).
        num_trials: comparisons or searches.
        low: lower end of the 95 % Wilson interval.
        high: upper end.
    """

    num_errors: int
    num_trials: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """num_errors / num_trials."""
        return self.num_errors / self.num_trials


def rate_with_interval(
    num_errors: int, num_trials: int, *, confidence: float = 0.95
) -> RateAtThreshold:
    """A rate with its Wilson score interval (Wilson 1927), which holds for few errors too.

    The interval takes trials as independent; several images of one person are not, so it is a
    lower bound on the doubt.

    Raises:
        RequestInvalid: no trials, or more errors than trials.
    """
    if num_trials <= 0 or not 0 <= num_errors <= num_trials:
        raise RequestInvalid(f"cannot form a rate from {num_errors} errors in {num_trials} trials")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = num_errors / num_trials
    denominator = 1 + z * z / num_trials
    centre = (share + z * z / (2 * num_trials)) / denominator
    spread = share * (1 - share) / num_trials + z * z / (4 * num_trials**2)
    half_width = z * math.sqrt(spread) / denominator
    # At the ends the interval touches 0 or 1 exactly; rounding would leave a crumb.
    low = 0.0 if num_errors == 0 else max(0.0, centre - half_width)
    high = 1.0 if num_errors == num_trials else min(1.0, centre + half_width)
    return RateAtThreshold(num_errors=num_errors, num_trials=num_trials, low=low, high=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarAtFar:
    """TAR at the smallest threshold whose FAR is at or below the wanted one."""

    far_wanted: float
    threshold: float
    tar: RateAtThreshold
    far: RateAtThreshold


def tar_at_far(mated_M: ArrayLike, non_mated_N: ArrayLike, far: float) -> TarAtFar:
    """True accept rate at a wanted false accept rate, with counts.

    Raises:
        RequestInvalid: an empty or non-finite list, or a rate outside [0, 1).
    """
    mated = _finite(mated_M, "mated similarities")
    non_mated = _finite(non_mated_N, "non-mated similarities")
    threshold = smallest_threshold(non_mated, far)
    return TarAtFar(
        far_wanted=far,
        threshold=threshold,
        tar=rate_with_interval(int((mated >= threshold).sum()), len(mated)),
        far=rate_with_interval(int((non_mated >= threshold).sum()), len(non_mated)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldAccuracy:
    """Verification accuracy by folds: mean, standard deviation over folds, and each fold's."""

    mean: float
    deviation: float
    folds: tuple[float, ...]


def fold_accuracy(similarities: ArrayLike, same: ArrayLike, folds: ArrayLike) -> FoldAccuracy:
    """Accuracy of pairs, the threshold chosen on all other folds (LFW's protocol).

    Args:
        similarities: one a pair.
        same: whether a pair shows one person.
        folds: the fold of each pair; folds are not shuffled.

    Raises:
        RequestInvalid: fewer than two folds, or lists of different lengths.
    """
    values = _finite(similarities, "similarities")
    truth, fold_of = np.asarray(same, bool), np.asarray(folds)
    names = np.unique(fold_of)
    if len(names) < 2 or not len(values) == len(truth) == len(fold_of):
        raise RequestInvalid(
            f"need at least two folds and lists of equal length, got {len(names)} folds and "
            f"lengths {len(values)}, {len(truth)}, {len(fold_of)}"
        )
    accuracies = []
    for name in names:
        test = fold_of == name
        threshold = _most_accurate_threshold(values[~test], truth[~test])
        accuracies.append(float(np.mean((values[test] >= threshold) == truth[test])))
    return FoldAccuracy(
        mean=float(np.mean(accuracies)),
        deviation=float(np.std(accuracies)),
        folds=tuple(accuracies),
    )


def _most_accurate_threshold(values: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """The threshold, among the values themselves and one above all, with the most right pairs."""
    order = np.argsort(-values, kind="stable")
    ordered, right = values[order], truth[order]
    # Accepting the first k pairs: k ranges over 0..n, but not inside a run of equal values.
    num_right = np.concatenate([[0], np.cumsum(right)]) + (~right).sum()
    num_right = num_right - np.concatenate([[0], np.cumsum(~right)])
    allowed = np.concatenate([[True], ordered[:-1] != ordered[1:], [True]])
    best = int(np.argmax(np.where(allowed, num_right, -1)))
    return float(np.nextafter(ordered[0], np.inf)) if best == 0 else float(ordered[best - 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentificationRates:
    """Open-set identification at one threshold.

    Attributes:
        fpir: strangers' searches that return a candidate at or above the threshold.
        fnir: enrolled people's searches whose own subject is not first or below the threshold.
        rank1: enrolled people's searches whose own subject is first, whatever the threshold
            (here `num_errors` counts the hits).
        threshold: similarity from which a candidate is returned.
        num_subjects: N, the gallery's size in subjects.
    """

    fpir: RateAtThreshold
    fnir: RateAtThreshold
    rank1: RateAtThreshold
    threshold: float
    num_subjects: int


def identification_rates(
    *,
    mated_similarity_M: ArrayLike,
    mated_is_first_M: ArrayLike,
    best_non_mated_N: ArrayLike,
    threshold: float,
    num_subjects: int,
) -> IdentificationRates:
    """FPIR, FNIR and rank-1 with counts.

    Args:
        mated_similarity_M: each mated probe's similarity to its own subject.
        mated_is_first_M: whether its own subject is ranked first.
        best_non_mated_N: each stranger's best similarity over the gallery.
        threshold: T.
        num_subjects: N.
    """
    mated = _finite(mated_similarity_M, "mated similarities")
    first = np.asarray(mated_is_first_M, bool)
    non_mated = _finite(best_non_mated_N, "non-mated similarities")
    return IdentificationRates(
        fpir=rate_with_interval(int((non_mated >= threshold).sum()), len(non_mated)),
        fnir=rate_with_interval(int((~first | (mated < threshold)).sum()), len(mated)),
        rank1=rate_with_interval(int(first.sum()), len(mated)),
        threshold=threshold,
        num_subjects=num_subjects,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdPoint:
    """A threshold for one gallery size with the counts and the interval behind it."""

    value: float
    low: float
    high: float
    num_subjects: int
    num_probes: int


def threshold_by_size(
    similarities_PS: ArrayLike,
    own_subject_P: ArrayLike,
    *,
    fpir: float,
    num_subjects: int,
    num_draws: int = 400,
    num_bootstraps: int = 100,
    seed: int = 0,
) -> ThresholdPoint:
    """The threshold for a wanted FPIR at a gallery of `num_subjects`, from held-out people.

    Each probe is searched against random galleries of other people; its best similarity there
    is what a stranger would reach. The threshold is the (1 - FPIR) quantile over all draws
    together; the interval is a 95 % percentile bootstrap over people, who are drawn as a whole,
    as probes and as gallery, each time with a few random galleries.

    Args:
        similarities_PS: each probe's fused similarity to each held-out subject.
        own_subject_P: the column of the probe's own subject, which is never in its gallery.
        fpir: wanted rate.
        num_subjects: N, smaller than the number of held-out subjects.
        num_draws: random galleries.
        num_bootstraps: resampled sets of people.
        seed: of both.

    Raises:
        RequestInvalid: more subjects asked for than were held out.
    """
    table_PS = np.array(similarities_PS, np.float64)
    own_P = np.asarray(own_subject_P)
    num_columns = table_PS.shape[1]
    if not 1 <= num_subjects < num_columns:
        raise RequestInvalid(
            f"a gallery of {num_subjects} needs more than {num_subjects} held-out people, "
            f"got {num_columns}"
        )
    table_PS[np.arange(len(own_P)), own_P] = -np.inf
    rng = np.random.default_rng(seed)
    columns = np.arange(num_columns)
    drawn = [_best_of(table_PS, columns, num_subjects, rng) for _ in range(num_draws)]
    value = smallest_threshold(np.concatenate(drawn), fpir)
    resampled = []
    for _ in range(num_bootstraps):
        people = rng.choice(columns, size=num_columns)
        rows = np.concatenate([np.flatnonzero(own_P == person) for person in people])
        part_PS, others = table_PS[rows], np.unique(people)
        best = np.concatenate(
            [_best_of(part_PS, others, num_subjects, rng) for _ in range(_BOOTSTRAP_DRAWS)]
        )
        resampled.append(smallest_threshold(best[np.isfinite(best)], fpir))
    low, high = np.quantile(resampled, [0.025, 0.975])
    return ThresholdPoint(
        value=value,
        low=float(min(low, value)),
        high=float(max(high, value)),
        num_subjects=num_subjects,
        num_probes=len(own_P),
    )


def _best_of(
    table_PS: NDArray[np.float64],
    columns: NDArray[np.int64],
    num_subjects: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Each probe's best similarity in one random gallery; its own column holds -inf."""
    chosen = rng.choice(columns, size=min(num_subjects + 1, len(columns)), replace=False)
    # One column too many: a probe whose own subject was drawn searches all the others, a probe
    # whose own subject was not drawn leaves the last one out, so each searches exactly N.
    part_PS = table_PS[:, chosen]
    own_drawn_P = np.isneginf(part_PS).any(axis=1)
    best_P: NDArray[np.float64] = np.where(
        own_drawn_P, part_PS.max(axis=1), part_PS[:, :-1].max(axis=1, initial=-np.inf)
    )
    return best_P


def _finite(values: ArrayLike, what: str) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64).ravel()
    if not len(array):
        raise RequestInvalid(f"no {what} were given")
    if not np.isfinite(array).all():
        raise RequestInvalid(f"{what} must be finite numbers, got NaN or infinity among them")
    return array
