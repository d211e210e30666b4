"""How the angle between faces and their own class centres shrinks over a run.

Shape legend: N faces.
"""

import zipfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.figures.canvas import save_png
from training.run_log import ANGLES_FILE, PHASES

PHASE_STYLES = dict(
    zip(PHASES, (("#999999", ":"), ("#0072B2", "--"), ("#D55E00", "-")), strict=True)
)


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
    save_png(figure, path)
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
