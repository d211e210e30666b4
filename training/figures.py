"""Pictures of what training does, as PNG files; the only importer of Matplotlib.

Figures are objects of their own: nothing is kept in Matplotlib's global state, and no window is
ever opened. Shape legend: N faces, I identities.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.run_log import ANGLES_FILE, PHASES

DPI = 150

# The middle nine tenths of an identity's faces are its arc: one odd photo in twenty does not
# close the gap to a neighbour.
ARC_PERCENTILES = (5.0, 95.0)

# Eight of Paul Tol's "muted" colours: they stay apart for every kind of colour blindness.
COLOURS = (
    "#332288", "#88CCEE", "#117733", "#DDAA33", "#CC6677", "#882255", "#44AA99", "#AA4499",
)  # fmt: skip
PHASE_STYLES = dict(
    zip(PHASES, (("#999999", ":"), ("#0072B2", "--"), ("#D55E00", "-")), strict=True)
)

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
    _save(figure, path)
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


def draw_angles(run_folder: Path, path: Path) -> dict[str, float]:
    """Draws how the angle between faces and their own centres shrinks over a run, as PNG.

    One distribution each for the start, the middle and the end of the run (arXiv 1801.07698,
    figure 5 a), over the augmented faces of training and without margin.

    Args:
        run_folder: of a run that has finished: it holds ``angles.npz``.
        path: of the file; its folder is made.

    Returns:
        The mean angle of each phase in degrees.

    Raises:
        DataInvalid: the run has not finished, had no class centres, or its file is damaged.
    """
    phases = _read_angles(run_folder)
    means = {name: float(degrees.mean()) for name, degrees in phases.items()}
    largest = max(float(degrees.max()) for degrees in phases.values())
    edges = np.arange(0.0, 2.0 * np.ceil(largest / 2.0) + 4.0, 2.0)
    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for name, degrees in phases.items():
        colour, line = PHASE_STYLES[name]
        shares = np.histogram(degrees, edges)[0] / len(degrees)
        label = f"{name}: mean {means[name]:.1f}° ({len(degrees):,} faces)"
        axes.stairs(100.0 * shares, edges, color=colour, linestyle=line, linewidth=2, label=label)
        axes.stairs(100.0 * shares, edges, color=colour, alpha=0.15, fill=True)
    axes.set_xlabel("Angle between a face and its own class centre (degrees)")
    axes.set_ylabel("Share of faces in a bin of 2° (%)")
    axes.set_title("Faces approach their centres over the run")
    axes.set_xlim(0.0, float(edges[-1]))
    axes.set_ylim(bottom=0.0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    _save(figure, path)
    return means


def _read_angles(run_folder: Path) -> dict[str, NDArray[np.float64]]:
    """(N,) degrees by phase, none of them empty."""
    file = run_folder / ANGLES_FILE
    if not file.is_file():
        raise DataInvalid(
            f"no {ANGLES_FILE} in {run_folder}; a run writes it when it has finished"
        )
    try:
        with file.open("rb") as stream, np.load(stream) as stored:
            phases = {name: np.asarray(stored[name], np.float64).ravel() for name in PHASES}
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataInvalid(f"{file} does not hold the angles of a run: {error}") from error
    for name, degrees in phases.items():
        if not len(degrees):
            raise DataInvalid(
                f"{file} has no angles of the {name}; a run on metric losses alone has no centres"
            )
        if not ((degrees >= 0.0) & (degrees <= 180.0)).all():
            raise DataInvalid(f"{file} holds angles outside 0 to 180 degrees at the {name}")
    return phases


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=DPI)
