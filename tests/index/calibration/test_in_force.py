"""Tests of which thresholds decide: the gallery's calibration, or the model card's."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from embedding.errors import RequestInvalid, StoreCorrupt
from index.calibration.calibrating import Wanted
from index.calibration.in_force import ThresholdsInForce, thresholds_in_force
from index.calibration.kept import calibrate_gallery
from index.calibration.strangers import Strangers
from index.galleries import Galleries
from index.gallery import Gallery
from tests.index.calibration.samples import new_card
from tests.index.samples import FINGERPRINT, new_template, unit_vectors

VECTORS = unit_vectors(60, seed=31)
CARD = new_card()


def enroll(gallery: Gallery, first: int, last: int) -> None:
    """Enroll a person for each of these numbers."""
    for number in range(first, last):
        gallery.enroll([new_template(VECTORS[number])])


def in_force(gallery: Gallery, *, rule: str = "maximum") -> ThresholdsInForce:
    """What decides at 1 % and 5 %."""
    return thresholds_in_force(gallery, card=CARD, fpir=0.01, review_fpir=0.05, rule=rule)


def strangers(num: int = 4000) -> Strangers:
    """Enough people that the card has no say; random vectors are nobody's likeness."""
    return Strangers(vectors_PD=unit_vectors(num, seed=32), person_P=np.arange(num))


def test_the_card_decides_before_the_first_calibration(gallery: Gallery) -> None:
    """Even in an empty gallery, and with nothing to complain of."""
    found = in_force(gallery)
    assert (found.source, found.calibration, found.reasons) == ("card", None, ())
    enroll(gallery, 0, 10)
    assert in_force(gallery).match == CARD.threshold(fpir=0.01, num_subjects=10)
    assert in_force(gallery).review == CARD.threshold(fpir=0.05, num_subjects=10)


def test_a_calibration_decides_from_then_on(gallery: Gallery) -> None:
    """Strangers enough bring the threshold under the card's, and identifying follows it."""
    enroll(gallery, 0, 10)
    made = calibrate_gallery(gallery.store, card=CARD, strangers=strangers())
    found = in_force(gallery)
    assert found.source == "calibration"
    assert not found.stale
    assert found.match.value == made.points[-1].value < 0.3
    assert (found.match.fpir, found.review.fpir) == (0.01, 0.05)
    assert found.review.value < found.match.value


def test_another_process_calibrates(open_galleries: Callable[[], Galleries]) -> None:
    """What was calibrated elsewhere decides in the next search, after a restart too."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        enroll(gallery, 0, 10)
        in_force(gallery)
        calibrate_gallery(gallery.store, card=CARD, strangers=strangers())
        values = in_force(gallery).match.value, in_force(gallery).review.value
        calibrate_gallery(gallery.store, card=CARD)
        assert in_force(gallery).match.value == 0.7 != values[0]
    with open_galleries() as galleries:
        assert in_force(galleries.get("people")).match.value == 0.7


def test_a_gallery_that_outgrew_it_goes_on_with_it_and_says_so(gallery: Gallery) -> None:
    """The threshold rises over ln N, is marked, and is asked to be measured again."""
    enroll(gallery, 0, 10)
    calibrate_gallery(gallery.store, card=CARD, strangers=strangers())
    before = in_force(gallery).match
    enroll(gallery, 10, 30)
    found = in_force(gallery)
    assert found.source == "calibration"
    assert found.match.value > before.value
    assert found.match.extrapolated
    assert found.stale
    assert "with 10 people and has 30 now" in found.reasons[0]


def test_a_calibration_for_other_rates_does_not_decide(gallery: Gallery) -> None:
    """Both thresholds are the card's then, and the reason names the rates."""
    enroll(gallery, 0, 10)
    calibrate_gallery(gallery.store, card=CARD, wanted=Wanted(fpirs=[0.01, 0.2]))
    found = in_force(gallery)
    assert found.source == "card"
    assert found.match == CARD.threshold(fpir=0.01, num_subjects=10)
    assert found.reasons == (
        "it is calibrated for FPIR 0.2, 0.01, but 0.05 is in use, so the model card decides",
    )


def test_a_calibration_for_another_rule_does_not_decide(gallery: Gallery) -> None:
    """A threshold means nothing under another fusion rule."""
    enroll(gallery, 0, 10)
    calibrate_gallery(gallery.store, card=CARD)
    found = in_force(gallery, rule="mean")
    assert found.source == "card"
    assert "rule" in found.reasons[0]


def test_tracks_have_thresholds_of_their_own(gallery: Gallery) -> None:
    """Those of photos do not decide about tracks, nor the other way round."""
    enroll(gallery, 0, 10)
    photos = calibrate_gallery(gallery.store, card=CARD, strangers=strangers())

    def of_tracks() -> ThresholdsInForce:
        return thresholds_in_force(gallery, card=CARD, fpir=0.01, review_fpir=0.05, unit="track")

    assert of_tracks().source == "card"
    assert "single photos" in of_tracks().reasons[0]
    tracks = calibrate_gallery(
        gallery.store, card=CARD, strangers=replace(strangers(3500), unit="track")
    )
    assert (photos.unit, tracks.unit) == ("photo", "track")
    assert of_tracks().calibration == tracks
    assert not of_tracks().stale
    assert in_force(gallery).calibration == photos


def test_a_damaged_calibration_is_an_error(gallery: Gallery) -> None:
    """Nobody is named by a threshold that nobody chose."""
    enroll(gallery, 0, 10)
    gallery.store.write_facts({"calibration": b"{}"})
    with pytest.raises(StoreCorrupt, match="calibrate it again"):
        in_force(gallery)


def test_a_rate_that_neither_has_is_refused(gallery: Gallery) -> None:
    """The card says which ones it has."""
    enroll(gallery, 0, 10)
    with pytest.raises(RequestInvalid, match="no threshold for FPIR"):
        thresholds_in_force(gallery, card=CARD, fpir=0.02, review_fpir=0.05)
    calibrate_gallery(gallery.store, card=CARD, wanted=Wanted(fpirs=[0.02, 0.05]))
    thresholds_in_force(gallery, card=CARD, fpir=0.02, review_fpir=0.05)
