"""Tests of which face of a photo becomes a template."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.choosing import MIN_BOX_IOU, choose_face
from embedding.detect import Box
from embedding.errors import (
    FaceNotAtBox,
    FaceQualityTooLow,
    NoFace,
    RequestInvalid,
    SeveralFaces,
)
from embedding.faces import Face, PhotoFaces
from embedding.quality import FaceQuality


def _face(box: Box, *reasons: str) -> Face:
    quality = FaceQuality(
        figure=0.5,
        size_px=box.width,
        sharpness=1.0,
        brightness=100.0,
        yaw_deg=0.0,
        pitch_deg=0.0,
        roll_deg=0.0,
        norm=1.0,
        reasons=reasons,
    )
    return Face(
        box=box,
        landmarks=np.zeros((5, 2), np.float32),
        confidence=0.99,
        quality=quality,
        embedding=np.eye(1, 512, dtype=np.float32)[0],
        norm=1.0,
        num_quarter_turns=0,
    )


def _photo(*faces: Face) -> PhotoFaces:
    return PhotoFaces(width=500, height=500, num_quarter_turns=0, faces=faces, timings_ms={})


LARGE = _face(Box(left=0, top=0, right=100, bottom=100))
SMALL = _face(Box(left=200, top=0, right=250, bottom=50))


def test_only_face() -> None:
    """The only face of a photo is taken without saying which."""
    assert choose_face(_photo(SMALL), "only") is SMALL


def test_no_face() -> None:
    """A photo without a face is refused in every way of choosing."""
    with pytest.raises(NoFace):
        choose_face(_photo(), "largest")
    with pytest.raises(NoFace):
        choose_face(_photo(), Box(left=0, top=0, right=1, bottom=1))


def test_several_faces() -> None:
    """Of several faces none is guessed, but the largest can be asked for."""
    with pytest.raises(SeveralFaces):
        choose_face(_photo(LARGE, SMALL), "only")
    assert choose_face(_photo(LARGE, SMALL), "largest") is LARGE


def test_box_takes_the_face_that_fits_best() -> None:
    """The face with the highest overlap is meant."""
    box = Box(left=190, top=0, right=255, bottom=60)
    assert choose_face(_photo(LARGE, SMALL), box) is SMALL


def test_box_beside_all_faces() -> None:
    """A box that fits no face well enough is refused."""
    with pytest.raises(FaceNotAtBox):
        choose_face(_photo(LARGE, SMALL), Box(left=0, top=0, right=400, bottom=400))


@given(shift=st.floats(0, 100, allow_nan=False))
def test_box_counts_from_the_least_overlap_on(shift: float) -> None:
    """A box is taken exactly from an IoU of 0.3 on."""
    box = Box(left=shift, top=0, right=100 + shift, bottom=100)
    if box.iou(LARGE.box) >= MIN_BOX_IOU:
        assert choose_face(_photo(LARGE), box) is LARGE
    else:
        with pytest.raises(FaceNotAtBox):
            choose_face(_photo(LARGE), box)


@pytest.mark.parametrize("edge", [float("nan"), float("inf"), 0.0])
def test_box_that_is_none(edge: float) -> None:
    """A box without an area or with an edge that is no number is refused."""
    with pytest.raises(RequestInvalid):
        choose_face(_photo(LARGE), Box(left=0, top=0, right=edge, bottom=10))


def test_poor_face() -> None:
    """A poor face is refused with its reasons, unless it is forced."""
    poor = dataclasses.replace(LARGE, quality=_face(LARGE.box, "too_small").quality)
    with pytest.raises(FaceQualityTooLow) as caught:
        choose_face(_photo(poor), "only")
    assert caught.value.reasons == ("too_small",)
    assert choose_face(_photo(poor), "only", force=True) is poor
