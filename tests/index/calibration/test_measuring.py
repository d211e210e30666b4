"""Tests of thresholds from non-mated searches, and of the card's floor under them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.errors import ModelMismatch, RequestInvalid
from index.calibration.calibrating import Wanted, calibrate
from index.calibration.floor import MIN_PROBES
from index.calibration.measuring import calibrated_points, rate_at_size
from index.calibration.records import CalibratedPoint
from index.calibration.strangers import Strangers
from index.calibration.templates import GalleryTemplates
from tests.index.calibration.samples import NO_FLOOR, new_card, searches
from tests.index.samples import FINGERPRINT, at_similarity, unit_vectors

similarity = st.integers(-20, 20).map(lambda number: number / 20)


def one(best_P: np.ndarray, fpir: float, *, size: int = 10) -> CalibratedPoint:
    """The point of different strangers' searches, with the made-up card."""
    sample = searches(best_P, size=size)
    return calibrated_points(sample, card=new_card(), fpirs=[fpir], num_subjects=size)[0]


def slow_threshold(best: list[float], fpir: float) -> float:
    """The smallest number that few enough reach, each candidate counted."""
    candidates = sorted(np.nextafter(each, 2.0) for each in best)
    for each in candidates:
        if sum(value >= each for value in best) <= math.floor(fpir * len(best) + 1e-9):
            return float(each)
    raise AssertionError("the last candidate is above all")


@given(st.lists(similarity, min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_the_threshold_is_the_quantile(best: list[float], fpir: float) -> None:
    """It is the smallest similarity that at most the wanted share of strangers reaches."""
    made = calibrated_points(
        searches(np.array(best)), card=NO_FLOOR, fpirs=[fpir], num_subjects=10
    )[0]
    assert made.measured == slow_threshold(best, fpir)


@given(
    st.lists(st.tuples(similarity, st.integers(0, 40)), min_size=1, max_size=200),
    st.tuples(st.floats(0.001, 0.5), st.floats(0.001, 0.5)),
)
def test_a_smaller_fpir_never_has_the_lower_threshold(
    found: list[tuple[float, int]], fpirs: tuple[float, float]
) -> None:
    """Whether both are calibrated at once or one by one."""
    sample = searches(
        np.array([best for best, _ in found]), np.array([person for _, person in found])
    )
    larger, smaller = sorted(fpirs, reverse=True)
    card = new_card()
    alone = [
        calibrated_points(sample, card=card, fpirs=[each], num_subjects=10)[0].value
        for each in (larger, smaller)
    ]
    together = calibrated_points(sample, card=card, fpirs=fpirs, num_subjects=10)
    assert alone[0] <= alone[1]
    assert [each.value for each in together] == alone[: len(together)]


def test_enough_searches_need_no_card() -> None:
    """With 3,000 strangers and thirty errors the quantile stands, however low it is."""
    made = one(np.linspace(-0.5, 0.3, MIN_PROBES), 0.01)
    assert made.floor is None
    assert made.supported
    assert made.value == made.measured < 0.3
    assert made.num_errors == 30


def test_fewer_searches_stay_above_the_card() -> None:
    """Below 3,000 the card's threshold for this gallery size is the least, errors or not."""
    made = one(np.linspace(-0.5, 0.3, MIN_PROBES - 1), 0.05)
    assert made.supported
    assert (made.value, made.floor_fpir) == (0.5, 0.05)
    assert one(np.linspace(-0.5, 0.3, MIN_PROBES - 1), 0.05, size=100).value == pytest.approx(0.6)
    assert one(np.linspace(0.5, 0.95, MIN_PROBES - 1), 0.05).value > 0.9


def test_unsupported_rates_take_a_stricter_one_of_the_card() -> None:
    """Without thirty people among the errors the card's next rate counts, or an upper end."""
    few = np.linspace(-0.5, 0.3, 500)
    assert [one(few, fpir).value for fpir in (0.05, 0.02, 0.01)] == [0.6, 0.7, 0.7]
    assert one(few, 0.001).value == pytest.approx(0.71)
    assert not one(few, 0.05).supported


def test_many_searches_of_few_people_are_few() -> None:
    """Thirty errors of one person support nothing."""
    sample = searches(np.linspace(0.0, 0.5, 4000), np.arange(4000) // 200)
    made = calibrated_points(sample, card=new_card(), fpirs=[0.01], num_subjects=10)[0]
    assert not made.supported
    assert made.value == 0.7


def test_a_rate_that_nothing_supports_is_given_and_marked() -> None:
    """Below all rates of the card its smallest is continued, with an interval, and never lower."""
    best_P = np.linspace(-0.5, 0.3, 5000)
    points = calibrated_points(
        searches(best_P), card=new_card(), fpirs=[0.001, 0.0001, 1e-12], num_subjects=10
    )
    assert not any(each.supported for each in points)
    assert points[0].value == pytest.approx(0.71)
    # A tenth of the card's smallest rate needs what ten times as many people need at that.
    assert points[1].value == pytest.approx(0.81, abs=1e-3)
    assert points[1].floor_fpir == 0.0001
    assert points[1].high == 1.0
    assert points[1].value < points[2].value <= 1.0
    assert (points[1].predicted_low, points[1].num_errors) == (0.0, 0)
    assert points[1].predicted_high > 0.0001


@pytest.mark.parametrize("fpir", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_an_impossible_fpir_is_refused(fpir: float) -> None:
    """0 and 1 are no wanted rates, nor is what lies outside."""
    with pytest.raises(RequestInvalid, match="between 0 and 1"):
        Wanted(fpirs=[0.01, fpir])


def test_a_gallery_without_its_searcher_meets_one_person_less() -> None:
    """The quantile is taken for the rate that gives the wanted one with that person too."""
    rate = rate_at_size(0.1, measured=10, num_subjects=9)
    assert 1 - (1 - rate) ** (10 / 9) == pytest.approx(0.1)
    best_P = np.linspace(0.0, 0.9, 1000)
    met = calibrated_points(searches(best_P, size=9), card=NO_FLOOR, fpirs=[0.1], num_subjects=10)[
        0
    ]
    assert met.measured == slow_threshold(list(best_P), rate)


def a_gallery(num: int = 40) -> GalleryTemplates:
    """Two templates each of many people."""
    return GalleryTemplates.of_subjects(
        [each // 2 for each in range(2 * num)], unit_vectors(2 * num, seed=3)
    )


def test_a_calibration_says_what_it_was_made_of() -> None:
    """Counts, rule, model and source are told."""
    made = calibrate(a_gallery(), card=new_card(), fingerprint=FINGERPRINT)
    assert (made.num_subjects, made.num_templates, made.num_probes) == (40, 80, 80)
    assert (made.rule, made.source, made.fingerprint) == ("maximum", "gallery", FINGERPRINT)
    assert [each.fpir for each in made.points] == [0.05, 0.01]
    assert made.num_close == 0


def test_who_is_enrolled_is_no_stranger() -> None:
    """An image that is in the gallery itself is refused as a stranger's."""
    gallery = a_gallery()
    strangers = Strangers(
        vectors_PD=np.concatenate([unit_vectors(5, seed=8), gallery.vectors_TD[:1]]),
        person_P=np.arange(6),
    )
    with pytest.raises(RequestInvalid, match="1 of the strangers' images are enrolled"):
        calibrate(gallery, card=new_card(), fingerprint=FINGERPRINT, strangers=strangers)


def test_people_who_are_enrolled_twice_are_told() -> None:
    """A search that comes closer than strangers do is counted."""
    vectors = unit_vectors(20, seed=4)
    vectors[19] = at_similarity(vectors[0], 0.95)
    gallery = GalleryTemplates.of_subjects(list(range(20)), vectors)
    made = calibrate(gallery, card=new_card(), fingerprint=FINGERPRINT)
    assert made.num_close == 2


def test_a_card_of_another_model_is_refused() -> None:
    """Its thresholds mean nothing here."""
    with pytest.raises(ModelMismatch):
        calibrate(a_gallery(), card=new_card(), fingerprint="d" * 64)


def test_thresholds_go_on_over_the_logarithm_of_the_size() -> None:
    """They rise with each doubling by the same, never fall for fewer people, and are marked."""
    best_P = np.linspace(0.2, 0.55, 5000)
    sample = searches(best_P, size=100)
    card = new_card()
    made = calibrate(a_gallery(), card=card, fingerprint=FINGERPRINT)
    points = calibrated_points(sample, card=card, fpirs=[0.05, 0.01], num_subjects=40)
    made = type(made)(
        **{name: getattr(made, name) for name in made.__slots__ if name != "points"},
        points=points,
    )

    def value(num_subjects: int, fpir: float = 0.01) -> float:
        return made.threshold(fpir=fpir, num_subjects=num_subjects, card=card).value

    assert value(10) == value(40) == points[-1].value
    assert value(80) - value(40) == pytest.approx(points[-1].slope * math.log(2))
    assert value(160) - value(80) == pytest.approx(value(80) - value(40))
    assert value(10**9) == 1.0
    assert value(80, 0.05) <= value(80)
    assert made.threshold(fpir=0.01, num_subjects=80, card=card).extrapolated
    assert not made.threshold(fpir=0.01, num_subjects=40, card=card).extrapolated
    with pytest.raises(RequestInvalid, match=r"but for 0\.05, 0\.01"):
        value(40, 0.02)
