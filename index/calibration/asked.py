"""Thresholds for what one request asks: any FPIR, or a similarity of the caller's own.

The rules, to the edge:

- A rate is *held* where the calibration that is in force, or else the model card, has a threshold
  for it. Of an FPIR that is not held the largest held one below it decides: nobody is promised
  less than what was asked for.
- Below every held rate the threshold is continued from the card and marked as extrapolated; it is
  never under that of the smallest held rate.
- A caller's own similarity stands for the smallest held rate whose threshold it reaches, and for
  an FPIR of 1, which promises nothing, where it reaches none.
- A cohort's normalisation gives figures that the card knows nothing of: the card decides instead,
  where a rate is not held, and where the caller gives a similarity.
"""

import math
from dataclasses import replace
from typing import Final

from embedding.errors import RequestInvalid
from embedding.model import ModelCard
from embedding.thresholds import Threshold
from index.calibration.floor import card_fpirs, card_threshold
from index.calibration.in_force import Known, ThresholdsInForce, not_above

SMALLEST_RATE: Final = 1e-6
"""Thirty errors at it would take thirty million strangers; what is below is not worth a line."""

_NOT_HELD: Final = (
    "its calibration is normalised and was not made for FPIR {:g}, so the model card decides"
)
_FIGURES: Final = (
    "its calibration is normalised, and a threshold of the caller's own is a similarity, so the "
    "model card decides"
)


def check_rate(rate: float, *, name: str = "fpir") -> None:
    """Pass a rate that a threshold can stand for.

    Raises:
        RequestInvalid: not a number, 0, 1 or beyond, or smaller than anybody could measure.
    """
    if not SMALLEST_RATE <= rate < 1.0:
        raise RequestInvalid(
            f"{name} is a rate from {SMALLEST_RATE:g} to below 1, but was {rate:g}: 0 would "
            "refuse everybody and 1 accept everybody"
        )


def check_similarity(threshold: float) -> None:
    """Pass a cosine that may decide.

    Raises:
        RequestInvalid: not a number, or not in [-1, 1].
    """
    if not (math.isfinite(threshold) and -1.0 <= threshold <= 1.0):
        raise RequestInvalid(f"threshold is a similarity from -1 to 1, but was {threshold:g}")


def card_at_most(card: ModelCard, *, rate: float, num_subjects: int) -> Threshold:
    """Return a card's threshold for a rate, or for the largest smaller one that it holds.

    Below all that it holds it is continued, and marked as extrapolated.

    Raises:
        RequestInvalid: the card holds no thresholds.
    """
    held = _at_most(card_fpirs(card), rate)
    return card_threshold(
        card, fpir=rate if held is None else held, num_subjects=max(1, num_subjects)
    )


def thresholds_for_fpir(
    known: Known, *, card: ModelCard, fpir: float, review_fpir: float
) -> ThresholdsInForce:
    """Return the thresholds for a wanted FPIR, whatever rates are held.

    Args:
        known: of the gallery.
        card: of its model.
        fpir: wanted for ``match``.
        review_fpir: usual for ``review``; where it is not larger than the wanted one, there is no
            band.

    Raises:
        RequestInvalid: no rate, or the card holds no thresholds.
    """
    check_rate(fpir)
    held = _held(known, card)
    match_fpir = _at_most(held, fpir)
    if match_fpir is None and known.normalisation is not None:
        known = replace(known, left_out=_NOT_HELD.format(fpir))
        held = _held(known, card)
        match_fpir = _at_most(held, fpir)
    review_at = _at_most(held, max(fpir, review_fpir))
    found = known.thresholds(
        card=card, fpir=match_fpir or held[0], review_fpir=review_at or held[0]
    )
    if match_fpir is not None:
        return found
    continued = card_at_most(card, rate=fpir, num_subjects=known.num_subjects)
    value = max(found.match.value, continued.value)
    match = Threshold(
        value=value,
        low=min(value, max(found.match.low, continued.low)),
        high=max(value, found.match.high, continued.high),
        fpir=fpir,
        num_subjects=found.match.num_subjects,
        num_probes=found.match.num_probes,
        extrapolated=True,
    )
    return replace(found, match=match, review=not_above(match, found.review))


def thresholds_at(
    known: Known, *, card: ModelCard, threshold: float, review_fpir: float
) -> ThresholdsInForce:
    """Return the thresholds where ``match`` begins at a similarity of the caller's.

    Args:
        known: of the gallery.
        card: of its model.
        threshold: smallest similarity of a ``match``.
        review_fpir: usual for ``review``, which never begins above ``match``.

    Raises:
        RequestInvalid: no similarity, or the card holds no thresholds.
    """
    check_similarity(threshold)
    if known.normalisation is not None:
        known = replace(known, left_out=_FIGURES)
    held = _held(known, card)
    review_at = _at_most(held, review_fpir) or held[0]
    by_rate = {
        each: known.thresholds(card=card, fpir=each, review_fpir=max(each, review_at))
        for each in held
    }
    reached = [each.match for each in by_rate.values() if threshold >= each.match.value]
    usual = by_rate[review_at]
    match = Threshold(
        value=threshold,
        low=threshold,
        high=threshold,
        fpir=reached[0].fpir if reached else 1.0,
        num_subjects=usual.match.num_subjects,
        num_probes=usual.match.num_probes,
        extrapolated=reached[0].extrapolated if reached else True,
    )
    return replace(usual, match=match, review=not_above(match, usual.review))


def _held(known: Known, card: ModelCard) -> list[float]:
    """The rates that whoever decides has thresholds for, ascending."""
    if known.deciding is not None:
        return sorted(each.fpir for each in known.deciding.points)
    return card_fpirs(card)


def _at_most(held: list[float], rate: float) -> float | None:
    """The largest held rate that is not above the wanted one."""
    return max((each for each in held if each <= rate * (1 + 1e-9)), default=None)
