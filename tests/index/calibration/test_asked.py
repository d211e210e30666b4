"""Thresholds for what a request asks: every rate, and a similarity of the caller's own."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding.errors import RequestInvalid
from index.calibration.asked import (
    SMALLEST_RATE,
    card_at_most,
    check_rate,
    check_similarity,
    thresholds_at,
    thresholds_for_fpir,
)
from index.calibration.in_force import Known, ThresholdsInForce, read_known
from index.calibration.kept import calibrate_gallery
from index.calibration.normalisation import CohortNormalisation
from index.calibration.strangers import Strangers
from index.gallery import Gallery
from tests.index.calibration.samples import new_card
from tests.index.samples import FINGERPRINT, new_template, unit_vectors

VECTORS = unit_vectors(30, seed=41)
CARD = new_card()
KNOWN = Known(
    fingerprint=FINGERPRINT,
    num_subjects=10,
    num_templates=10,
    rule="maximum",
    smallest_lead=0.05,
    unit="photo",
    calibration=None,
    normalisation=None,
)


@pytest.fixture
def calibrated(gallery: Gallery) -> Known:
    """A gallery of ten that was calibrated for 1 and 5 %, with strangers enough."""
    for vector_D in VECTORS[:10]:
        gallery.enroll([new_template(vector_D)])
    strangers = Strangers(vectors_PD=unit_vectors(4000, seed=42), person_P=np.arange(4000))
    calibrate_gallery(gallery.store, card=CARD, strangers=strangers)
    return read_known(gallery)


def for_fpir(known: Known, fpir: float) -> ThresholdsInForce:
    """What decides for a rate, with a usual band at 5 %."""
    return thresholds_for_fpir(known, card=CARD, fpir=fpir, review_fpir=0.05)


def at(known: Known, threshold: float) -> ThresholdsInForce:
    """What decides at a similarity, with a usual band at 5 %."""
    return thresholds_at(known, card=CARD, threshold=threshold, review_fpir=0.05)


@pytest.mark.parametrize(
    ("wanted", "held", "value"),
    [(0.01, 0.01, 0.6), (0.02, 0.01, 0.6), (0.5, 0.05, 0.5), (0.001, 0.001, 0.7)],
)
def test_a_rate_that_is_not_held_gets_the_next_stricter_one(
    wanted: float, held: float, value: float
) -> None:
    """Nobody is promised less than what was asked for, and the answer says what holds."""
    found = for_fpir(KNOWN, wanted)
    assert found.match.fpir == held
    assert found.match.value == pytest.approx(value)
    assert not found.match.extrapolated


def test_a_rate_below_all_is_continued_and_marked() -> None:
    """Its threshold is above the smallest rate's, has an interval, and says so."""
    found = for_fpir(KNOWN, 0.0001)
    assert found.match.fpir == 0.0001
    assert found.match.extrapolated
    assert found.match.value > 0.7
    assert found.match.low <= found.match.value <= found.match.high
    assert found.review.value == pytest.approx(0.5)


def test_no_band_where_the_wanted_rate_is_the_usual_one_of_review() -> None:
    """A review never begins above the match."""
    found = for_fpir(KNOWN, 0.2)
    assert found.review.value == found.match.value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rates=st.tuples(*[st.floats(SMALLEST_RATE, 1.0, exclude_max=True)] * 2))
def test_a_smaller_rate_never_has_the_lower_threshold(
    calibrated: Known, rates: tuple[float, float]
) -> None:
    """By the card, and by a calibration of which the card continues the end."""
    small, large = sorted(rates)
    for known in (KNOWN, calibrated):
        assert for_fpir(known, small).match.value >= for_fpir(known, large).match.value


def test_a_calibration_decides_for_what_it_holds(calibrated: Known) -> None:
    """Below its rates the card continues, never under the calibrated threshold."""
    found = for_fpir(calibrated, 0.02)
    assert (found.source, found.match.fpir) == ("calibration", 0.01)
    below = for_fpir(calibrated, 0.002)
    assert below.source == "calibration"
    assert below.match.fpir == 0.002
    assert below.match.value == pytest.approx(0.7)
    assert below.match.extrapolated
    assert below.review == found.review


@pytest.mark.parametrize("threshold", [0.55, 0.6, 0.65])
def test_a_similarity_stands_for_the_rate_whose_threshold_it_reaches(threshold: float) -> None:
    """At the threshold itself it does; the band below stays the usual one."""
    found = at(KNOWN, threshold)
    assert found.match.value == found.match.low == found.match.high == threshold
    assert found.match.fpir == (0.01 if threshold >= 0.6 else 0.05)
    assert found.review.value == pytest.approx(0.5)


def test_a_similarity_that_no_threshold_is_under_promises_nothing() -> None:
    """Its FPIR is 1, marked, and there is no band."""
    found = at(KNOWN, 0.1)
    assert (found.match.fpir, found.match.extrapolated) == (1.0, True)
    assert found.review.value == 0.1


def test_a_high_calibration_is_never_undercut_by_the_card(calibrated: Known) -> None:
    """Where strangers look more alike than the card's did, its smaller rate is not the lower."""
    made = calibrated.calibration
    assert made is not None
    points = tuple(replace(each, value=0.9, measured=0.9, high=0.95) for each in made.points)
    found = for_fpir(replace(calibrated, calibration=replace(made, points=points)), 0.002)
    assert found.match.value == pytest.approx(0.9)
    assert found.match.low <= 0.9 <= found.match.high


def test_figures_are_not_compared_with_similarities(calibrated: Known) -> None:
    """Under a normalised calibration the card decides about a rate and a similarity of others."""
    cohort = CohortNormalisation.of_vectors(unit_vectors(100, seed=43))
    made = calibrated.calibration
    assert made is not None
    known = replace(calibrated, normalisation=cohort)
    assert for_fpir(known, 0.02).normalisation is cohort
    for found in (for_fpir(known, 0.002), at(known, 0.65)):
        assert (found.source, found.normalisation) == ("card", None)
        assert "normalised" in found.reasons[0]


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, math.nan, math.inf, SMALLEST_RATE / 2])
def test_what_is_no_rate_is_refused(rate: float) -> None:
    """0 and 1, what lies beyond, what is no number, and what nobody could measure."""
    with pytest.raises(RequestInvalid, match="fpir is a rate"):
        check_rate(rate)


@pytest.mark.parametrize("similarity", [math.nan, math.inf, -1.01, 1.01])
def test_what_is_no_similarity_is_refused(similarity: float) -> None:
    """A cosine is a number from -1 to 1."""
    with pytest.raises(RequestInvalid, match="similarity"):
        check_similarity(similarity)


def test_the_card_alone() -> None:
    """A gallery of one is one comparison; an empty one counts as such."""
    one = card_at_most(CARD, rate=0.01, num_subjects=0)
    assert one == CARD.threshold(fpir=0.01, num_subjects=1)
    assert card_at_most(CARD, rate=SMALLEST_RATE, num_subjects=1).extrapolated
