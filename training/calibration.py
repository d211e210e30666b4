"""The thresholds of a card: from whom of the held-out people they are taken, and their grid.

Shape legend: P probes, S subjects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from embedding.error_rates import RULE_OF_THIRTY, ThresholdPoint, threshold_by_size
from embedding.model import Threshold
from training.protocols import NUM_TEMPLATES, OpenSetTable

# 30 errors at FPIR 0.1 % would need 30,000 strangers; nobody here has held out that many.
FPIRS = (0.05, 0.01, 0.001)
SIZES = (1, 3, 10, 30, 100, 250)
# The bootstrap keeps about 63 % of the people, and its galleries need that many.
MAX_SHARE = 0.6
# Beyond the grid thresholds go on by its last two sizes, so a grid that ends well below what the
# people allow gets one more.
WELL_ABOVE = 2
# A grid of fewer sharp people would not reach galleries of thirty, and say little of larger ones.
MIN_SHARP_PEOPLE = 60
# The rate of a match: what the two groups are compared at.
COMPARED_FPIR = 0.01

Group = Literal["everybody", "sharp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Thresholds, and on whom they were measured.

    Attributes:
        thresholds: a grid over FPIR and gallery size.
        group: whose thresholds they are.
        num_people: of the group.
        num_searches: of strangers, by them.
        compared_size: gallery size at which the groups were compared; None where there is only
            one group.
        compared: threshold of each group there, for FPIR 1 %.
    """

    thresholds: tuple[Threshold, ...]
    group: Group
    num_people: int
    num_searches: int
    compared_size: int | None = None
    compared: Mapping[Group, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For the measured figures of a card."""
        values: dict[str, Any] = {
            "people": self.group,
            "num_people": self.num_people,
            "num_searches": self.num_searches,
        }
        if self.compared_size is not None:
            values[f"threshold_at_fpir_{COMPARED_FPIR:g}_of_{self.compared_size}"] = dict(
                self.compared
            )
        return values

    def in_words(self) -> str:
        """For the notes of a card; the sentence before says who the people are."""
        people = f"all {self.num_people} of them"
        if self.group == "sharp":
            people = f"the {self.num_people} of them with sharp images"
        compared = "; ".join(f"{group} {value:.3f}" for group, value in self.compared.items())
        if compared:
            people += (
                ", the group whose strangers look more alike (threshold for FPIR "
                f"{100 * COMPARED_FPIR:g} % at {self.compared_size} people: {compared})"
            )
        largest = max(one.num_subjects for one in self.thresholds)
        return (
            f"Thresholds are those of {people}: {self.num_searches} searches, up to "
            f"{NUM_TEMPLATES} templates a subject, fused by maximum, on aligned crops. More "
            "templates a subject raise the real FPIR. Rates behind which fewer than "
            f"{RULE_OF_THIRTY} errors stand are marked as extrapolated, and gallery sizes beyond "
            f"{largest} people are extrapolated over ln N."
        )


def calibrate(table: OpenSetTable, sharp: Sequence[bool]) -> Calibration:
    """The thresholds of whichever looks more alike: the people with sharp images, or everybody.

    A service cannot tell who will come. Blurred strangers resemble nobody, so many of them pull
    the thresholds down, and sharp ones would then be named more often than promised. The groups
    are compared at the largest gallery that both allow; one group's grid is taken whole.

    Args:
        table: of the held-out people.
        sharp: whether each of them has sharp images.
    """
    num_sharp = sum(sharp)
    if num_sharp < MIN_SHARP_PEOPLE or num_sharp == len(sharp):
        return _of_group("everybody", table)
    tables: dict[Group, OpenSetTable] = {
        "sharp": table.of_subjects(np.flatnonzero(sharp)),
        "everybody": table,
    }
    size = grid_sizes(num_sharp)[-1]
    compared = {
        group: round(_point(members, COMPARED_FPIR, size).value, 4)
        for group, members in tables.items()
    }
    harder = max(compared, key=lambda group: compared[group])
    return _of_group(harder, tables[harder], compared_size=size, compared=compared)


def grid_sizes(num_people: int) -> list[int]:
    """The gallery sizes that thresholds of so many people are measured at, rising."""
    sizes = [size for size in SIZES if size < MAX_SHARE * num_people]
    largest = _rounded_down(int(np.ceil(MAX_SHARE * num_people)) - 1)
    if sizes and largest >= WELL_ABOVE * sizes[-1]:
        sizes.append(largest)
    return sizes


def _rounded_down(number: int) -> int:
    """The next number of one digit and zeros at or below it."""
    unit: int = 10 ** (len(str(number)) - 1)
    return number // unit * unit


def _of_group(
    group: Group,
    table: OpenSetTable,
    *,
    compared_size: int | None = None,
    compared: Mapping[Group, float] | None = None,
) -> Calibration:
    num_people = table.similarities_PS.shape[1]
    return Calibration(
        thresholds=_grid(table),
        group=group,
        num_people=num_people,
        num_searches=len(table.own_subject_P),
        compared_size=compared_size,
        compared=compared or {},
    )


def _grid(table: OpenSetTable) -> tuple[Threshold, ...]:
    """Marked as extrapolated is a point behind which fewer than thirty errors stand."""
    thresholds = []
    for fpir in FPIRS:
        for size in grid_sizes(table.similarities_PS.shape[1]):
            point = _point(table, fpir, size)
            thresholds.append(
                Threshold(
                    value=round(point.value, 4),
                    low=round(point.low, 4),
                    high=round(point.high, 4),
                    fpir=fpir,
                    num_subjects=size,
                    num_probes=point.num_probes,
                    extrapolated=fpir * point.num_probes < RULE_OF_THIRTY,
                )
            )
    return tuple(thresholds)


def _point(table: OpenSetTable, fpir: float, size: int) -> ThresholdPoint:
    return threshold_by_size(
        table.similarities_PS, table.own_subject_P, fpir=fpir, num_subjects=size
    )
