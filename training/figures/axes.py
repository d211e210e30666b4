"""Axes in percent, linear and logarithmic, and what every plot of a page has in common."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from training.figures.canvas import PAPER, SECOND, page_style, printable, svg_text

WIDTH, HEIGHT = 5.2, 3.5  # inches


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What a page has to know of a plot apart from its lines.

    Attributes:
        name: unlike that of every other plot of the page; letters, digits and hyphens.
        title: what a screen reader says the plot is.
        description: what is to be seen on it.
    """

    name: str
    title: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point of a curve that a table lists as well.

    Attributes:
        x: where; a mark at 0 is not drawn where the axis is logarithmic.
        y: where.
        label: written beside it.
    """

    x: float
    y: float
    label: str


@contextmanager
def usual_plot() -> Iterator[tuple[Figure, Axes]]:
    """An empty plot of the usual size, in the style of the page."""
    with page_style():
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        yield figure, figure.add_subplot()


def finished(figure: Figure, caption: Caption) -> str:
    """The figure as SVG; call it inside the style of the page."""
    return svg_text(
        figure, name=caption.name, title=caption.title, description=caption.description
    )


def log_axis(axes: Axes, which: str, low: float, high: float) -> None:
    """A logarithmic axis in percent that holds both ends, with few and round labels."""
    low, high = max(low, 1e-7), min(max(high, low), 1.0)
    steps = _log_steps(low, high)
    below = [step for step in steps if step <= low * (1 + 1e-9)]
    above = [step for step in steps if step >= high * (1 - 1e-9)]
    first, last = max(below), min(above)
    ticks = [step for step in steps if first <= step <= last]
    axis = axes.xaxis if which == "x" else axes.yaxis
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(first, last)
    else:
        axes.set_yscale("log")
        axes.set_ylim(first, last)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(percent))


def _log_steps(low: float, high: float) -> list[float]:
    """Round numbers from below `low` to above `high`; the wider the range, the fewer."""
    decades = np.log10(high / low)
    mantissas = (1,) if decades >= 3 else (1, 3) if decades >= 1.5 else (1, 2, 5)
    powers = range(int(np.floor(np.log10(low))) - 1, 2)
    return [mantissa * 10.0**power for power in powers for mantissa in mantissas]


def draw_marks(axes: Axes, marks: Sequence[Mark], *, below: bool) -> None:
    """Dots with a label on the side where the curve is not."""
    for mark in marks:
        axes.plot(
            mark.x,
            mark.y,
            marker="o",
            markersize=7,
            markerfacecolor=PAPER,
            markeredgecolor=SECOND,
            markeredgewidth=2,
            zorder=4,
            clip_on=False,
        )
        left, right = axes.get_xlim()
        place = np.log(mark.x / left) / np.log(right / left)
        axes.annotate(
            printable(mark.label),
            (mark.x, mark.y),
            xytext=(7 if place < 0.8 else -7, -9 if below else 8),
            textcoords="offset points",
            ha="left" if place < 0.8 else "right",
            va="top" if below else "bottom",
        )


def percent_from_zero(axes: Axes, high: float) -> None:
    """A vertical axis in percent that begins at 0 and leaves some room above `high`."""
    axes.set_ylim(0.0, max(1.08 * high, 0.001))
    axes.yaxis.set_major_formatter(FuncFormatter(percent))


def percent(value: float, _: object) -> str:
    """A share as a label of an axis."""
    return f"{round(100 * value, 6):g} %"
