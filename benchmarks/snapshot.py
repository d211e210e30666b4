"""How long a gallery's snapshot takes to be written, changed and read.

The files are read from the page cache, as after a restart of the process alone. Beside each read
stands a plain read of the same files, without a check. Processor time says what the work is where
others compute too.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import print_report
from index.sealing import ClearSealer
from index.snapshot.folder import SnapshotFolder
from index.snapshot.manifest import SnapshotOwner
from index.snapshot.segment_file import Vectors

DIMENSION = 512
SEGMENT_ROWS = 262_144
NUM_RUNS = 3
Segment = tuple[NDArray[np.int64], Vectors]


def segments(num_vectors: int, dtype: str) -> list[Segment]:
    """Random unit vectors with ids from 0 on."""
    random = np.random.default_rng(0)
    made: list[Segment] = []
    for start in range(0, num_vectors, SEGMENT_ROWS):
        ids_N = np.arange(start, min(start + SEGMENT_ROWS, num_vectors))
        vectors_ND = random.standard_normal((len(ids_N), DIMENSION), dtype=np.float32)
        vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
        made.append((ids_N, vectors_ND.astype(dtype)))
    return made


def without(whole: list[Segment], removed: int) -> Iterator[Segment]:
    """The segments after a removal, as a gallery hands them over: live rows only."""
    for ids_N, vectors_ND in whole:
        live_N = ids_N != removed
        if live_N.all():
            yield ids_N, vectors_ND
        else:
            yield ids_N[live_N], vectors_ND[live_N]


def read_plainly(folder: Path) -> None:
    """Every byte once, into one buffer."""
    buffer = memoryview(bytearray(1 << 20))
    for path in folder.iterdir():
        with path.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def measure(num_vectors: int, dtype: str, folder: Path) -> dict[str, float]:
    """Seconds of each step, and the bytes on the disk."""
    owner = SnapshotOwner(
        gallery_id="gallery",
        database_id="database",
        fingerprint="f" * 64,
        space_id=None,
        dimension=DIMENSION,
        dtype=dtype,
    )
    snapshot = SnapshotFolder(folder, owner=owner, sealer=ClearSealer())
    times = write_times(snapshot, segments(num_vectors, dtype))
    read_plainly(folder)  # into the page cache
    times |= fastest("plain_read", lambda: read_plainly(folder))
    times |= fastest("read", snapshot.read)
    times |= fastest("read_mapped", lambda: snapshot.read(mapped=True))
    num_bytes = sum(path.stat().st_size for path in folder.iterdir())
    return {f"{dtype}_{name}_s": round(value, 3) for name, value in times.items()} | {
        f"{dtype}_mb": round(num_bytes / 1e6)
    }


def write_times(snapshot: SnapshotFolder, whole: list[Segment]) -> dict[str, float]:
    """Seconds of the first snapshot, of one without a change, and of one after a removal."""
    return {
        "write": seconds(lambda: snapshot.write(1, whole)),
        "write_unchanged": seconds(lambda: snapshot.write(2, whole)),
        "write_after_removal": seconds(lambda: snapshot.write(3, without(whole, 7))),
    }


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call; what it returns is given back afterwards."""
    start = time.perf_counter()
    result = work()
    elapsed = time.perf_counter() - start
    del result
    return elapsed


def fastest(name: str, work: Callable[[], object]) -> dict[str, float]:
    """Wall time and processor time of all threads, each the least of three calls."""
    walls, processors = [], []
    for _ in range(NUM_RUNS):
        start = time.process_time()
        walls.append(seconds(work))
        processors.append(time.process_time() - start)
    return {name: min(walls), f"{name}_cpu": min(processors)}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000, help="number of vectors")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary one by default")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for dtype in ("float16", "float32"):
            figures |= measure(arguments.size, dtype, Path(folder) / dtype)
    print_report(
        "snapshot",
        (f"{arguments.size:,} vectors of {DIMENSION} numbers", "seconds or MB"),
        list(figures.items()),
        {"num_vectors": arguments.size, **figures},
    )


if __name__ == "__main__":
    main()
