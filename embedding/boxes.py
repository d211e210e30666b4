"""Arithmetic on many boxes at once, pure NumPy.

Boxes are float64 (N, 4), xyxy, pixels. Legend: N boxes.
"""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def suppress(
    boxes_N4: Boxes,
    confidences_N: NDArray[np.floating],
    *,
    max_overlap: float,
    of_smaller: bool = False,
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the boxes to keep, most confident first.

    Args:
        boxes_N4: may be empty.
        confidences_N: one a box.
        max_overlap: a box goes when it overlaps a kept one by more than this.
        of_smaller: the overlap is the intersection's share of the smaller box; otherwise of
            the union.
    """
    order = np.argsort(-confidences_N, kind="stable")
    # One row a coordinate, and only boxes that are still in question: the loop is the cost.
    left_5N = np.concatenate([boxes_N4[order].T, order[None].astype(np.float64)])
    areas_N = (left_5N[2] - left_5N[0]) * (left_5N[3] - left_5N[1])
    kept: list[int] = []
    while left_5N.shape[1]:
        kept.append(int(left_5N[4, 0]))
        low_2N = np.maximum(left_5N[:2, :1], left_5N[:2, 1:])
        common_2N = np.minimum(left_5N[2:4, :1], left_5N[2:4, 1:]) - low_2N
        np.maximum(common_2N, 0.0, out=common_2N)
        common_N = common_2N[0] * common_2N[1]
        if of_smaller:
            whole_N = np.minimum(areas_N[0], areas_N[1:])
        else:
            whole_N = areas_N[0] + areas_N[1:] - common_N
        stays_N = common_N <= max_overlap * whole_N
        left_5N, areas_N = left_5N[:, 1:][:, stays_N], areas_N[1:][stays_N]
    return np.array(kept, dtype=np.intp)


def shift_edges(boxes_N4: Boxes, offsets_N4: NDArray[np.floating]) -> Boxes:
    """Boxes whose edges moved by offsets that are shares of the box's width and height."""
    sizes_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    shifts_N4: Boxes = offsets_N4 * np.concatenate([sizes_N2, sizes_N2], axis=1)
    return boxes_N4 + shifts_N4


def squares(boxes_N4: Boxes) -> Boxes:
    """Squares around the same centres, with the longer side of each box."""
    centers_N2 = (boxes_N4[:, :2] + boxes_N4[:, 2:]) / 2
    halves_N1 = (boxes_N4[:, 2:] - boxes_N4[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centers_N2 - halves_N1, centers_N2 + halves_N1], axis=1)


def points_in(boxes_N4: Boxes, shares_N52: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points (N, 5, 2) in pixels from their places as shares of the boxes."""
    sizes_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    return boxes_N4[:, None, :2] + shares_N52 * sizes_N2[:, None, :]


def rolls_of(points_N52: NDArray[np.floating]) -> NDArray[np.float64]:
    """Clockwise tilt of faces in radians, from the line between the eyes."""
    eyes_N2 = (points_N52[:, 1] - points_N52[:, 0]).astype(np.float64)
    return np.arctan2(eyes_N2[:, 1], eyes_N2[:, 0])


def turn_about(
    points_NK2: NDArray[np.floating],
    centres_N2: NDArray[np.floating],
    angles_rad_N: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Points turned clockwise, as seen in the photo, each row about its own centre."""
    cos_N, sin_N = np.cos(angles_rad_N), np.sin(angles_rad_N)
    turns_N22 = np.stack([np.stack([cos_N, -sin_N], -1), np.stack([sin_N, cos_N], -1)], axis=1)
    around_NK2 = points_NK2 - centres_N2[:, None, :]
    turned_NK2: NDArray[np.float64] = np.einsum("nij,nkj->nki", turns_N22, around_NK2)
    return turned_NK2 + centres_N2[:, None, :]
