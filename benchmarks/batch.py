"""Many photos at once: speed beside detector and embedder alone, kills, memory, duplicates.

Needs ../shared/data. LFW's aligned crops are embedded only, the raw photos are detected too. In
the same run, detector and embedder work alone on the same photos, decoded before, in as many
threads: what they would take together, one after the other, is what a perfect batch takes. All of
it takes some twenty minutes; ``--photos`` makes it shorter. Quote nothing while something else
computes.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks.batch_duplicates import measure_duplicates
from benchmarks.batch_kills import measure_kills
from benchmarks.batch_sources import DATA, Job, Work, listed
from benchmarks.report import print_report
from embedding.cores import num_cores
from embedding.detect import MtcnnDetector
from embedding.embedder import FaceEmbedder
from embedding.photo import decode_photo
from index.batch.build import BuildOptions, Built
from index.batch.heaps import share_heaps
from index.batch.stages import FaceRules

NUM_PASSES = 20
NUM_WARM_PASSES = 10
"""After so many the nets have met every number of rows, and have kernels for it."""

TOGETHER = 16
"""Faces in one run of the net, as in a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Photos a second.

    Attributes:
        num_photos: that were worked on.
        batch: by the whole of a build.
        detector: alone; None where nothing is detected.
        embedder: alone.
    """

    num_photos: int
    batch: float
    detector: float | None
    embedder: float

    @property
    def alone(self) -> float:
        """By detector and embedder, one after the other, without anything else."""
        seconds = 1 / self.embedder + (0.0 if self.detector is None else 1 / self.detector)
        return 1 / seconds

    @property
    def share(self) -> float:
        """Of what they alone would give."""
        return self.batch / self.alone

    def figures(self) -> dict[str, object]:
        """For the last line."""
        return {
            "num_photos": self.num_photos,
            "photos_per_s": self.batch,
            "detector_per_s": self.detector,
            "embedder_per_s": self.embedder,
            "alone_per_s": self.alone,
            "share": self.share,
        }


def detector_alone(photos: Sequence[bytes]) -> float:
    """Photos a second, one thread a core as in a batch, on pixels that are decoded already."""
    detector = MtcnnDetector()
    pixels = [decode_photo(each) for each in photos]
    with ThreadPoolExecutor(num_cores()) as pool:
        list(pool.map(detector.detect, pixels[: 2 * num_cores()]))
        start = time.perf_counter()
        list(pool.map(detector.detect, pixels))
        return len(pixels) / (time.perf_counter() - start)


def embedder_alone(embedder: FaceEmbedder, num: int) -> float:
    """Faces a second, in full batches of crops that are in memory; any pixels take as long."""
    crops_BHWC = np.random.default_rng(0).integers(0, 255, (TOGETHER, 112, 112, 3), np.uint8)
    embedder.embed_crops(crops_BHWC)
    num_batches = max(num // TOGETHER, 4)
    start = time.perf_counter()
    for _ in range(num_batches):
        embedder.embed_crops(crops_BHWC)
    return TOGETHER * num_batches / (time.perf_counter() - start)


def _options(job: Job) -> BuildOptions:
    rules = FaceRules(aligned=job.aligned, turns=False, choice="largest", force=True)
    return BuildOptions(faces=rules)


def measure_speed(work: Work, job: Job, *, num_alone: int) -> Speed:
    """Build once, with detector and embedder alone before and after."""
    files = [path.read_bytes() for path in job.files[:num_alone]]
    detectors: list[float] = []
    embedders: list[float] = []
    # The fastest way for one caller: all cores on one run.
    embedder = FaceEmbedder.open()

    def alone() -> None:
        if not job.aligned:
            detectors.append(detector_alone(files))
        embedders.append(embedder_alone(embedder, len(job.files)))

    alone()
    built = work.build(job, _options(job))
    alone()
    return Speed(
        num_photos=len(job.files),
        batch=_worked_on(built) / built.seconds,
        detector=fmean(detectors) if detectors else None,
        embedder=fmean(embedders),
    )


def _worked_on(built: Built) -> int:
    tally = built.tally
    return tally.num_indexed + tally.num_duplicates + tally.num_failed


def measure_memory(work: Work, job: Job) -> list[float]:
    """Resident memory in MB after each of twenty builds of a new gallery in this process."""
    sizes = []
    for _ in range(NUM_PASSES):
        work.build(job, _options(job))
        sizes.append(_resident_mb())
    return sizes


def _resident_mb() -> float:
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def growth_mb(sizes: Sequence[float]) -> float:
    """Megabytes a pass, by a straight line through the passes that are warm."""
    warm = sizes[NUM_WARM_PASSES:]
    return float(np.polyfit(np.arange(len(warm)), warm, 1)[0])


def _rounded(figures: Mapping[str, object]) -> dict[str, object]:
    return {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in figures.items()
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, help="of each folder; default: all")
    parser.add_argument("--people", type=int, help="of train/, for duplicates; default: all")
    parser.add_argument("--split", type=int, default=200, help="people who are split in two")
    options = parser.parse_args()
    share_heaps()
    with tempfile.TemporaryDirectory() as folder:
        work = Work(Path(folder))
        aligned = Job("lfw/aligned", aligned=True, files=listed("lfw/aligned", options.photos))
        raw = Job("photos", aligned=False, files=listed("photos", options.photos))
        speeds = {job.name: measure_speed(work, job, num_alone=400) for job in (aligned, raw)}
        kills = measure_kills(work, (aligned, raw))
        sizes = measure_memory(work, raw)
        found = measure_duplicates(
            work, DATA / "train", num_people=options.people, num_split=options.split
        )
    rows: list[tuple[str, object]] = []
    for name, each in speeds.items():
        rows += [
            (f"{name}: build, {each.num_photos} photos", f"{each.batch:.1f} photos/s"),
            (f"{name}: detector and embedder alone", f"{each.alone:.1f} photos/s"),
            (f"{name}: share of that", f"{100 * each.share:.0f} %"),
        ]
    rows += [
        (f"killed {kills.num_kills} times: the same gallery", kills.identical),
        ("largest difference in an embedding", f"{kills.max_difference:.1e}"),
        ("memory after each of twenty passes", ", ".join(f"{each:.0f}" for each in sizes) + " MB"),
        ("growth a pass, in the last ten", f"{growth_mb(sizes):.2f} MB"),
        (
            f"duplicates: of {found.num_split} people split in two",
            f"{found.num_found} found, {found.num_false} others",
        ),
        ("duplicates: others that share a photo in truth", found.num_false_sharing),
        (f"duplicates: {found.num_subjects} subjects", f"{found.seconds:.2f} s"),
    ]
    figures: dict[str, object] = {}
    for name, each in speeds.items():
        figures[name] = _rounded(each.figures())
    figures["kills"] = _rounded(kills.figures())
    figures["memory_mb"] = [round(each, 1) for each in sizes]
    figures["growth_mb_a_pass"] = round(growth_mb(sizes), 3)
    figures["duplicates"] = _rounded(found.figures())
    print_report("batch", ("what", "figure"), rows, figures)


if __name__ == "__main__":
    main()
