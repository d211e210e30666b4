"""What durability costs: enrolls, removals and restarts of a large gallery, and two services.

Single enrolls are compared with a bare loop of inserts with a commit on disk each, in the same
run and folder; sealed enrolls and searches with clear ones. Vectors are synthetic
(`benchmarks.face_vectors`), two templates a subject. A million templates take some minutes and
about 8 GB of disk; ``--size`` makes it smaller. Quote nothing while something else computes.
"""

import argparse
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.face_vectors import gallery_pieces, strangers_probes
from benchmarks.report import print_report
from benchmarks.two_services import two_services
from index.galleries import Galleries
from index.gallery import Gallery
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.records import NewSubject, NewTemplate
from index.snapshot.key_use import SNAPSHOTS_NAME

FINGERPRINT = "a" * 64
NUM_SINGLE = 300
NUM_REMOVED = 50
NUM_SEALED = 100_000
NUM_SEARCHES = 200
A_SUBJECT = 2
LOT_SUBJECTS = 2_500


def template(embedding: NDArray[np.float32]) -> NewTemplate:
    """A template around a vector (512,)."""
    return NewTemplate(
        embedding=embedding,
        norm=20.0,
        fingerprint=FINGERPRINT,
        box=(10.0, 20.0, 110.0, 140.0),
        photo_size=(640, 480),
        landmarks=_LANDMARKS,
        confidence=0.99,
        quality=0.8,
        face_id="0",
        image_id="photo",
        image_hash=bytes(32),
    )


_LANDMARKS = np.arange(10, dtype=np.float32).reshape(5, 2)


def subjects(num_templates: int) -> Iterator[list[NewSubject]]:
    """Lots of new subjects with two templates each, so many templates in all."""
    lot: list[NewSubject] = []
    for vectors_ND in gallery_pieces(num_templates):
        for start in range(0, len(vectors_ND) - A_SUBJECT + 1, A_SUBJECT):
            own = vectors_ND[start : start + A_SUBJECT]
            lot.append(NewSubject(templates=tuple(map(template, own))))
            if len(lot) == LOT_SUBJECTS:
                yield lot
                lot = []
    if lot:
        yield lot


def bare_inserts_per_s(folder: Path) -> float:
    """Rows of a template's size a second, each committed and on disk."""
    with sqlite3.connect(folder / "bare.sqlite", isolation_level=None) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, content BLOB)")
        content = bytes(2400)
        start = time.perf_counter()
        for _ in range(NUM_SINGLE):
            raw.execute("INSERT INTO bare (content) VALUES (?)", (content,))
        return NUM_SINGLE / (time.perf_counter() - start)


def new_templates(num: int) -> list[NewTemplate]:
    """Templates to be enrolled one by one."""
    return [template(each) for each in strangers_probes(num, seed=5)]


def single_enrolls_per_s(gallery: Gallery) -> float:
    """Acknowledged enrolls of one template a second."""
    new = new_templates(NUM_SINGLE)
    start = time.perf_counter()
    for each in new:
        gallery.enroll([each])
    return NUM_SINGLE / (time.perf_counter() - start)


def bulk_templates_per_s(gallery: Gallery, size: int) -> float:
    """Templates a second with many subjects a commit; making the vectors is not counted."""
    busy = 0.0
    for lot in subjects(size):
        start = time.perf_counter()
        gallery.enroll_many(lot)
        busy += time.perf_counter() - start
    return size / busy


def removal_ms(gallery: Gallery) -> list[float]:
    """Milliseconds of each of some removals of a subject."""
    ids = [each.id for each in gallery.subjects(limit=NUM_REMOVED).subjects]
    times = []
    for each in ids:
        start = time.perf_counter()
        gallery.remove_subject(each)
        times.append(1000 * (time.perf_counter() - start))
    return times


def restart_s(folder: Path, size: int) -> float:
    """Seconds until the galleries of a folder are open."""
    start = time.perf_counter()
    with Galleries.open(folder) as galleries:
        taken = time.perf_counter() - start
        if galleries.get("people").num_templates < 0.9 * size:
            raise AssertionError("the gallery is not all there")
    return taken


def sealed_ratios(folder: Path) -> dict[str, float]:
    """How much longer enroll and search take where templates are sealed.

    Both galleries are open and do the same in turn, so that what else the machine does falls on
    both; medians are compared.
    """
    key_file = folder / "sealing.keys"
    KeyRing.generate(key_file)
    sealer = KeyFileSealer(key_file, data_folder=folder / "sealed")
    with (
        Galleries.open(folder / "clear") as clear,
        Galleries.open(folder / "sealed", sealer=sealer) as sealed,
    ):
        pair = [each.create("people", fingerprint=FINGERPRINT) for each in (clear, sealed)]
        probe = strangers_probes(1)[0]
        works: dict[str, Iterator[Callable[[Gallery], object]]] = {
            "bulk": (partial(_enroll_lot, lot=lot) for lot in subjects(NUM_SEALED)),
            "single": (partial(_enroll_one, new=each) for each in new_templates(NUM_SINGLE)),
            "search": (partial(_identify, probe=probe) for _ in range(NUM_SEARCHES)),
        }
        return {f"sealed_{name}_ratio": _in_turn(pair, each) for name, each in works.items()}


def _in_turn(pair: Sequence[Gallery], works: Iterator[Callable[[Gallery], object]]) -> float:
    """Median time of the second gallery over that of the first."""
    times: list[list[float]] = [[], []]
    for number, work in enumerate(works):
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            work(pair[which])
            times[which].append(time.perf_counter() - start)
    first, second = map(statistics.median, times)
    return second / first


def _enroll_lot(gallery: Gallery, *, lot: list[NewSubject]) -> None:
    gallery.enroll_many(lot)


def _enroll_one(gallery: Gallery, *, new: NewTemplate) -> None:
    gallery.enroll([new])


def _identify(gallery: Gallery, *, probe: NDArray[np.float32]) -> None:
    gallery.identify(probe, fingerprint=FINGERPRINT, match_threshold=0.6, review_threshold=0.5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000, help="templates")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    arguments = parser.parse_args()
    size = arguments.size
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder = Path(temporary)
        figures: dict[str, float] = {
            "size": size,
            "bare_inserts_per_s": bare_inserts_per_s(folder),
        }
        data = folder / "data"
        with Galleries.open(data) as galleries:
            gallery = galleries.create("people", fingerprint=FINGERPRINT)
            figures["single_enrolls_per_s"] = single_enrolls_per_s(gallery)
            figures["single_ratio"] = (
                figures["bare_inserts_per_s"] / figures["single_enrolls_per_s"]
            )
            figures["bulk_templates_per_s"] = bulk_templates_per_s(gallery, size)
            removals = removal_ms(gallery)
            figures["removal_median_ms"] = statistics.median(removals)
            figures["removal_longest_ms"] = max(removals)
            start = time.perf_counter()
            galleries.maintain()
            figures["first_upkeep_s"] = time.perf_counter() - start
        if (data / SNAPSHOTS_NAME).exists():
            figures["restart_with_snapshot_s"] = restart_s(data, size)
            shutil.rmtree(data / SNAPSHOTS_NAME)
        figures["restart_without_s"] = restart_s(data, size)
        figures |= sealed_ratios(folder)
        figures |= two_services()
    print_report(
        "store", ("what", "figure"), [(name, value) for name, value in figures.items()], figures
    )


if __name__ == "__main__":
    main()
