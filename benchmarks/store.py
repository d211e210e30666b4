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
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.face_vectors import gallery_pieces, strangers_probes
from benchmarks.report import median_ms, print_report
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
NUM_SEALED = 20_000
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


def single_enrolls_per_s(gallery: Gallery) -> float:
    """Acknowledged enrolls of one template a second."""
    new = [template(each) for each in strangers_probes(NUM_SINGLE, seed=5)]
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
    """How much longer enroll and search take where templates are sealed."""
    key_file = folder / "sealing.keys"
    KeyRing.generate(key_file)
    lots = list(subjects(NUM_SEALED))
    probe = strangers_probes(1)[0]
    taken: dict[str, tuple[float, float, float]] = {}
    for name in ("clear", "sealed"):
        data = folder / name
        sealer = KeyFileSealer(key_file, data_folder=data) if name == "sealed" else None
        with Galleries.open(data, sealer=sealer) as galleries:
            gallery = galleries.create("people", fingerprint=FINGERPRINT)
            taken[name] = _bulk_single_search(gallery, lots, probe)
    clear, sealed = taken["clear"], taken["sealed"]
    names = ("sealed_bulk_ratio", "sealed_single_ratio", "sealed_search_ratio")
    return {name: sealed[n] / clear[n] for n, name in enumerate(names)}


def _bulk_single_search(
    gallery: Gallery, lots: list[list[NewSubject]], probe: NDArray[np.float32]
) -> tuple[float, float, float]:
    """Seconds of the fastest lot and of one enroll, milliseconds of a search."""
    bulk = []
    for lot in lots:
        start = time.perf_counter()
        gallery.enroll_many(lot)
        bulk.append(time.perf_counter() - start)
    single = 1 / single_enrolls_per_s(gallery)
    return min(bulk), single, median_ms(lambda: _identify(gallery, probe), num_runs=50)


def _identify(gallery: Gallery, probe: NDArray[np.float32]) -> None:
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
