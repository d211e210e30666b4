"""Tests of the picture of a calibration."""

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.calibration.calibrating import Measurement, measure
from index.calibration.plot import det_curve, svg
from index.calibration.templates import GalleryTemplates
from tests.index.calibration.samples import new_card, soft_people
from tests.index.samples import FINGERPRINT, unit_vectors

SVG = "{http://www.w3.org/2000/svg}"
similarities = st.lists(st.integers(-4, 4).map(lambda each: each / 4), min_size=1, max_size=12)


def measured(*, num_images: int) -> Measurement:
    """A gallery that calibrated itself."""
    vectors_TD, person_T = soft_people(30, num_images, seed=7)
    gallery = GalleryTemplates.of_subjects(person_T.tolist(), vectors_TD)
    return measure(gallery, card=new_card(), fingerprint=FINGERPRINT)


@given(similarities, similarities, st.floats(-1.0, 1.0))
def test_the_curve_is_that_of_a_slow_count(
    best: list[float], own: list[float], other: float
) -> None:
    """Both rates at every threshold that a search has, each search counted."""
    best_P, own_M, other_M = np.array(best), np.array(own), np.full(len(own), other)
    expected = [
        (
            sum(each >= threshold for each in best) / len(best),
            sum(each < threshold or each < other for each in own) / len(own),
        )
        for threshold in sorted({*best, *own}, reverse=True)
    ]
    np.testing.assert_allclose(det_curve(best_P, own_M, other_M), expected, atol=1e-12)


def test_the_picture_shows_thresholds_and_curve() -> None:
    """It is well-formed, with a line for each threshold and a point for each on the curve."""
    found = measured(num_images=3)
    root = ElementTree.fromstring(svg(found))  # noqa: S314 - our own
    lines = [each for each in root.iter(f"{SVG}line") if each.get("class") == "threshold"]
    points = [each for each in root.iter(f"{SVG}circle") if each.get("class") == "point"]
    assert len(lines) == len(points) == len(found.calibration.points) == 2
    assert len(list(root.iter(f"{SVG}polyline"))) == 1
    assert len(list(root.iter(f"{SVG}polygon"))) == 2
    text = " ".join(each.text or "" for each in root.iter(f"{SVG}text"))
    assert "30 people, 90 searches of strangers, 90 of enrolled people" in text
    for point in found.calibration.points:
        assert f"{point.value:.3f}" in text


def test_a_gallery_of_single_templates_has_a_picture_too() -> None:
    """Without a curve, and saying why; one pair of people is enough."""
    assert "nobody has two templates" in svg(measured(num_images=1))
    pair = GalleryTemplates.of_subjects([0, 1], unit_vectors(2, seed=1))
    picture = svg(measure(pair, card=new_card(), fingerprint=FINGERPRINT))
    assert "NaN" not in picture
    assert "nan" not in picture.replace("nance", "")


@pytest.mark.parametrize("num_images", [1, 3])
def test_every_number_lies_in_the_picture(num_images: int) -> None:
    """No coordinate is left of it, above it, or beyond its size."""
    root = ElementTree.fromstring(svg(measured(num_images=num_images)))  # noqa: S314 - our own
    for each in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(each.get(name, 0)) <= 960
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(each.get(name, 0)) <= 430
