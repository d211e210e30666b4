"""Quality: what each measure means, and what never counts."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from embedding.align import ARCFACE_TEMPLATE
from embedding.detect import Box, DetectedFace
from embedding.quality import QualityLimits, assess, estimate_pose, measure_sharpness
from tests.fakes import fake_face

FACE = fake_face(Box(left=10, top=10, right=122, bottom=150))


def textured_crop(seed: int = 0) -> NDArray[np.uint8]:
    """A crop with detail at several scales, about as sharp as a photo."""
    random = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(random.integers(0, 256, (side, side), np.uint8)).resize(
                (112, 112), Image.Resampling.BICUBIC
            ),
            np.float64,
        )
        for side in (7, 14, 28, 56)
    ]
    grey = 0.4 * layers[0] + 0.3 * layers[1] + 0.2 * layers[2] + 0.1 * layers[3]
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def turned(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """Landmarks of a simple head, turned in space and seen from afar."""
    head = np.array(
        [
            [-0.5, 0.0, 0.0],
            [0.5, 0.0, 0.0],
            [0.0, 0.58 * 1.07, 0.5],
            [-0.4, 1.07, 0.0],
            [0.4, 1.07, 0.0],
        ]
    )
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    seen = head @ np.array(about_y).T @ np.array(about_x).T @ np.array(about_z).T
    return seen[:, :2] * 80 + 300


def test_a_good_face_has_no_reasons() -> None:
    """A large, sharp, frontal, sure face is good."""
    quality = assess(FACE, textured_crop(), 20.0)
    assert quality.reasons == ()
    assert quality.figure > 0.5
    assert quality.size_px == 112
    assert quality.norm == 20.0


def test_small_face() -> None:
    """The shorter side of the box counts; the limit itself is still good enough."""
    at_limit = fake_face(Box(left=0, top=0, right=28, bottom=40))
    below = fake_face(Box(left=0, top=0, right=40, bottom=27.9))
    assert assess(at_limit, textured_crop(), 20.0).reasons == ()
    assert assess(below, textured_crop(), 20.0).reasons == ("too_small",)


def test_blurred_face() -> None:
    """A face that is blurred to smears is refused."""
    blurred = Image.fromarray(textured_crop()).filter(ImageFilter.GaussianBlur(8))
    assert assess(FACE, np.asarray(blurred), 20.0).reasons == ("too_blurred",)


def test_sharpness_falls_with_blur() -> None:
    """More blur is less sharpness."""
    image = Image.fromarray(textured_crop()).convert("L")
    values = [measure_sharpness(image.filter(ImageFilter.GaussianBlur(s))) for s in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)


@given(
    seed=st.integers(0, 50),
    gain=st.floats(0.0, 1.0),
    blur_px=st.sampled_from([0.0, 1.0, 2.0, 3.0]),
)
def test_darkness_never_adds_a_reason(seed: int, gain: float, blur_px: float) -> None:
    """The same face in less light has no reason that it did not have before."""
    image = Image.fromarray(textured_crop(seed)).filter(ImageFilter.GaussianBlur(blur_px))
    bright = np.asarray(image)
    dark = (bright * gain).astype(np.uint8)
    before = assess(FACE, bright, 20.0)
    after = assess(FACE, dark, 20.0)
    assert set(after.reasons) <= set(before.reasons)
    assert after.brightness <= before.brightness


def test_sharpness_hardly_changes_with_brightness() -> None:
    """At 0.4 of the light a face is as sharp as before, within 3 %."""
    bright = Image.fromarray(textured_crop()).convert("L")
    dark = bright.point(lambda value: value * 0.4)
    assert measure_sharpness(dark) == pytest.approx(measure_sharpness(bright), rel=0.03)


@pytest.mark.parametrize("grey", [0, 1, 128, 255])
def test_a_uniform_crop_is_assessed(grey: int) -> None:
    """A crop of one colour, even black, gives finite figures and no reason of brightness."""
    quality = assess(FACE, np.full((112, 112, 3), grey, np.uint8), 20.0)
    assert quality.reasons == ()
    assert 0.0 <= quality.figure <= 1.0
    assert quality.brightness == grey


@pytest.mark.parametrize("yaw_deg", [-60.0, -25.0, 0.0, 25.0, 60.0])
@pytest.mark.parametrize("roll_deg", [-40.0, 0.0, 90.0])
def test_yaw_and_roll_of_a_model_head(yaw_deg: float, roll_deg: float) -> None:
    """Turning the head sideways, or in the image, is measured with its sign."""
    yaw, pitch, roll = estimate_pose(turned(yaw_deg, 0.0, roll_deg))
    assert yaw == pytest.approx(yaw_deg, abs=1.0)
    assert pitch == pytest.approx(0.0, abs=1.0)
    assert roll == pytest.approx(roll_deg, abs=1.0)


@pytest.mark.parametrize("pitch_deg", [-30.0, 0.0, 30.0])
def test_pitch_of_a_model_head(pitch_deg: float) -> None:
    """A face that looks up has a positive pitch."""
    _, pitch, _ = estimate_pose(turned(0.0, pitch_deg, 0.0))
    assert pitch == pytest.approx(pitch_deg, abs=3.0)


def test_extreme_pose() -> None:
    """A profile is refused, a half profile is not."""
    limits = QualityLimits()
    for yaw_deg, reasons in ((65.0, ("extreme_pose",)), (-65.0, ("extreme_pose",)), (40.0, ())):
        face = dataclasses.replace(FACE, landmarks=turned(yaw_deg, 0, 0).astype(np.float32))
        assert assess(face, textured_crop(), 20.0, limits=limits).reasons == reasons


def test_pose_of_a_broken_face() -> None:
    """Landmarks that make no face give finite angles: an extreme pose, not an error."""
    for landmarks in (np.zeros((5, 2)), ARCFACE_TEMPLATE[::-1], ARCFACE_TEMPLATE * [1, -1]):
        angles = estimate_pose(landmarks)
        assert np.isfinite(angles).all()


def test_low_confidence() -> None:
    """A face that the detector doubts is refused."""
    face = dataclasses.replace(FACE, confidence=0.89)
    assert assess(face, textured_crop(), 20.0).reasons == ("low_confidence",)


def test_low_norm() -> None:
    """A short raw embedding is a reason only where a floor is set."""
    assert assess(FACE, textured_crop(), 0.1).reasons == ()
    limits = QualityLimits(min_norm=5.0)
    assert assess(FACE, textured_crop(), 4.9, limits=limits).reasons == ("low_norm",)
    assert assess(FACE, textured_crop(), 5.0, limits=limits).reasons == ()


@given(
    size_px=st.floats(0.0, 500.0),
    confidence=st.floats(0.0, 1.0),
    norm=st.floats(0.0, 100.0),
    yaw_deg=st.floats(-85.0, 85.0),
)
def test_figure_is_a_share(size_px: float, confidence: float, norm: float, yaw_deg: float) -> None:
    """The figure stays in [0, 1] whatever is measured."""
    face = DetectedFace(
        box=Box(left=0, top=0, right=size_px, bottom=size_px),
        landmarks=turned(yaw_deg, 0, 0).astype(np.float32),
        confidence=confidence,
    )
    quality = assess(face, textured_crop(), norm, limits=QualityLimits(min_norm=10.0))
    assert 0.0 <= quality.figure <= 1.0
