"""What it costs and gives that a match must lead over the second candidate.

Everything under one fusion rule, at the threshold that keeps the wanted FPIR without a lead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedding.error_rates import smallest_threshold
from training.evaluation.open_set import OpenSet
from training.evaluation.searches import Searches

FPIR = 0.01
LEADS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Led:
    """What a smallest lead does.

    Attributes:
        lead: that a match must have.
        num_right: mated searches that are matched with their own subject.
        num_wrong: mated searches that are matched with somebody else.
        num_mated: mated searches.
        num_strangers_named: searches of strangers that are matched.
        num_strangers: searches of strangers.
    """

    lead: float
    num_right: int
    num_wrong: int
    num_mated: int
    num_strangers_named: int
    num_strangers: int


def by_leads(
    open_set: OpenSet, searches: Searches, *, leads: Sequence[float] = LEADS
) -> list[Led]:
    """The answers for every lead."""
    mated, strangers = open_set.is_mated_R, open_set.is_stranger_R
    threshold = smallest_threshold(searches.best_other_R[strangers], FPIR)
    others_R, second_R = searches.top_similarity_RK[:, 0], searches.top_similarity_RK[:, 1]
    own_R = searches.own_R
    right_R = (own_R > others_R) & (own_R >= threshold)
    named_R = others_R >= threshold
    lead_of_own_R = own_R - others_R
    # Of a mated search that names somebody else, the second is the closer of own and next other.
    lead_of_other_R = others_R - np.maximum(own_R, second_R)
    lead_of_stranger_R = others_R - second_R
    return [
        Led(
            lead=lead,
            num_right=int((mated & right_R & (lead_of_own_R >= lead)).sum()),
            num_wrong=int(
                (mated & named_R & (own_R <= others_R) & (lead_of_other_R >= lead)).sum()
            ),
            num_mated=int(mated.sum()),
            num_strangers_named=int((strangers & named_R & (lead_of_stranger_R >= lead)).sum()),
            num_strangers=int(strangers.sum()),
        )
        for lead in leads
    ]
