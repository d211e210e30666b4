"""The built-in detector: its weights, its settings, and real faces."""

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedding.boxes import turn_about
from embedding.detect import MtcnnDetector, MtcnnSettings, mtcnn_fingerprint
from embedding.errors import ModelInvalid, RequestInvalid
from embedding.mtcnn_nets import WEIGHTS_SHA256, load_weights, weights_folder
from embedding.photo import decode_photo
from tests.fakes import photo_bytes


@pytest.fixture(scope="module")
def detector() -> MtcnnDetector:
    """The built-in detector."""
    return MtcnnDetector(num_threads=1)


@pytest.fixture(scope="module")
def six_people(sample_photos: Mapping[str, Path]) -> np.ndarray:
    """The sample photo with six people, at 640 pixels."""
    image = Image.open(sample_photos["t1"]).convert("RGB")
    return np.asarray(image.resize((640, 640 * image.height // image.width)))


def test_six_people_are_found(detector: MtcnnDetector, six_people: np.ndarray) -> None:
    """Six faces, largest first, each with its landmarks in order inside its box."""
    faces = detector.detect(six_people)
    assert len(faces) == 6
    areas = [face.box.area for face in faces]
    assert areas == sorted(areas, reverse=True)
    for face in faces:
        left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
        assert left_eye[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        assert face.box.left < left_eye[0]
        assert right_eye[0] < face.box.right
        assert face.confidence > 0.9


def test_one_person_is_found(detector: MtcnnDetector, sample_photos: Mapping[str, Path]) -> None:
    """Each portrait shows one face; the largest one is sure."""
    for name in ("hopper", "astronaut"):
        photo = decode_photo(sample_photos[name].read_bytes())
        assert detector.detect(photo)[0].confidence > 0.99


@pytest.mark.parametrize("angle_deg", [-35, -20, 20, 35])
def test_tilted_faces_have_the_landmarks_of_upright_ones(
    detector: MtcnnDetector, sample_photos: Mapping[str, Path], angle_deg: int
) -> None:
    """A photo turned by an angle gives the landmarks turned by it, within a tenth of the eyes."""
    with Image.open(sample_photos["astronaut"]) as image:
        photo = image.convert("RGB")
    upright = detector.detect(np.asarray(photo))[0].landmarks
    (face,) = detector.detect(np.asarray(photo.rotate(angle_deg, Image.Resampling.BICUBIC)))
    centre = np.array([[photo.width / 2, photo.height / 2]])
    expected = turn_about(upright[None], centre, np.radians([-angle_deg]))[0]
    eyes_px = np.linalg.norm(upright[1] - upright[0])
    assert np.linalg.norm(face.landmarks - expected, axis=1).max() < 0.1 * eyes_px


def test_large_photos_are_searched_smaller(
    detector: MtcnnDetector, six_people: np.ndarray
) -> None:
    """Six times the size gives the same faces at six times the coordinates."""
    large = np.asarray(Image.fromarray(six_people).resize((640 * 6, six_people.shape[0] * 6)))
    small_faces = detector.detect(six_people)
    for face in detector.detect(large):
        assert max(face.box.scaled(1 / 6).iou(other.box) for other in small_faces) > 0.75


def test_faces_move_with_the_photo(detector: MtcnnDetector, six_people: np.ndarray) -> None:
    """A photo shifted by some pixels has its faces shifted by as many."""
    shifted = np.pad(six_people, ((40, 0), (64, 0), (0, 0)))
    for face in detector.detect(shifted):
        near = min(
            np.abs(face.landmarks - (64, 40) - other.landmarks).max()
            for other in detector.detect(six_people)
        )
        assert near < 0.06 * face.box.width


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (11, 11), (13, 2000), (30, 30)])
def test_tiny_photos(detector: MtcnnDetector, shape: tuple[int, int]) -> None:
    """Photos too small for a face give no face and no error."""
    assert detector.detect(np.full((*shape, 3), 128, np.uint8)) == []


def test_noise_is_bounded_work(detector: MtcnnDetector) -> None:
    """Noise, which excites the first net, has no face."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    assert detector.detect(noise) == []


@pytest.mark.parametrize(
    "photo",
    [np.zeros((20, 20), np.uint8), np.zeros((20, 20, 4), np.uint8), np.zeros((9, 9, 3))],
)
def test_other_arrays_are_refused(detector: MtcnnDetector, photo: np.ndarray) -> None:
    """Another shape or dtype is the caller's mistake."""
    with pytest.raises(RequestInvalid):
        detector.detect(photo)


def test_threads_share_a_detector(detector: MtcnnDetector, six_people: np.ndarray) -> None:
    """Threads that detect at once in photos of several sizes get what they get alone."""
    photos = [six_people[:, : 640 - 120 * i] for i in range(3)]
    expected = [len(detector.detect(photo)) for photo in photos]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(3):
            if len(detector.detect(photos[i])) != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_read_only_photos(detector: MtcnnDetector) -> None:
    """What ``decode_photo`` gives can be searched without a copy by the caller."""
    assert detector.detect(decode_photo(photo_bytes(Image.new("RGB", (60, 60))))) == []


@pytest.mark.parametrize("name", sorted(WEIGHTS_SHA256))
def test_changed_weights_are_refused(tmp_path: Path, name: str) -> None:
    """Weights of which one byte changed are refused before they are unpickled."""
    data = bytearray((weights_folder() / f"{name}.lz4").read_bytes())
    data[-1] ^= 1
    (tmp_path / f"{name}.lz4").write_bytes(data)
    with pytest.raises(ModelInvalid, match="sha256"):
        load_weights(name, folder=tmp_path)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    """Missing weights are an error that names the file."""
    with pytest.raises(ModelInvalid, match=r"pnet\.lz4"):
        load_weights("pnet", folder=tmp_path)


def test_fingerprint_covers_the_settings(detector: MtcnnDetector) -> None:
    """Another setting is another fingerprint; the default's needs no net."""
    assert detector.fingerprint == mtcnn_fingerprint()
    assert mtcnn_fingerprint(MtcnnSettings(min_face_px=40)) != mtcnn_fingerprint()


def test_tensorflow_stays_out() -> None:
    """The detector never imports the package mtcnn, which would pull TensorFlow."""
    import sys

    assert not {"mtcnn", "tensorflow"} & set(sys.modules)
