"""A calibration as one SVG picture: similarities of both kinds, DET, thresholds.

Written by hand: nothing that serves needs a plotting library for four lines and two histograms.
Colours differ in lightness too, and lines in their dashes.

Shapes: P non-mated searches, M mated ones, X bins, K points of a curve.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from index.calibration.calibrating import Measurement

_WIDTH, _HEIGHT = 960, 430
_LEFT, _TOP, _SIDE, _GAP = 60, 50, 370, 90
_NUM_BINS = 60
_SMALLEST_RATE = 1e-4
_STRANGERS, _ENROLLED, _THRESHOLD = "#d95f02", "#1b4f9c", "#222222"
_DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """A square with a scale from values to pixels on each side."""

    left: float
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]
    is_log: bool = False

    def x(self, value: float) -> float:
        return self.left + _SIDE * self._share(value, self.x_ends)

    def y(self, value: float) -> float:
        return _TOP + _SIDE * (1 - self._share(value, self.y_ends)) * _HEIGHT_SHARE

    def _share(self, value: float, ends: tuple[float, float]) -> float:
        low, high = ends
        if self.is_log:
            value, low, high = (math.log10(max(each, low)) for each in (value, low, high))
        return min(1.0, max(0.0, (value - low) / (high - low)))

    @property
    def bottom(self) -> float:
        return _TOP + _SIDE * _HEIGHT_SHARE


_HEIGHT_SHARE = 0.85


def svg(measured: Measurement) -> str:
    """Return the picture as an SVG document; it holds no name, id or embedding."""
    made = measured.calibration
    axis = "similarity" if measured.normalisation is None else "normalised figure"
    title = (
        f"{made.num_subjects} people, {made.num_probes} searches of strangers, "
        f"{made.num_mated} of enrolled people, rule {made.rule}, {made.made_at:%Y-%m-%d}"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 22, title, size=14),
        *_distributions(measured, axis),
        *_det(measured),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def det_curve(
    best_P: NDArray[np.float64], own_M: NDArray[np.float64], other_M: NDArray[np.float64]
) -> list[tuple[float, float]]:
    """Return FPIR and FNIR at each threshold that a search has, by ascending FPIR.

    Args:
        best_P: of non-mated searches.
        own_M: of mated searches, to their own subject.
        other_M: of the same, the best of the others.
    """
    thresholds_K = np.unique(np.concatenate([best_P, own_M]))[::-1]
    best_P = np.sort(best_P)
    first_M = np.sort(own_M[own_M >= other_M])
    # A search counts at its own similarity: both rates are those of "at or above".
    fpir_K = 1.0 - np.searchsorted(best_P, thresholds_K, side="left") / len(best_P)
    found_K = len(first_M) - np.searchsorted(first_M, thresholds_K, side="left")
    fnir_K = 1.0 - found_K / len(own_M)
    return list(zip(fpir_K.tolist(), fnir_K.tolist(), strict=True))


def _distributions(measured: Measurement, axis: str) -> Iterator[str]:
    best_P = measured.searches.best_P
    own_M = np.empty(0) if measured.mated is None else measured.mated.own_M
    values = np.concatenate([best_P, own_M, [each.value for each in measured.calibration.points]])
    low, high = float(values.min()), float(values.max())
    edges_X = np.linspace(low, high if high > low else low + 1e-3, _NUM_BINS + 1)
    shares = {
        _STRANGERS: ("strangers' best", _shares(best_P, edges_X)),
        _ENROLLED: ("enrolled people's own", _shares(own_M, edges_X)),
    }
    most = max(float(share_X.max(initial=0.0)) for _, share_X in shares.values())
    panel = _Panel(left=_LEFT, x_ends=(edges_X[0], edges_X[-1]), y_ends=(0.0, 1.5 * most))
    yield from _frame(panel, axis, "share of searches", np.linspace(*panel.x_ends, 6), ())
    for number, (color, (name, share_X)) in enumerate(shares.items()):
        yield _steps(panel, edges_X, share_X, color)
        yield _text(panel.left + 8, _TOP + 16 + 16 * number, name, color=color)
    for number, point in enumerate(measured.calibration.points):
        x, dash = panel.x(point.value), _DASHES[number % len(_DASHES)]
        yield (
            f'<line class="threshold" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" '
            f'y2="{panel.bottom:.1f}" stroke="{_THRESHOLD}" stroke-dasharray="{dash}"/>'
        )
        label = f"{100 * point.fpir:.3g} %: {point.value:.3f}"
        yield _text(panel.left + 8, _TOP + 48 + 16 * number, f"threshold for FPIR {label}")


def _det(measured: Measurement) -> Iterator[str]:
    ends = (_SMALLEST_RATE, 1.0)
    panel = _Panel(left=_LEFT + _SIDE + _GAP, x_ends=ends, y_ends=(1e-3, 1.0), is_log=True)
    ticks = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    yield from _frame(panel, "FPIR", "FNIR", ticks, ticks[1:])
    if measured.mated is None:
        yield _text(panel.left + 8, _TOP + 16, "no FNIR: nobody has two templates")
        return
    mated, made = measured.mated, measured.calibration
    curve = det_curve(measured.searches.best_P, mated.own_M, mated.other_M)
    seen = [(panel.x(fpir), panel.y(fnir)) for fpir, fnir in curve if fpir >= _SMALLEST_RATE]
    line = " ".join(dict.fromkeys(f"{x:.1f},{y:.1f}" for x, y in seen))
    yield f'<polyline class="det" points="{line}" fill="none" stroke="{_ENROLLED}"/>'
    for point in made.points:
        x = panel.x(point.num_errors / made.num_probes)
        y = panel.y(point.num_missed / made.num_mated)
        yield f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_THRESHOLD}"/>'
        yield _text(x + 7, y - 5, f"{100 * point.fpir:.3g} %")


def _shares(values: NDArray[np.float64], edges_X: NDArray[np.float64]) -> NDArray[np.float64]:
    counts_X, _ = np.histogram(values, edges_X)
    shares_X: NDArray[np.float64] = counts_X / max(1, len(values))
    return shares_X


def _steps(
    panel: _Panel, edges_X: NDArray[np.float64], share_X: NDArray[np.float64], color: str
) -> str:
    corners = [f"{panel.x(edges_X[0]):.1f},{panel.bottom:.1f}"]
    for left, right, share in zip(edges_X[:-1], edges_X[1:], share_X, strict=True):
        y = panel.y(float(share))
        corners += [f"{panel.x(left):.1f},{y:.1f}", f"{panel.x(right):.1f},{y:.1f}"]
    corners.append(f"{panel.x(edges_X[-1]):.1f},{panel.bottom:.1f}")
    return (
        f'<polygon points="{" ".join(corners)}" fill="{color}" fill-opacity="0.25" '
        f'stroke="{color}"/>'
    )


def _frame(
    panel: _Panel,
    x_name: str,
    y_name: str,
    x_ticks: Sequence[float] | NDArray[np.float64],
    y_ticks: Sequence[float],
) -> Iterator[str]:
    yield (
        f'<rect x="{panel.left}" y="{_TOP}" width="{_SIDE}" height="{panel.bottom - _TOP:.1f}" '
        f'fill="none" stroke="#888888"/>'
    )
    for tick in x_ticks:
        yield _text(panel.x(tick), panel.bottom + 16, f"{tick:.2g}", anchor="middle")
    for tick in y_ticks:
        yield _text(panel.left - 6, panel.y(tick) + 4, f"{tick:g}", anchor="end")
    yield _text(panel.left + _SIDE / 2, panel.bottom + 36, x_name, anchor="middle")
    yield _text(panel.left, _TOP - 8, y_name, anchor="start")


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", color: str = "#222222"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{color}">{escape(text)}</text>'
    )
