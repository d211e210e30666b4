"""What a run writes about itself: the log of its steps, curves, and the angles of its faces."""

import json
import logging
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

logger = logging.getLogger(__name__)

LOG_FILE = "log.jsonl"
ANGLES_FILE = "angles.npz"
CURVE_EVERY = 10  # steps between points of the TensorBoard curves
LINE_EVERY_S = 30.0  # between lines of progress where no terminal shows the bar

# Angles are recorded in three windows of this share of a run, at most so many in each.
WINDOW_SHARE = 0.05
MAX_ANGLES = 50_000
PHASES = ("start", "middle", "end")


class RunLog:
    """One JSON line a step in ``log.jsonl``, TensorBoard curves, and a progress bar.

    After a resume the log goes on behind the step of the checkpoint: lines of steps that will be
    done again are taken out.

    Args:
        run_folder: folder of the run.
        first_step: where it begins.
        num_steps: where the run ends.
        images_per_step: for the bar.
    """

    def __init__(
        self, run_folder: Path, *, first_step: int, num_steps: int, images_per_step: int
    ) -> None:
        self._path = run_folder / LOG_FILE
        _forget_from(self._path, first_step)
        self._file = self._path.open("a")
        self._writer = SummaryWriter(run_folder / "tensorboard", purge_step=first_step)
        self._images_per_step = images_per_step
        self._bar = tqdm(total=num_steps, initial=first_step, unit="step", disable=None)
        self._started, self._first_step = time.monotonic(), first_step
        self._waited_s, self._said_at, self._num_steps = 0.0, 0.0, num_steps

    def add(self, step: int, figures: dict[str, float], *, waited_s: float) -> None:
        """Notes one step: its losses, and how long it waited for data.

        Args:
            step: its number, from 0.
            figures: losses, rates and margins by name.
            waited_s: seconds until the batch was there.
        """
        self._waited_s += waited_s
        self._file.write(json.dumps({"step": step, **figures}) + "\n")
        self._file.flush()
        elapsed_s = max(1e-9, time.monotonic() - self._started)
        images_per_s = (step + 1 - self._first_step) * self._images_per_step / elapsed_s
        curves = {"images_per_s": images_per_s, "waiting_share": self.waiting_share}
        self._bar.update()
        self._bar.set_postfix(
            loss=f"{figures['loss']:.3f}",
            img_s=f"{images_per_s:.0f}",
            waiting=f"{100 * self.waiting_share:.0f}%",
        )
        if self._bar.disable and time.monotonic() - self._said_at > LINE_EVERY_S:
            self._said_at = time.monotonic()
            logger.info(
                "step %d of %d, loss %.3f, %.0f images/s, waiting %.0f %%",
                step + 1,
                self._num_steps,
                figures["loss"],
                images_per_s,
                100 * self.waiting_share,
            )
        if step % CURVE_EVERY == 0:
            self.add_curves(step, {**figures, **curves})

    def add_curves(self, step: int, figures: dict[str, float]) -> None:
        """A point on the TensorBoard curve of each figure."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    @property
    def waiting_share(self) -> float:
        """Share of the time since the start in which the network waited for images."""
        return self._waited_s / max(1e-9, time.monotonic() - self._started)

    def close(self) -> None:
        """Closes the files; says how much time went into waiting."""
        logger.info("waited for data %.1f %% of the time", 100 * self.waiting_share)
        self._bar.close()
        self._writer.close()
        self._file.close()


def _forget_from(path: Path, first_step: int) -> None:
    """Takes lines of later steps, and a torn last line, out of a log."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # torn by a kill while it was written
        if entry["step"] < first_step:
            kept.append(line + "\n")
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(kept))
    temporary.replace(path)


class AngleRecord:
    """Angles between faces and their own centres at the start, the middle and the end of a run.

    Args:
        num_steps: of the whole run.
    """

    def __init__(self, num_steps: int) -> None:
        width = max(1, round(WINDOW_SHARE * num_steps))
        middle = (num_steps - width) // 2
        self._first_steps = dict(zip(PHASES, (0, middle, num_steps - width), strict=True))
        self._width = width
        self._degrees: dict[str, list[NDArray[np.float16]]] = {name: [] for name in PHASES}

    def add(self, step: int, cosines_B: Tensor) -> None:
        """Notes a step's cosines if it lies in one of the three windows."""
        for name, first in self._first_steps.items():
            known = sum(len(part) for part in self._degrees[name])
            if first <= step < first + self._width and known < MAX_ANGLES:
                cosines = cosines_B.clamp(-1.0, 1.0).cpu().numpy().astype(np.float64)
                self._degrees[name].append(np.degrees(np.arccos(cosines)).astype(np.float16))

    def phases(self) -> dict[str, NDArray[np.float16]]:
        """Degrees by phase; empty where the run has not been."""
        return {
            name: np.concatenate([np.empty(0, np.float16), *parts])[:MAX_ANGLES]
            for name, parts in self._degrees.items()
        }

    def restore(self, phases: dict[str, NDArray[np.float16]]) -> None:
        """Goes on from what `phases` gave."""
        self._degrees = {name: [phases[name]] for name in PHASES}

    def save(self, run_folder: Path) -> None:
        """Writes ``angles.npz``, from which ``python -m training angles`` draws."""
        np.savez(run_folder / ANGLES_FILE, **self.phases())  # type: ignore[arg-type]
