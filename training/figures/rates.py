"""Curves of an evaluation as SVG: ROC, DET, gallery sizes, discarding.

All rates are shares from 0 to 1 and are shown in percent. Shape legend: K points of a curve, S
gallery sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.figures.axes import (
    Caption,
    Mark,
    draw_marks,
    finished,
    log_axis,
    percent,
    percent_from_zero,
    usual_plot,
)
from training.figures.canvas import FIRST, INK, SECOND, printable

# Series of one plot differ by colour, line and mark. Further ones begin anew.
SERIES = ((FIRST, "-", "o"), (SECOND, "--", "s"), (INK, ":", "^"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSeries:
    """FNIR over gallery sizes at one FPIR.

    Attributes:
        label: of the legend.
        num_subjects_S: people enrolled, rising.
        fnir_S: rates.
        low_S: lower ends of the intervals; NaN where unknown.
        high_S: upper ends.
    """

    label: str
    num_subjects_S: NDArray[np.float64]
    fnir_S: NDArray[np.float64]
    low_S: NDArray[np.float64]
    high_S: NDArray[np.float64]


def draw_roc(
    far_K: NDArray[np.float64], tar_K: NDArray[np.float64], caption: Caption, marks: Sequence[Mark]
) -> str:
    """TAR against FAR on a logarithmic axis, never interpolated between measured points.

    Raises:
        DataInvalid: no point has a FAR above 0.
    """
    order = np.lexsort((tar_K, far_K))
    far_K, tar_K = _drawable(far_K[order], tar_K[order], is_log=(True, False))
    low = min([float(tar_K.min()), *(mark.y for mark in marks if mark.x > 0)])
    with usual_plot() as (figure, axes):
        axes.plot(far_K, tar_K, color=FIRST, linewidth=2, drawstyle="steps-post")
        log_axis(axes, "x", float(far_K.min()), float(far_K.max()))
        # Good models differ above 90 % only: the lower end follows the data.
        bottom = max(0.0, 1.0 - 1.15 * max(1.0 - low, 0.01))
        axes.set_ylim(bottom, 1.0 + 0.03 * (1.0 - bottom))
        axes.yaxis.set_major_formatter(FuncFormatter(percent))
        axes.set_xlabel("FAR: different people taken for one")
        axes.set_ylabel("TAR: pairs of one person accepted")
        draw_marks(axes, [mark for mark in marks if mark.x > 0], below=True)
        return finished(figure, caption)


def draw_det(
    fpir_K: NDArray[np.float64],
    fnir_K: NDArray[np.float64],
    band_K: tuple[NDArray[np.float64], NDArray[np.float64]],
    caption: Caption,
    marks: Sequence[Mark],
) -> str:
    """FNIR against FPIR, both logarithmic, with a band from bootstrap.

    Args:
        fpir_K: of strangers' searches.
        fnir_K: of mated searches.
        band_K: lower and upper ends of the band; NaN where unknown.
        caption: of the plot.
        marks: rows of the table.

    Raises:
        DataInvalid: no point has both rates above 0.
    """
    order = np.lexsort((-fnir_K, fpir_K))
    fpir_K, fnir_K, low_K, high_K = _drawable(
        fpir_K[order], fnir_K[order], *(end_K[order] for end_K in band_K), is_log=(True, True)
    )
    floor = float(fnir_K.min())
    with usual_plot() as (figure, axes):
        # An end of 0 lies infinitely far down: the band then reaches the axis.
        axes.fill_between(
            fpir_K,
            np.maximum(low_K, 1e-9),
            high_K,
            step="post",
            color=FIRST,
            alpha=0.22,
            linewidth=0,
        )
        axes.plot(fpir_K, fnir_K, color=FIRST, linewidth=2, drawstyle="steps-post")
        log_axis(axes, "x", float(fpir_K.min()), float(fpir_K.max()))
        low_end = float(np.nanmin(np.append(low_K[low_K > floor / 5], floor)))
        high_end = float(np.nanmax(np.append(high_K, fnir_K.max())))
        log_axis(axes, "y", low_end, high_end)
        axes.set_xlabel("FPIR: searches for strangers that return somebody")
        axes.set_ylabel("FNIR: searches that are missed")
        draw_marks(axes, [mark for mark in marks if mark.x > 0 and mark.y > 0], below=False)
        return finished(figure, caption)


def draw_by_size(series: Sequence[SizeSeries], caption: Caption) -> str:
    """FNIR against the number of people enrolled, a line each FPIR.

    Raises:
        DataInvalid: no series, or one without a size.
    """
    if not series or not all(len(one.num_subjects_S) for one in series):
        raise DataInvalid("a plot over gallery sizes needs at least one size in each series")
    sizes = np.unique(np.concatenate([one.num_subjects_S for one in series]))
    with usual_plot() as (figure, axes):
        for place, one in enumerate(series):
            colour, line, marker = SERIES[place % len(SERIES)]
            spread = [
                np.nan_to_num(np.maximum(one.fnir_S - one.low_S, 0.0)),
                np.nan_to_num(np.maximum(one.high_S - one.fnir_S, 0.0)),
            ]
            axes.errorbar(
                # Intervals of two series at one size would hide each other.
                one.num_subjects_S * 1.02 ** (place - (len(series) - 1) / 2),
                one.fnir_S,
                yerr=spread,
                color=colour,
                linestyle=line,
                marker=marker,
                markersize=6,
                capsize=3,
                linewidth=1.8,
                elinewidth=1.1,
                label=printable(one.label),
            )
        axes.set_xscale("log")
        axes.set_xlim(float(sizes.min()) / 1.15, float(sizes.max()) * 1.15)
        axes.xaxis.set_major_locator(FixedLocator(_apart(sizes)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        percent_from_zero(axes, _highest(*((one.fnir_S, one.high_S) for one in series)))
        axes.set_xlabel("People enrolled")
        axes.set_ylabel("FNIR: searches that are missed")
        axes.legend(loc="best")
        return finished(figure, caption)


def draw_discard(
    share_K: NDArray[np.float64], fnir_K: NDArray[np.float64], caption: Caption
) -> str:
    """FNIR of the searches that remain when the poorest ones are refused.

    Raises:
        DataInvalid: no point.
    """
    share_K, fnir_K = _drawable(share_K, fnir_K, is_log=(False, False))
    with usual_plot() as (figure, axes):
        axes.plot(share_K, fnir_K, color=FIRST, linewidth=2, marker="o", markersize=4)
        axes.axhline(float(fnir_K[0]), color=INK, linewidth=1, linestyle=":")
        axes.xaxis.set_major_formatter(FuncFormatter(percent))
        axes.set_xlim(0.0, max(float(share_K.max()), 0.01) * 1.02)
        percent_from_zero(axes, float(fnir_K.max()))
        axes.set_xlabel("Searches refused, poorest first")
        axes.set_ylabel("FNIR of those that remain")
        return finished(figure, caption)


def _drawable(
    x_K: NDArray[np.float64],
    y_K: NDArray[np.float64],
    *more_K: NDArray[np.float64],
    is_log: tuple[bool, bool],
) -> tuple[NDArray[np.float64], ...]:
    """The points that the axes can show."""
    kept_K = np.isfinite(x_K) & np.isfinite(y_K)
    for values_K, needs_positive in zip((x_K, y_K), is_log, strict=True):
        kept_K &= (values_K > 0) | (not needs_positive)
    if not kept_K.any():
        raise DataInvalid(f"none of the {len(x_K)} points of this curve can be drawn")
    return tuple(values_K[kept_K] for values_K in (x_K, y_K, *more_K))


def _apart(sizes: NDArray[np.float64]) -> list[float]:
    """The largest size and those whose labels do not touch a larger one's."""
    kept: list[float] = []
    span = max(float(np.log(sizes.max() / sizes.min())), 1e-9)
    for size in sizes[::-1]:
        if not kept or np.log(kept[-1] / size) / span > 0.1:
            kept.append(float(size))
    return kept


def _highest(*pairs: tuple[NDArray[np.float64], NDArray[np.float64]]) -> float:
    return float(np.nanmax(np.concatenate([part for pair in pairs for part in pair])))
