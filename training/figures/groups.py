"""Error rates of groups of people as bars with intervals.

Shape legend: G groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.figures.axes import WIDTH, Caption, finished, percent
from training.figures.canvas import FIRST, INK, PAPER, page_style, printable

GROUP_HEIGHT, PANEL_HEIGHT = 0.3, 0.75  # inches for a bar, and around a panel of them
MAX_STEPS = 5  # of the axis; more labels touch each other
MAX_LABEL = 28  # letters of a group's name beside its bars; the table has all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBars:
    """One rate of each group.

    Attributes:
        label: what the rate is.
        rate_G: rates; NaN where unknown.
        low_G: lower ends of the intervals.
        high_G: upper ends.
        is_reliable_G: whether there are enough trials; other bars are hatched.
    """

    label: str
    rate_G: NDArray[np.float64]
    low_G: NDArray[np.float64]
    high_G: NDArray[np.float64]
    is_reliable_G: Sequence[bool] = field(default_factory=tuple)


def draw_groups(names: Sequence[str], panels: Sequence[GroupBars], caption: Caption) -> str:
    """Bars with intervals: a row each group, a panel each rate.

    Raises:
        DataInvalid: no group, or no rate.
    """
    if not names or not panels:
        raise DataInvalid("a plot of groups needs at least one group and one rate")
    height = len(panels) * (PANEL_HEIGHT + GROUP_HEIGHT * len(names))
    labels = [_shortened(name) for name in names]
    rows_G = np.arange(len(names))
    with page_style():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        for place, panel in enumerate(panels, start=1):
            axes = figure.add_subplot(len(panels), 1, place)
            _draw_bars(axes, panel, rows_G)
            axes.set_yticks(rows_G, labels)
            axes.set_xlabel(panel.label)
        return finished(figure, caption)


def _draw_bars(axes: Axes, panel: GroupBars, rows_G: NDArray[np.int64]) -> None:
    rate_G = np.nan_to_num(panel.rate_G)
    spread = [
        np.nan_to_num(np.maximum(panel.rate_G - panel.low_G, 0.0)),
        np.nan_to_num(np.maximum(panel.high_G - panel.rate_G, 0.0)),
    ]
    for row in rows_G:
        is_reliable = not len(panel.is_reliable_G) or panel.is_reliable_G[row]
        axes.barh(
            row,
            rate_G[row],
            height=0.62,
            color=FIRST if is_reliable else PAPER,
            edgecolor=FIRST,
            hatch="" if is_reliable else "////",
        )
    is_known_G = np.isfinite(panel.rate_G)
    axes.errorbar(
        rate_G[is_known_G],
        rows_G[is_known_G],
        xerr=[side[is_known_G] for side in spread],
        fmt="none",
        ecolor=INK,
        elinewidth=1.3,
        capsize=3,
    )
    top = float(np.nanmax(np.append(np.append(panel.high_G, panel.rate_G), 1e-3)))
    axes.set_xlim(0.0, top * 1.05)
    axes.set_ylim(len(rows_G) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(MAX_STEPS))
    axes.xaxis.set_major_formatter(FuncFormatter(percent))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    for row in rows_G[~is_known_G]:
        axes.text(top * 0.01, row, "not measured", va="center")


def _shortened(name: str) -> str:
    label = printable(name)
    return label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…"
