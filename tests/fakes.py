"""Small stand-ins that several test folders share; they have tests of their own.

``FakeDetector`` takes every saturated rectangle for a face, so that a test can draw its faces
with ``make_photo``. ``write_fake_model`` writes a model directory with a tiny random net: same
pixels give the same embedding, other pixels another one.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from embedding.align import ARCFACE_TEMPLATE, CROP_SIZE_PX
from embedding.detect import Box, DetectedFace, Detector
from embedding.model import InputSpec, ModelCard, Threshold, model_fingerprint, write_card

FAKE_FACE_PX = 112
BACKGROUND = (128, 128, 128)

# One colour a person; every one of them is saturated, which FakeDetector looks for.
PEOPLE: Mapping[str, tuple[int, int, int]] = {
    "ann": (230, 20, 30),
    "ben": (20, 210, 40),
    "cat": (30, 40, 240),
    "dan": (230, 220, 10),
    "eve": (220, 10, 230),
    "fay": (10, 220, 220),
}


class FakeDetector:
    """Finds rectangles of saturated colour, largest first; confidence 0.99.

    Args:
        faces: given, these are the answer for every photo.
    """

    fingerprint = hashlib.sha256(b"fake detector").hexdigest()

    def __init__(self, faces: Sequence[DetectedFace] | None = None) -> None:
        self._faces = faces

    def detect(self, photo_HWC: NDArray[np.uint8]) -> list[DetectedFace]:
        """The given faces, or the rectangles of the photo that are upright or square."""
        if self._faces is not None:
            return list(self._faces)
        spread_HW = photo_HWC.max(axis=2).astype(int) - photo_HWC.min(axis=2)
        boxes = _rectangles(spread_HW > 60)
        faces = [fake_face(box) for box in boxes if box.height >= box.width * 0.95]
        return sorted(faces, key=lambda face: face.box.area, reverse=True)


def fake_face(box: Box, *, confidence: float = 0.99) -> DetectedFace:
    """A frontal face whose landmarks lie in its box as the template's in the crop."""
    size = np.array([box.width, box.height]) / CROP_SIZE_PX
    landmarks = ARCFACE_TEMPLATE * size + (box.left, box.top)
    return DetectedFace(box=box, landmarks=landmarks.astype(np.float32), confidence=confidence)


def _rectangles(mask_HW: NDArray[np.bool_]) -> list[Box]:
    """Boxes of the connected areas of at least 8x8 pixels, found by flooding from a seed."""
    left_HW = mask_HW.copy()
    boxes = []
    while left_HW.any():
        row, column = np.unravel_index(np.argmax(left_HW), left_HW.shape)
        bottom = int(row)
        while bottom < left_HW.shape[0] and left_HW[bottom, column]:
            bottom += 1
        right = int(column)
        while right < left_HW.shape[1] and left_HW[row, right]:
            right += 1
        left_HW[row:bottom, column:right] = False
        if right - column >= 8 and bottom - row >= 8:
            boxes.append(
                Box(left=float(column), top=float(row), right=float(right), bottom=float(bottom))
            )
    return boxes


def make_photo(
    people: Sequence[str] = ("ann",),
    *,
    variant: int = 0,
    face_px: int = FAKE_FACE_PX,
    kind: str = "PNG",
    exif_orientation: int = 1,
    turns: int = 0,
) -> bytes:
    """The bytes of a photo that shows one fake face a person, side by side.

    Args:
        people: keys of ``PEOPLE``; empty for a photo without a face.
        variant: another number is another photo of the same people: slightly other colours.
        face_px: width of each face; its height is a quarter more.
        kind: "PNG", "JPEG" or "WEBP"; PNG keeps the pixels exact.
        exif_orientation: written into the file when it is not 1.
        turns: quarter turns counter-clockwise that the stored pixels are turned by.
    """
    height = face_px * 5 // 4
    gap = max(16, face_px // 4)
    image = Image.new(
        "RGB", (max(1, len(people)) * (face_px + gap) + gap, height + 2 * gap), BACKGROUND
    )
    draw = ImageDraw.Draw(image)
    for i, person in enumerate(people):
        left = gap + i * (face_px + gap)
        color = tuple(min(255, value + variant) for value in PEOPLE[person])
        draw.rectangle((left, gap, left + face_px - 1, gap + height - 1), fill=color)
    if turns:
        image = Image.fromarray(np.ascontiguousarray(np.rot90(np.asarray(image), turns)))
    return photo_bytes(image, kind=kind, exif_orientation=exif_orientation)


def photo_bytes(
    image: Image.Image, *, kind: str = "PNG", exif_orientation: int = 1, **options: Any
) -> bytes:
    """An image as a file's bytes."""
    if exif_orientation != 1:
        exif = Image.Exif()
        exif[0x0112] = exif_orientation
        options["exif"] = exif.tobytes()
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def fake_thresholds() -> tuple[Threshold, ...]:
    """A grid for FPIR 1 % and, extrapolated, 0.1 %, at 10, 100 and 1000 subjects."""
    return tuple(
        Threshold(
            value=base + 0.05 * step,
            low=base + 0.05 * step - 0.02,
            high=base + 0.05 * step + 0.02,
            fpir=fpir,
            num_subjects=num_subjects,
            num_probes=3000,
            extrapolated=fpir < 0.01,
        )
        for fpir, base in ((0.01, 0.80), (0.001, 0.85))
        for step, num_subjects in enumerate((10, 100, 1000))
    )


def write_fake_model(
    folder: Path,
    *,
    seed: int = 0,
    name: str = "fake",
    mirrored: bool = True,
    half_weights: bool = False,
    zero_weights: bool = False,
    thresholds: tuple[Threshold, ...] | None = None,
    detector: Detector | None = None,
) -> Path:
    """Write a valid model directory with a tiny random net, and give its path back.

    Args:
        folder: the model directory; it is created.
        seed: of the weights; another seed is another model with another fingerprint.
        name: on the card.
        mirrored: see ``ModelCard``.
        half_weights: store the weights as float16 with a Cast, as the export does.
        zero_weights: a broken net that gives zero vectors.
        thresholds: None for ``fake_thresholds``.
        detector: whose fingerprint goes into the card's; None for ``FakeDetector``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = _tiny_net(seed, half_weights=half_weights, zero_weights=zero_weights)
    (folder / "model.onnx").write_bytes(model)
    sha256 = hashlib.sha256(model).hexdigest()
    fingerprint = model_fingerprint(
        model_sha256=sha256,
        input_spec=InputSpec(),
        mirrored=mirrored,
        precision="float32",
        detector_fingerprint=(detector or FakeDetector()).fingerprint,
    )
    card = ModelCard(
        name=name,
        model_sha256=sha256,
        fingerprint=fingerprint,
        mirrored=mirrored,
        detector="fake" if detector is None else "given",
        thresholds=fake_thresholds() if thresholds is None else thresholds,
        training={"data": "random numbers"},
        licence="for tests",
        notes="tiny random net",
    )
    write_card(folder, card)
    return folder


def _tiny_net(seed: int, *, half_weights: bool, zero_weights: bool) -> bytes:
    """Average pooling to 7x7, one convolution over all of it, 512 outputs."""
    random = np.random.default_rng(seed)
    kernel = random.normal(size=(512, 3, 7, 7)).astype(np.float32)
    if zero_weights:
        kernel[:] = 0.0
    kernel = kernel.astype(np.float16 if half_weights else np.float32)
    nodes = [helper.make_node("Cast", ["kernel"], ["kernel32"], to=TensorProto.FLOAT)]
    nodes += [
        helper.make_node(
            "AveragePool", ["crops"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]
        ),
        helper.make_node("Conv", ["pooled", "kernel32"], ["maps"]),
        helper.make_node("Flatten", ["maps"], ["embeddings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(
                "crops", TensorProto.FLOAT, ["batch", 3, CROP_SIZE_PX, CROP_SIZE_PX]
            )
        ],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", 512])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized
