"""Where the faces of a photo are: boxes, five landmarks, confidence.

All coordinates are pixels in the frame of the photo that was given, origin at the top left
corner of the top left pixel, so that pixel (0, 0) covers [0, 1) x [0, 1).
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedding.boxes import (
    Boxes,
    points_in,
    rolls_of,
    shift_edges,
    squares,
    suppress,
    turn_about,
)
from embedding.errors import RequestInvalid
from embedding.mtcnn_nets import (
    WEIGHTS_SHA256,
    load_weights,
    onet_plan,
    pnet_plan,
    rnet_plan,
)
from embedding.patches import cut_patches, cut_upright_patches, pyramid
from embedding.runtime import OpenVinoNet


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in pixels, xyxy, in the frame of a photo.

    Attributes:
        left: x of the left edge.
        top: y of the upper edge.
        right: x of the right edge, greater than ``left`` for a box with an area.
        bottom: y of the lower edge, greater than ``top`` for a box with an area.
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Width in pixels; never negative."""
        return max(0.0, self.right - self.left)

    @property
    def height(self) -> float:
        """Height in pixels; never negative."""
        return max(0.0, self.bottom - self.top)

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    @property
    def center(self) -> tuple[float, float]:
        """The point (x, y) in the middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def iou(self, other: "Box") -> float:
        """Intersection over union with another box, in [0, 1]; 0 when both are empty."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        intersection = max(0.0, width) * max(0.0, height)
        union = self.area + other.area - intersection
        return intersection / union if union > 0.0 else 0.0

    def scaled(self, factor: float) -> "Box":
        """The box in a frame that is ``factor`` times as large."""
        return Box(
            left=self.left * factor,
            top=self.top * factor,
            right=self.right * factor,
            bottom=self.bottom * factor,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectedFace:
    """One face that a detector found.

    Attributes:
        box: around the face, from the forehead to the chin; may reach over the photo's edge.
        landmarks: float32 (5, 2), (x, y) in pixels: left eye, right eye, nose, left mouth
            corner, right mouth corner, as seen in the image.
        confidence: of the detector, in [0, 1]; comparable only within one detector.
    """

    box: Box
    landmarks: NDArray[np.float32]
    confidence: float


class Detector(Protocol):
    """Finds faces. Implementations may be called by several threads at once."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 hex over everything that can move a landmark."""
        ...

    def detect(self, photo_HWC: NDArray[np.uint8]) -> list[DetectedFace]:
        """The faces of an upright RGB photo, uint8 (H, W, 3), largest box first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MtcnnSettings:
    """How the built-in detector searches.

    Measured on nine boxed group photos (43 faces) and 400 ordinary ones: 42 faces, no false
    one, 397 photos with a face. Those same photos chose `min_face_px`, `pyramid_factor` and
    `min_confidence`, so the counts flatter the detector a little.

    Attributes:
        min_face_px: smallest face that is searched for, in pixels of the searched photo; half
            of what the third net looks at. 20 costs 40 % more and found no further boxed face.
        max_side_px: larger photos are searched at this size of their longer side, so that the
            work is bounded; the smallest face that is found grows in proportion: 60 px in a
            photo of 4000.
        pyramid_factor: from one search size to the next; 0.709 halves the area, 0.79 found
            nothing more.
        min_proposal: confidence above which the first net's proposals are kept; the paper's.
        min_refined: the same for the second net; the paper's.
        min_confidence: the same for the third net, that is for the answer; at 0.8 a hand
            counts as a face.
        max_upright_roll_deg: a face tilted by more is looked at again, turned upright.
        min_tentative: confidence above which a tilted face gets that second look.
        max_proposals: for the second net, the most confident ones; bounds the work to about a
            second on two cores. Only dense crowds reach it: of one with some 260 faces 245
            are found.
        max_refined: for the third net, likewise; each face has two or three.
    """

    min_face_px: int = 24
    max_side_px: int = 1600
    pyramid_factor: float = 0.709
    min_proposal: float = 0.6
    min_refined: float = 0.7
    min_confidence: float = 0.9
    max_upright_roll_deg: float = 10.0
    min_tentative: float = 0.5
    max_proposals: int = 2000
    max_refined: int = 600


PROPOSAL_CELL_PX: Final = 12
PROPOSAL_STRIDE_PX: Final = 2


def mtcnn_fingerprint(settings: MtcnnSettings | None = None) -> str:
    """SHA-256 hex over weights and settings; changes when a landmark could."""
    parts = {
        "name": "mtcnn",
        "version": 2,  # 2: tilted faces get a second look
        "weights": WEIGHTS_SHA256,
        "settings": asdict(settings or MtcnnSettings()),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class MtcnnDetector:
    """MTCNN (Zhang et al., arXiv 1604.02878): three nets, each stricter than the last.

    Threads may share a detector.
    """

    def __init__(
        self,
        *,
        settings: MtcnnSettings | None = None,
        num_threads: int | None = None,
        num_streams: int = 1,
    ) -> None:
        """Load and compile the three nets.

        Args:
            settings: None for the usual ones.
            num_threads: processor threads of one net; None leaves it to the library.
            num_streams: photos at the same time; see `OpenVinoNet`.

        Raises:
            ModelInvalid: the weights are missing or are not the reviewed ones.
        """
        self._settings = settings or MtcnnSettings()
        self._pnet, self._rnet, self._onet = (
            OpenVinoNet(plan(load_weights(name)), num_threads=num_threads, num_streams=num_streams)
            for name, plan in (("pnet", pnet_plan), ("rnet", rnet_plan), ("onet", onet_plan))
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 hex over weights and settings."""
        return mtcnn_fingerprint(self._settings)

    def detect(self, photo_HWC: NDArray[np.uint8]) -> list[DetectedFace]:
        """The faces of an upright photo, largest box first.

        Args:
            photo_HWC: uint8 (H, W, 3), RGB.

        Raises:
            RequestInvalid: another shape or dtype.
        """
        if photo_HWC.dtype != np.uint8 or photo_HWC.ndim != 3 or photo_HWC.shape[2] != 3:
            raise RequestInvalid(
                f"a photo must be uint8 (H, W, 3), not {photo_HWC.dtype} {photo_HWC.shape}"
            )
        if 0 in photo_HWC.shape:
            return []
        image = Image.fromarray(photo_HWC)
        shrink = min(1.0, self._settings.max_side_px / max(image.size))
        if shrink < 1.0:
            width, height = (max(1, round(side * shrink)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
        boxes_N4 = self._refine(image, self._propose(image))
        enlarge_2 = np.array(photo_HWC.shape[1::-1]) / np.array(image.size)
        faces = self._answer(image, boxes_N4, enlarge_2)
        return sorted(faces, key=lambda face: face.box.area, reverse=True)

    def _propose(self, image: Image.Image) -> Boxes:
        """Squares that may hold a face, from a pyramid of sizes."""
        settings = self._settings
        levels = pyramid(
            image,
            first_scale=PROPOSAL_CELL_PX / settings.min_face_px,
            factor=settings.pyramid_factor,
            min_side_px=PROPOSAL_CELL_PX,
        )
        found_N9 = np.concatenate(
            [np.empty((0, 9)), *(self._propose_at(level, image.size) for level in levels)]
        )
        boxes_N4, offsets_N4, confidences_N = found_N9[:, :4], found_N9[:, 4:8], found_N9[:, 8]
        kept = suppress(boxes_N4, confidences_N, max_overlap=0.7)[: settings.max_proposals]
        return squares(shift_edges(boxes_N4[kept], offsets_N4[kept]))

    def _propose_at(self, level: Image.Image, size: tuple[int, int]) -> NDArray[np.float64]:
        """Rows of box (4), offsets (4) and confidence from one level, frame of the photo."""
        offsets_B4HW, chances_B2HW = self._pnet.run(np.asarray(level)[None])
        chances_HW = chances_B2HW[0, 1]
        rows_N, columns_N = np.nonzero(chances_HW > self._settings.min_proposal)
        confidences_N = chances_HW[rows_N, columns_N]
        most = np.argsort(-confidences_N, kind="stable")[: self._settings.max_proposals]
        rows_N, columns_N, confidences_N = rows_N[most], columns_N[most], confidences_N[most]
        corners_N2 = np.stack([columns_N, rows_N], axis=1) * float(PROPOSAL_STRIDE_PX)
        enlarge_2 = np.array(size) / np.array(level.size)
        boxes_N4 = np.concatenate(
            [corners_N2 * enlarge_2, (corners_N2 + PROPOSAL_CELL_PX) * enlarge_2], axis=1
        )
        offsets_N4 = offsets_B4HW[0, :, rows_N, columns_N]
        found_N9 = np.concatenate([boxes_N4, offsets_N4, confidences_N[:, None]], axis=1)
        return found_N9[suppress(boxes_N4, confidences_N, max_overlap=0.5)]

    def _refine(self, image: Image.Image, boxes_N4: Boxes) -> Boxes:
        """The squares that the second net takes for faces, moved."""
        settings = self._settings
        if not len(boxes_N4):
            return boxes_N4
        offsets_N4, chances_N2 = self._rnet.run_rows(cut_patches(image, boxes_N4, side_px=24))
        passed = np.flatnonzero(chances_N2[:, 1] > settings.min_refined)
        kept = passed[suppress(boxes_N4[passed], chances_N2[passed, 1], max_overlap=0.7)][
            : settings.max_refined
        ]
        return squares(shift_edges(boxes_N4[kept], offsets_N4[kept]))

    def _answer(
        self, image: Image.Image, boxes_N4: Boxes, enlarge_2: NDArray[np.float64]
    ) -> list[DetectedFace]:
        """The faces that the third net confirms, in the frame of the photo as given."""
        if not len(boxes_N4):
            return []
        looks = self._look(boxes_N4, cut_patches(image, boxes_N4, side_px=48))
        maybe = np.flatnonzero(looks.confidences_N > self._settings.min_tentative)
        best = suppress(
            looks.boxes_N4[maybe], looks.confidences_N[maybe], max_overlap=0.7, of_smaller=True
        )
        looks = self._look_again_upright(image, looks.rows(maybe[best]))
        passed = np.flatnonzero(looks.confidences_N > self._settings.min_confidence)
        kept = passed[
            suppress(
                looks.boxes_N4[passed],
                looks.confidences_N[passed],
                max_overlap=0.7,
                of_smaller=True,
            )
        ]
        edges_K4 = looks.boxes_N4[kept] * np.tile(enlarge_2, 2)
        return [
            DetectedFace(
                box=Box(left=left, top=top, right=right, bottom=bottom),
                landmarks=(points_52 * enlarge_2).astype(np.float32),
                confidence=float(confidence),
            )
            for (left, top, right, bottom), points_52, confidence in zip(
                edges_K4.tolist(), looks.points_N52[kept], looks.confidences_N[kept], strict=True
            )
        ]

    def _look(self, boxes_N4: Boxes, patches: NDArray[np.uint8]) -> "_Looks":
        """What the third net says of squares."""
        offsets_N4, shares_N10, chances_N2 = self._onet.run_rows(patches)
        return _Looks(
            boxes_N4=shift_edges(boxes_N4, offsets_N4),
            points_N52=points_in(boxes_N4, shares_N10.reshape(-1, 2, 5).transpose(0, 2, 1)),
            confidences_N=chances_N2[:, 1].astype(np.float64),
        )

    def _look_again_upright(self, image: Image.Image, looks: "_Looks") -> "_Looks":
        """Looks once more at tilted faces, turned upright, as the net knows faces.

        The first look at a face tilted by 30 degrees is unsure of it and places its landmarks
        by up to a tenth of the face differently from copy to copy of one photo. The second
        look takes the place of the first unless it is no longer sure.
        """
        settings = self._settings
        rolls_N = rolls_of(looks.points_N52)
        tilted = np.flatnonzero(np.abs(rolls_N) > np.radians(settings.max_upright_roll_deg))
        if not len(tilted):
            return looks
        boxes_T4, rolls_T = squares(looks.boxes_N4[tilted]), rolls_N[tilted]
        again = self._look(boxes_T4, cut_upright_patches(image, boxes_T4, rolls_T, side_px=48))
        centres_T2 = (boxes_T4[:, :2] + boxes_T4[:, 2:]) / 2
        middles_T12 = (again.boxes_N4[:, None, :2] + again.boxes_N4[:, None, 2:]) / 2
        middles_T2 = turn_about(middles_T12, centres_T2, rolls_T)[:, 0]
        halves_T2 = (again.boxes_N4[:, 2:] - again.boxes_N4[:, :2]) / 2
        # Confidence saturates near 1, where the upright look still places landmarks better.
        surer = again.confidences_N >= np.minimum(
            looks.confidences_N[tilted], settings.min_confidence
        )
        looks = looks.rows(np.arange(len(rolls_N)))
        rows = tilted[surer]
        looks.boxes_N4[rows] = np.concatenate(
            [middles_T2 - halves_T2, middles_T2 + halves_T2], axis=1
        )[surer]
        looks.points_N52[rows] = turn_about(again.points_N52, centres_T2, rolls_T)[surer]
        looks.confidences_N[rows] = again.confidences_N[surer]
        return looks


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Looks:
    """What the third net says of N squares, in the frame of the searched photo."""

    boxes_N4: Boxes
    points_N52: NDArray[np.float64]
    confidences_N: NDArray[np.float64]

    def rows(self, chosen_K: NDArray[np.intp]) -> "_Looks":
        """A copy of some rows."""
        return _Looks(
            boxes_N4=self.boxes_N4[chosen_K],
            points_N52=self.points_N52[chosen_K],
            confidences_N=self.confidences_N[chosen_K],
        )
