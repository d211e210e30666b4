"""Tests of what a calibration says of itself."""

from dataclasses import replace

from index.calibration.calibrating import Wanted, calibrate
from index.calibration.records import Calibration
from index.calibration.templates import GalleryTemplates
from index.calibration.words import heading, of_point
from tests.index.calibration.samples import new_card, soft_people, soft_strangers
from tests.index.samples import FINGERPRINT


def made(*, num_strangers: int | None = None, normalise: bool = False) -> Calibration:
    """Thirty people with two images each, calibrated."""
    vectors_TD, person_T = soft_people(30, 2, seed=7)
    return calibrate(
        GalleryTemplates.of_subjects(person_T.tolist(), vectors_TD),
        card=new_card(),
        fingerprint=FINGERPRINT,
        strangers=None if num_strangers is None else soft_strangers(num_strangers),
        wanted=Wanted(fpirs=[0.05], normalise=normalise),
    )


def said(calibration: Calibration) -> str:
    """All of it."""
    lines = [*heading(calibration), *of_point(calibration.points[0], calibration)]
    return " ".join(lines)


def test_few_searches_say_that_the_card_decides() -> None:
    """With the size, the FPIR of the card, and what a rate needs."""
    text = said(made())
    assert "searches are too few to do without the model card" in text
    assert "never under the card's for 30 people (that of FPIR 1 %" in text
    assert "about 600 searches of different people" in text
    assert "60 searches of" in text


def test_enough_searches_need_no_card() -> None:
    """Then the card is not spoken of, but the interval, the prediction and ln N are."""
    found = made(num_strangers=3000)
    text = said(found)
    assert "card" not in text
    assert "95 % interval" in text
    assert "among 3000 new searches the FPIR will be" in text
    assert "extrapolated, not measured" in text
    assert "of 60 searches of enrolled people" in text
    point = found.points[0]
    assert point.predicted_low < 0.05 < point.predicted_high
    ends = f"{1000 * point.predicted_low:.3g} to {1000 * point.predicted_high:.3g}"
    assert f"of 1000 strangers' searches a day {ends} name somebody" in text


def test_another_rule_than_the_card_s_is_told() -> None:
    """Its thresholds promise less then."""
    assert "measured with the rule" not in said(made())
    assert "measured with the rule maximum, not mean" in said(replace(made(), rule="mean"))


def test_a_normalisation_says_what_it_did() -> None:
    """Whether it is kept or not."""
    assert "kept: thresholds are for normalised figures" in said(
        made(num_strangers=6200, normalise=True)
    )
    assert "not kept: too few" in said(made(num_strangers=500, normalise=True))
    assert "cohort" not in said(made(num_strangers=500))
