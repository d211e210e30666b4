"""Whether normalising helps: the misses at an equal FPIR, on people used for nothing else.

Strangers are split by person: a quarter is the cohort, a quarter judges, half calibrates. Both
ways get the threshold at which the judging strangers give the FPIR, and then miss some of the
gallery's own people. Normalising is kept only if it misses fewer of them beyond chance: the 95 %
interval of the difference, over people drawn anew on both sides (percentile bootstrap), lies
below 0.

Shapes: P judging searches, M mated searches, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedding.error_rates import RULE_OF_THIRTY, smallest_threshold
from embedding.errors import RequestInvalid
from index.calibration.mated import Mated
from index.calibration.normalisation import MIN_COHORT
from index.calibration.searches import NonMated
from index.calibration.strangers import Strangers

_NUM_RESAMPLES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a cohort's normalisation did.

    Attributes:
        fpir: at which the misses were counted.
        num_cohort: people of the cohort.
        num_judging: people who set the threshold.
        num_mated: searches of enrolled people.
        fnir: of similarities.
        fnir_normalised: at the same FPIR.
        low: lower end of the 95 % interval of the second less the first.
        high: upper end of it.
        kept: whether it is in use.
        reason: why not, in words; empty when it is.
    """

    fpir: float
    num_cohort: int
    num_judging: int
    num_mated: int
    fnir: float
    fnir_normalised: float
    low: float
    high: float
    kept: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """Strangers by what they are used for; nobody plays two parts."""

    cohort: Strangers
    judging: Strangers
    calibrating: Strangers


def split(strangers: Strangers, *, seed: int) -> Parts:
    """Draw who plays which part.

    Raises:
        RequestInvalid: too few people for a cohort.
    """
    people = np.random.default_rng(seed).permutation(np.unique(strangers.person_P))
    quarter = len(people) // 4
    if quarter < MIN_COHORT:
        raise RequestInvalid(
            f"normalising takes a quarter of the strangers for its cohort, {MIN_COHORT} people at "
            f"least, but there are {len(people)} strangers in all"
        )
    return Parts(
        cohort=strangers.of_people(people[:quarter]),
        judging=strangers.of_people(people[quarter : 2 * quarter]),
        calibrating=strangers.of_people(people[2 * quarter :]),
    )


def deciding_fpir(fpirs: Sequence[float], num_judging: int) -> float:
    """The smallest FPIR with thirty errors among the judging searches, or else the largest."""
    supported = [each for each in fpirs if each * num_judging >= RULE_OF_THIRTY - 1e-9]
    return min(supported) if supported else max(fpirs)


def judge(
    *,
    plain: tuple[NonMated, Mated],
    normalised: tuple[NonMated, Mated],
    fpir: float,
    num_cohort: int,
    seed: int,
) -> Judgement:
    """Return whether normalised searches miss fewer people than plain ones at the same FPIR.

    Args:
        plain: the judging strangers' searches, and those of enrolled people.
        normalised: the same searches, in the same order.
        fpir: that both thresholds are set for.
        num_cohort: people behind the normalisation.
        seed: of the resamples.
    """
    rng = np.random.default_rng(seed)
    fnir, fnir_normalised = (
        float(mated.missed(smallest_threshold(strangers.best_P, fpir)).mean())
        for strangers, mated in (plain, normalised)
    )
    differences_R = np.empty(_NUM_RESAMPLES)
    for number in range(_NUM_RESAMPLES):
        weight_P = _drawn(plain[0].person_P, rng)
        weight_M = _drawn(plain[1].subject_M, rng)
        before, after = (
            _missed(strangers.best_P, weight_P, mated, weight_M, fpir)
            for strangers, mated in (plain, normalised)
        )
        differences_R[number] = after - before
    low, high = (float(each) for each in np.quantile(differences_R, [0.025, 0.975]))
    num_judging = plain[0].num_people
    reason = ""
    if fpir * plain[0].num_probes < RULE_OF_THIRTY - 1e-9:
        reason = "too few strangers to judge it by"
    elif fnir_normalised >= fnir or high >= 0.0:
        reason = "it does not miss fewer people at an equal FPIR, or not beyond chance"
    return Judgement(
        fpir=fpir,
        num_cohort=num_cohort,
        num_judging=num_judging,
        num_mated=len(plain[1].own_M),
        fnir=fnir,
        fnir_normalised=fnir_normalised,
        low=low,
        high=high,
        kept=not reason,
        reason=reason,
    )


def _drawn(person_P: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each search counts when people are drawn as a whole, with replacement."""
    _, number_P = np.unique(person_P, return_inverse=True)
    num_people = int(number_P.max()) + 1
    times = np.bincount(rng.integers(num_people, size=num_people), minlength=num_people)
    weight_P: NDArray[np.float64] = times[number_P].astype(np.float64)
    return weight_P


def _missed(
    best_P: NDArray[np.float64],
    weight_P: NDArray[np.float64],
    mated: Mated,
    weight_M: NDArray[np.float64],
    fpir: float,
) -> float:
    """The weighted FNIR at the smallest threshold that keeps the weighted FPIR."""
    order_P = np.argsort(-best_P, kind="stable")
    reached_P = np.cumsum(weight_P[order_P])
    allowed = fpir * reached_P[-1] + 1e-9
    refused = int(np.searchsorted(reached_P, allowed, side="right"))
    threshold = float(np.nextafter(best_P[order_P[min(refused, len(best_P) - 1)]], np.inf))
    return float((mated.missed(threshold) * weight_M).sum() / weight_M.sum())
