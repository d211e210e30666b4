"""A build that is killed five times on the way, beside one that is not."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.batch_sources import DATA, GALLERY, Job, Work
from index.exchange.files import read_gallery
from index.place import Place
from index.transfer import export_gallery

NUM_KILLS = 5
_MAX_DIFFERENCE = 1e-5
"""Faces that are embedded with others differ in their last bits; identical within that."""

_Content = dict[tuple[str | None, str], tuple[NDArray[np.float32], tuple[float, ...]]]
"""By subject and photo, whose id follows from its bytes: the embedding, and box and figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kills:
    """What became of the killed build.

    Attributes:
        num_kills: while it was at work.
        identical: the same subjects, photos and boxes, and the same embeddings to 1e-5.
        max_difference: between the figures of two embeddings.
        num_templates: of both galleries where they are identical.
        seconds_unbroken: of the build that was not killed.
        seconds_killed: of all runs of the other, their starts included.
    """

    num_kills: int
    identical: bool
    max_difference: float
    num_templates: int
    seconds_unbroken: float
    seconds_killed: float

    def figures(self) -> dict[str, object]:
        """For the last line."""
        return {
            "num_kills": self.num_kills,
            "identical": self.identical,
            "max_difference": float(f"{self.max_difference:.2e}"),
            "num_templates": self.num_templates,
            "seconds_unbroken": self.seconds_unbroken,
            "seconds_killed": self.seconds_killed,
        }


def measure_kills(work: Work, jobs: Sequence[Job]) -> Kills:
    """Build both jobs into one gallery, unbroken and killed."""
    unbroken, killed = work.folder / "unbroken", work.folder / "killed"
    start = time.monotonic()
    durations = [_finish(work, job, unbroken) for job in jobs]
    seconds_unbroken = time.monotonic() - start
    # The same secret, so that photos and ids have the same hashes.
    killed.mkdir(mode=0o700)
    for secret in unbroken.glob("*.secret"):
        shutil.copy(secret, killed)
    start, moments = time.monotonic(), random.Random(5)  # noqa: S311 - no secret
    num_kills = 0
    for job, duration, kills in zip(jobs, durations, (3, 2), strict=True):
        for _ in range(kills):
            num_kills += _killed(work, job, killed, duration * moments.uniform(0.1, 0.4))
        _finish(work, job, killed)
    seconds_killed = time.monotonic() - start
    expected, content = _content(unbroken), _content(killed)
    same = expected.keys() == content.keys()
    shared = expected.keys() & content.keys()
    difference = max(
        (float(np.abs(expected[key][0] - content[key][0]).max()) for key in shared), default=1.0
    )
    same = same and all(
        np.allclose(expected[key][1], content[key][1], rtol=1e-4, atol=1e-4) for key in shared
    )
    for each in (unbroken, killed):
        shutil.rmtree(each)
    return Kills(
        num_kills=num_kills,
        identical=bool(same and difference <= _MAX_DIFFERENCE),
        max_difference=difference,
        num_templates=len(content),
        seconds_unbroken=seconds_unbroken,
        seconds_killed=seconds_killed,
    )


def _command(work: Work, job: Job, data: Path) -> list[str]:
    manifest = job.write(work.folder / f"{job.name.replace('/', '-')}.csv")
    command = [sys.executable, "-m", "index", "build", str(manifest), "--root", str(DATA)]
    command += ["--gallery", GALLERY, "--data-folder", str(data), "--force", "--face", "largest"]
    command += ["--no-turns", "--lot-size", str(max(len(job.files) // 20, 8))]
    return [*command, "--aligned"] if job.aligned else command


def _environment() -> dict[str, str]:
    return {name: each for name, each in os.environ.items() if not name.startswith("FACEGALLERY")}


def _finish(work: Work, job: Job, data: Path) -> float:
    """Run a build to its end; returns its seconds. Photos without a face are no fault of it."""
    start = time.monotonic()
    done = subprocess.run(
        _command(work, job, data),
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"a build failed: {done.stderr}")
    return time.monotonic() - start


def _killed(work: Work, job: Job, data: Path, after_s: float) -> bool:
    """Start a build and kill it; returns whether it was still at work."""
    with subprocess.Popen(
        _command(work, job, data),
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(after_s)
        at_work = process.poll() is None
        process.kill()
    return at_work


def _content(data: Path) -> _Content:
    """All that a gallery says, but for random ids and times."""
    file = data.with_suffix(".parquet")
    with Place(data_folder=data).opened() as store:
        export_gallery(store, GALLERY, file)
    _, batches = read_gallery(file)
    content: _Content = {
        (row.name, row.image_id): (row.embedding, (*row.box, row.norm, row.quality))
        for batch in batches
        for row in batch
    }
    file.unlink()
    return content
