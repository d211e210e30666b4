"""Error rates by groups of people, from a list that says who belongs where.

Shape legend: I identities, R searches, B images.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.error_rates import RULE_OF_THIRTY, RateAtThreshold, rate_with_interval
from embedding.errors import DataInvalid
from training.evaluation.images import NUM_NAMED
from training.evaluation.open_set import OpenSet
from training.evaluation.searches import Searches

HEADER = ["identity", "group"]
NO_GROUP = "(none)"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFigures:
    """Rates of one group at a threshold that is common to all.

    Attributes:
        name: of the group.
        num_subjects: enrolled people of it.
        fnir: misses among their mated searches; None without any.
        fpir: strangers' searches of the group that return a candidate; None without any.
        refusals: images of the group, of all its people, that are shorter than the norm floor.
        is_reliable: at least 30 errors stand behind both FNIR and FPIR.
    """

    name: str
    num_subjects: int
    fnir: RateAtThreshold | None
    fpir: RateAtThreshold | None
    refusals: RateAtThreshold
    is_reliable: bool


def read_groups(file: Path) -> dict[str, str]:
    """The group of each identity, from a CSV file with the columns ``identity,group``.

    An empty group is as good as no line.

    Raises:
        DataInvalid: no such file, another header, a line of another form, or an identity twice.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            header, *rows = [row for row in csv.reader(stream, strict=True) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataInvalid(f"{file} cannot be read as a CSV file in UTF-8: {error}") from error
    if [field.strip() for field in header] != HEADER:
        raise DataInvalid(
            f"{file} begins with {','.join(header)[:60]!r}; its first line must be "
            f"{','.join(HEADER)}"
        )
    odd = [",".join(row) for row in rows if len(row) != len(HEADER) or not row[0].strip()]
    if odd:
        raise DataInvalid(f"{file} has {_named(odd, 'lines')} without exactly identity,group")
    groups: dict[str, str] = {}
    twice = []
    for identity, group in ((row[0].strip(), row[1].strip()) for row in rows):
        if identity in groups:
            twice.append(identity)
        groups[identity] = group
    if twice:
        raise DataInvalid(f"{file} has {_named(twice, 'identities')} twice; give one line each")
    return {identity: group for identity, group in groups.items() if group}


def check_identities(groups: Mapping[str, str], names: Sequence[str], file: Path) -> None:
    """Refuses a list that speaks of people who are in no set.

    Raises:
        DataInvalid: with the number of such people and the first three.
    """
    known = set(names)
    unknown = [identity for identity in groups if identity not in known]
    if unknown:
        raise DataInvalid(
            f"{file} has {_named(unknown, 'identities')} that no measured set holds; write names "
            "as the subfolders have them"
        )


def figures_by_group(
    groups_I: Sequence[str | None],
    open_set: OpenSet,
    searches: Searches,
    *,
    identity_B: NDArray[np.int64],
    norms_B: NDArray[np.float32],
    norm_floor: float,
    threshold: float,
) -> tuple[GroupFigures, ...]:
    """Figures of each group, by name; people without one come last.

    Args:
        groups_I: group of each identity.
        open_set: who searches for whom.
        searches: what they found.
        identity_B: of each image.
        norms_B: of each image.
        norm_floor: shorter ones are refused.
        threshold: common to all groups.
    """
    names = sorted({group for group in groups_I if group is not None})
    if not names:
        return ()
    number_of = {name: number for number, name in enumerate(names)}
    group_I = np.array([len(names) if one is None else number_of[one] for one in groups_I])
    group_B = group_I[identity_B]
    group_R, group_S = group_B[open_set.probes_R], group_I[open_set.subjects_S]
    is_hit_R = (searches.own_R > searches.best_other_R) & (searches.own_R >= threshold)
    is_false_R = searches.best_other_R >= threshold
    is_short_B = norms_B < norm_floor
    figures = []
    for number, name in enumerate([*names, NO_GROUP]):
        if not (group_B == number).any():
            continue
        fnir = _rate(~is_hit_R, open_set.is_mated_R & (group_R == number))
        fpir = _rate(is_false_R, open_set.is_stranger_R & (group_R == number))
        errors = [rate.num_errors for rate in (fnir, fpir) if rate is not None]
        figures.append(
            GroupFigures(
                name=name,
                num_subjects=int((group_S == number).sum()),
                fnir=fnir,
                fpir=fpir,
                refusals=rate_with_interval(
                    int((is_short_B & (group_B == number)).sum()), int((group_B == number).sum())
                ),
                is_reliable=min(errors, default=0) >= RULE_OF_THIRTY,
            )
        )
    return tuple(figures)


def _rate(
    is_error_R: NDArray[np.bool_], is_counted_R: NDArray[np.bool_]
) -> RateAtThreshold | None:
    num_trials = int(is_counted_R.sum())
    if not num_trials:
        return None
    return rate_with_interval(int((is_error_R & is_counted_R).sum()), num_trials)


def _named(names: Sequence[str], what: str) -> str:
    """A count with the first three, for a message."""
    return f"{len(names)} {what} (such as {', '.join(names[:NUM_NAMED])})"
