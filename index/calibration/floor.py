"""The model card's threshold under a calibration: never below it where searches are few.

The floor, to the edge:

- An FPIR is supported when at the measured threshold at least thirty different
  people are false positives (the rule of thirty; searches of one person count as one).
- Supported, and 3,000 searches or more: no floor.
- Supported, fewer searches: the card's threshold T(N) for this FPIR; for one that the card has
  not, that for its next smaller one.
- Not supported: one rate of the card stricter than that; from its smallest on the upper end of
  T(N)'s interval. The card was measured on other people, and how much more a gallery's
  strangers look like its subjects than those did, such a gallery cannot tell.
- Smaller than every rate of the card: the card's smallest rate, continued to the larger gallery
  in which the same threshold would give it.
"""

import math
from dataclasses import dataclass

from embedding.errors import RequestInvalid
from embedding.model import ModelCard
from embedding.thresholds import Threshold

MIN_PROBES = 3_000
"""Thirty errors at FPIR 1 %. A gallery of ten that calibrated itself to 1 % gave up to 21 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A threshold that the answer must not be under, and the FPIR of the card it stands for."""

    value: float
    fpir: float


def card_fpirs(card: ModelCard) -> list[float]:
    """The FPIRs that a card has thresholds for, ascending.

    Raises:
        RequestInvalid: none.
    """
    fpirs = sorted({each.fpir for each in card.thresholds})
    if not fpirs:
        raise RequestInvalid(
            f"the card of model {card.name!r} holds no thresholds; a gallery can only be "
            f"calibrated with a card that does"
        )
    return fpirs


def card_threshold(card: ModelCard, *, fpir: float, num_subjects: int) -> Threshold:
    """Return a card's threshold for an FPIR, also for one smaller than all that it has.

    If each subject is hit by itself, FPIR = 1 - (1 - FMR)^N: a threshold has the smaller rate
    with N people where it has the card's smallest with ln(1 - smallest) / ln(1 - FPIR) times as
    many. Their threshold is taken, and marked as extrapolated.

    Raises:
        RequestInvalid: the card has larger rates and smaller ones, but not this one, or none.
    """
    smallest = card_fpirs(card)[0]
    if fpir >= smallest * (1 - 1e-9):
        return card.threshold(fpir=fpir, num_subjects=num_subjects)
    times = math.log1p(-smallest) / math.log1p(-fpir)
    found = card.threshold(fpir=smallest, num_subjects=math.ceil(times * max(1, num_subjects)))
    return Threshold(
        value=found.value,
        low=found.low,
        high=found.high,
        fpir=fpir,
        num_subjects=num_subjects,
        num_probes=found.num_probes,
        extrapolated=True,
    )


def card_floor(
    card: ModelCard, *, fpir: float, num_subjects: int, num_probes: int, supported: bool
) -> Floor | None:
    """What the card demands; None where the searches speak for themselves.

    Args:
        card: of the gallery's model.
        fpir: wanted.
        num_subjects: N.
        num_probes: searches behind the measurement.
        supported: whether they support the rate.
    """
    if supported and num_probes >= MIN_PROBES:
        return None
    # Of the card's rates those that promise at least as much.
    held = [each for each in card_fpirs(card) if each <= fpir * (1 + 1e-9)]
    chosen = held[-1] if held else fpir
    if supported or len(held) > 1:
        chosen = chosen if supported else held[-2]
        value = card_threshold(card, fpir=chosen, num_subjects=num_subjects).value
    else:
        value = card_threshold(card, fpir=chosen, num_subjects=num_subjects).high
    return Floor(value=value, fpir=chosen)
