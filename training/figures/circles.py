"""The toy of figure 3: where a network with two outputs puts faces on the circle.

Shape legend: N faces, I identities.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.figures.canvas import save_png

# The middle nine tenths of an identity's faces are its arc: one odd photo in twenty does not
# close the gap to a neighbour.
ARC_PERCENTILES = (5.0, 95.0)

# Eight of Paul Tol's "muted" colours: they stay apart for every kind of colour blindness.
COLOURS = (
    "#332288", "#88CCEE", "#117733", "#DDAA33", "#CC6677", "#882255", "#44AA99", "#AA4499",
)  # fmt: skip

# Radii in the pictures of circles; faces lie on the circle of radius 1. Neighbouring arcs take
# turns between two radii, so that an overlap is seen.
ARC_RADII, LABEL_RADIUS, EDGE_RADIUS = (1.07, 1.13), 1.26, 1.36


@dataclass(frozen=True, slots=True, kw_only=True)
class CircleEmbeddings:
    """Where a network with two outputs puts faces, and a classifier its centres.

    Attributes:
        degrees_N: direction of each face, anticlockwise from the first axis.
        labels_N: its identity, 0..I-1; each has at least one face.
        centres_I: direction of each class centre in degrees.
        accuracy: share of faces whose nearest centre by angle is their own.
    """

    degrees_N: NDArray[np.float64]
    labels_N: NDArray[np.int64]
    centres_I: NDArray[np.float64]
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """The part of the circle that an identity fills.

    Attributes:
        identity: whose.
        middle_deg: direction of the sum of its faces.
        first_deg: where the arc begins, anticlockwise; at most middle_deg.
        last_deg: where it ends.
    """

    identity: int
    middle_deg: float
    first_deg: float
    last_deg: float


def arcs(degrees_N: NDArray[np.float64], labels_N: NDArray[np.int64]) -> list[Arc]:
    """The arcs of all identities, anticlockwise by their middles, which lie in [0, 360).

    An arc reaches from the 5th to the 95th percentile of the identity's angles to its middle.
    """
    found = []
    for identity in np.unique(labels_N):
        own = np.radians(degrees_N[labels_N == identity])
        middle_deg = float(np.degrees(np.angle(np.exp(1j * own).sum()))) % 360.0
        offsets = (np.degrees(own) - middle_deg + 180.0) % 360.0 - 180.0
        first, last = np.percentile(offsets, ARC_PERCENTILES)
        found.append(
            Arc(
                identity=int(identity),
                middle_deg=middle_deg,
                first_deg=middle_deg + float(first),
                last_deg=middle_deg + float(last),
            )
        )
    return sorted(found, key=lambda arc: arc.middle_deg)


def angular_gaps(
    degrees_N: NDArray[np.float64], labels_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(I,) degrees from the end of each arc to the beginning of the next one, as `arcs` orders.

    The last is the gap between the last arc and the first. A gap is negative where two arcs
    overlap. All gaps and widths of arcs together are 360 degrees, so identities that huddle in
    one half of the circle have a large mean gap and a small smallest one: judge by both.

    Raises:
        DataInvalid: fewer than two identities.
    """
    around = arcs(degrees_N, labels_N)
    if len(around) < 2:
        raise DataInvalid(f"a gap lies between two identities; got {len(around)}")
    firsts = np.array([arc.first_deg for arc in around])
    lasts = np.array([arc.last_deg for arc in around])
    gaps: NDArray[np.float64] = np.append(firsts[1:], firsts[0] + 360.0) - lasts
    return gaps


def draw_figure3(
    panels: Mapping[str, CircleEmbeddings], path: Path
) -> dict[str, NDArray[np.float64]]:
    """Draws circles side by side, as in the paper's toy (arXiv 1801.07698, figure 3), as PNG.

    Dots on the circle are faces, lines from its middle are class centres, bands outside it are
    the arcs of `arcs`. Identities are numbered around the first circle.

    Args:
        panels: what to draw under which title; the same identities in each.
        path: of the file; its folder is made.

    Returns:
        What `angular_gaps` says of each panel, in degrees.

    Raises:
        DataInvalid: nothing to draw, or more identities than there are colours.
    """
    if not panels:
        raise DataInvalid("no embeddings to draw")
    gaps = {name: angular_gaps(one.degrees_N, one.labels_N) for name, one in panels.items()}
    first = next(iter(panels.values()))
    numbers = {arc.identity: at for at, arc in enumerate(arcs(first.degrees_N, first.labels_N))}
    for name, one in panels.items():
        if len(numbers) > len(COLOURS) or not set(one.labels_N.tolist()) == set(numbers):
            raise DataInvalid(
                f"each circle shows the same at most {len(COLOURS)} identities; {name!r} shows "
                f"{len(np.unique(one.labels_N))} and the first {len(numbers)}"
            )
    layout = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.12)
    figure = Figure(figsize=(5.6 * len(panels), 6.8), layout=layout)
    for place, (name, one) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), place, projection="polar")
        _draw_circle(axes, one, numbers)
        axes.set_title(_title(name, one, gaps[name]), fontsize=11, pad=16)
    figure.supxlabel(
        "Direction of the two-dimensional embedding in degrees. Dots: faces, a colour and a "
        "number each identity. Lines: class centres.\nBands: arcs with 90 % of an identity's "
        "faces (5th to 95th percentile). A negative gap is an overlap.",
        fontsize=10,
    )
    save_png(figure, path)
    return gaps


def _title(name: str, one: CircleEmbeddings, gaps_I: NDArray[np.float64]) -> str:
    mean, smallest = f"{gaps_I.mean():.1f}°", f"{gaps_I.min():.1f}°"
    gaps = f"gap between neighbours: {mean} on average, smallest {smallest}"
    hits = f"nearest centre is the right one for {100 * one.accuracy:.0f} % of faces"
    return "\n".join((name, gaps.replace("-", "\N{MINUS SIGN}"), hits))


def _draw_circle(axes: Axes, one: CircleEmbeddings, numbers: Mapping[int, int]) -> None:
    turn = np.linspace(0.0, 2.0 * np.pi, 361)
    axes.plot(turn, np.ones_like(turn), color="#BBBBBB", linewidth=0.8, zorder=1)
    for place, arc in enumerate(arcs(one.degrees_N, one.labels_N)):
        colour = COLOURS[numbers[arc.identity]]
        own = np.radians(one.degrees_N[one.labels_N == arc.identity])
        centre = np.radians(one.centres_I[arc.identity])
        axes.plot([centre, centre], [0.0, 0.93], color=colour, linewidth=2.2, zorder=2)
        axes.scatter(own, np.ones_like(own), s=22, color=colour, alpha=0.6, linewidths=0, zorder=3)
        band = np.radians(np.linspace(arc.first_deg, arc.last_deg, 100))
        axes.plot(
            band,
            np.full_like(band, ARC_RADII[place % 2]),
            color=colour,
            linewidth=7,
            solid_capstyle="butt",
        )
        axes.text(
            np.radians(arc.middle_deg),
            LABEL_RADIUS,
            str(numbers[arc.identity] + 1),
            ha="center",
            va="center",
            color=colour,
            fontsize=12,
            fontweight="bold",
        )
    axes.set_ylim(0.0, EDGE_RADIUS)
    axes.set_yticks([])
    axes.set_xticks(np.radians(np.arange(0, 360, 45)))
    axes.grid(visible=False)
    axes.spines["polar"].set_visible(False)
