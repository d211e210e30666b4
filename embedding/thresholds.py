"""Thresholds over gallery sizes: what a model card holds, and what lies between."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The similarity from which on a candidate is a match, for one FPIR and gallery size.

    Attributes:
        value: match when similarity >= value.
        low: lower end of the 95 % interval of ``value``.
        high: upper end of the 95 % interval of ``value``.
        fpir: the false positive identification rate that ``value`` stands for.
        num_subjects: gallery size N for which it holds.
        num_probes: non-mated searches behind the measurement.
        extrapolated: the figure was not measured at this FPIR and N, but continued from
            figures that were.
    """

    value: float
    low: float
    high: float
    fpir: float
    num_subjects: int
    num_probes: int
    extrapolated: bool


def threshold_at(grid: list[Threshold], num_subjects: int) -> Threshold:
    """The threshold at a gallery size; see ``ModelCard.threshold``.

    Beyond the grid it never falls: a measured last step downwards is noise, for the FPIR grows
    with the gallery.

    Args:
        grid: not empty, of one FPIR, sorted by gallery size, no size twice.
        num_subjects: at least 1.
    """
    first, last = grid[0], grid[-1]
    beyond = num_subjects > last.num_subjects
    if num_subjects <= first.num_subjects or (beyond and len(grid) == 1):
        nearest = first
        below, above, weight = nearest, nearest, 0.0
    else:
        upper = next(
            (i for i, t in enumerate(grid) if i and t.num_subjects >= num_subjects), len(grid) - 1
        )
        below, above = grid[upper - 1], grid[upper]
        weight = math.log(num_subjects / below.num_subjects) / math.log(
            above.num_subjects / below.num_subjects
        )

    def blend(start: float, end: float) -> float:
        blended = min(1.0, start + weight * (end - start))
        return max(end, blended) if beyond else blended

    value = blend(below.value, above.value)
    return Threshold(
        value=value,
        low=min(value, blend(below.low, above.low)),
        high=max(value, blend(below.high, above.high)),
        fpir=first.fpir,
        num_subjects=num_subjects,
        num_probes=min(below.num_probes, above.num_probes),
        extrapolated=beyond or below.extrapolated or (weight > 0.0 and above.extrapolated),
    )
