"""The gallery's engines against plain NumPy and FAISS, at a million templates of 512 components.

The vectors are synthetic and cluster as faces do (`benchmarks.face_vectors`): subjects with five
templates each, two templates of a subject at a similarity of 0.55 to 0.75, strangers at 0 with a
deviation of 0.08. Probes are new templates of subjects, some of them poor, and strangers.

All parts run one after the other in one process, ratios come from times that alternate. Quote
nothing while something else computes. About 6 GB of memory; ``--ten-million`` instead builds ten
times as many in a mapped file of 10 GB and looks at the compressed engine only.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.face_vectors import (
    DIMENSION,
    TEMPLATES_A_SUBJECT,
    gallery_pieces,
    mated_probes,
    strangers_probes,
)
from benchmarks.report import median_ms, print_report
from index.matrix.compressed import CompressedMatrix
from index.matrix.exact import ExactMatrix
from index.matrix.vectors import VectorMatrix

NUM_RESULTS = 10
NUM_CALLERS = 16
_BLAS_SPINS_S = 0.2
_TURN_MS = 100.0
NUM_MATED, NUM_STRANGERS = 3000, 4000
FPIR = 0.001


def write_float16(path: Path, num_templates: int) -> NDArray[np.float16]:
    """Write the gallery into a file and return it mapped, read-only."""
    with path.open("wb") as file:
        for vectors_ND in gallery_pieces(num_templates):
            file.write(vectors_ND.astype(np.float16).tobytes())
    return np.memmap(path, dtype=np.float16, mode="r", shape=(num_templates, DIMENSION))


def own_memory_mb() -> float:
    """Memory of this process without mapped files, in MB; NaN where Linux does not tell."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.is_file() else []:
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def alternating_ms(work: dict[str, Callable[[], object]], *, num_runs: int) -> dict[str, float]:
    """Median milliseconds of each, taken in turns so that all meet the same disturbances.

    Threads of NumPy's BLAS keep a core busy for a tenth of a second after a product: that is
    waited for, so that it is not the next one's time. Then each works for a tenth of a second,
    so that no short one meets a core that is still asleep.
    """
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(num_runs):
        for name, one in work.items():
            time.sleep(_BLAS_SPINS_S)
            once_ms = median_ms(one, num_runs=1, num_warm=1)
            times[name].append(median_ms(one, num_runs=1 + int(_TURN_MS / once_ms), num_warm=0))
    return {name: statistics.median(each) for name, each in times.items()}


def callers_ms(matrix: VectorMatrix, probes_QD: NDArray[np.float32], *, num_each: int) -> float:
    """Milliseconds a query while 16 callers search at the same time, each one query at a time."""

    def call(number: int) -> None:
        for _ in range(num_each):
            matrix.search(probes_QD[number : number + 1], NUM_RESULTS)

    threads = [threading.Thread(target=call, args=(each,)) for each in range(NUM_CALLERS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1000 * (time.perf_counter() - started) / (NUM_CALLERS * num_each)


def agreement(
    matrix: VectorMatrix, vectors_ND: NDArray[np.float32], probes_QD: NDArray[np.float32]
) -> dict[str, object]:
    """Share of queries whose ids are those of brute force, and the largest error of a score."""
    similarities_QK, ids_QK = matrix.search(probes_QD, NUM_RESULTS)
    same, error = 0, 0.0
    for query_D, similarities_K, ids_K in zip(probes_QD, similarities_QK, ids_QK, strict=True):
        all_N = vectors_ND @ query_D
        best_K = np.argpartition(all_N, -NUM_RESULTS)[-NUM_RESULTS:]
        best_K = best_K[np.lexsort((best_K, -all_N[best_K]))]
        same += bool((best_K == ids_K).all())
        error = max(error, float(np.abs(all_N[best_K] - similarities_K).max()))
    return {"ids_identical": same / len(probes_QD), "largest_score_error": error}


def speed(
    num_templates: int, vectors_ND: NDArray[np.float32], mapped_ND: NDArray[np.float16]
) -> Iterator[dict[str, object]]:
    """Yield the figures of the engines, part by part."""
    ids_N = np.arange(num_templates)
    probes_QD = mated_probes(np.arange(NUM_CALLERS) * 97 % (num_templates // TEMPLATES_A_SUBJECT))
    exact = ExactMatrix(DIMENSION)
    exact.adopt(ids_N, vectors_ND)
    half = ExactMatrix(DIMENSION, storage="float16")
    half.adopt(ids_N, np.asarray(mapped_ND))
    before_mb, started = own_memory_mb(), time.perf_counter()
    compressed = CompressedMatrix(DIMENSION)
    compressed.adopt(ids_N, mapped_ND)
    coding_s = time.perf_counter() - started
    compressed.search(probes_QD, NUM_RESULTS)
    yield {"coding_s": coding_s, "compressed_extra_mb": own_memory_mb() - before_mb}
    one_1D, one_D = probes_QD[:1], probes_QD[0]
    times = alternating_ms(
        {
            "numpy_float32": lambda: vectors_ND @ one_D,
            "exact_float32": lambda: exact.search(one_1D, NUM_RESULTS),
            "exact_float16": lambda: half.search(one_1D, NUM_RESULTS),
            "compressed": lambda: compressed.search(one_1D, NUM_RESULTS),
        },
        num_runs=11,
    )
    yield {f"{name}_ms": each for name, each in times.items()}
    yield {
        "exact_float32_to_numpy": times["exact_float32"] / times["numpy_float32"],
        "exact_float16_to_numpy": times["exact_float16"] / times["numpy_float32"],
        "compressed_to_exact_float32": times["compressed"] / times["exact_float32"],
        "compressed_to_exact_float16": times["compressed"] / times["exact_float16"],
    }
    yield agreement(exact, vectors_ND, np.concatenate([probes_QD, strangers_probes(16)]))
    yield concurrency(
        {"exact_float32": exact, "exact_float16": half, "compressed": compressed},
        vectors_ND,
        probes_QD,
    )
    yield error_rates(exact, compressed)
    for name, matrix in (("exact_float32", exact), ("compressed", compressed)):
        yield {f"removal_{name}_ms": removal_ms(matrix)}
    yield compaction(exact, probes_QD)


def concurrency(
    matrices: dict[str, VectorMatrix],
    vectors_ND: NDArray[np.float32],
    probes_QD: NDArray[np.float32],
) -> dict[str, object]:
    """Queries a second of 16 callers together, against a flat FAISS index called one by one."""
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(vectors_ND)
    one_1D = probes_QD[:1]
    flat_ms = median_ms(lambda: flat.search(one_1D, NUM_RESULTS), num_runs=8, num_warm=1)
    figures: dict[str, object] = {"index_flat_ip_qps": 1000 / flat_ms}
    for name, matrix in matrices.items():
        each_ms = callers_ms(matrix, probes_QD, num_each=5)
        figures[f"{name}_16_callers_qps"] = 1000 / each_ms
        figures[f"{name}_16_callers_to_flat"] = flat_ms / each_ms
    return figures


def error_rates(exact: VectorMatrix, compressed: VectorMatrix) -> dict[str, object]:
    """FNIR of both engines, each at its own threshold for the same FPIR."""
    num_subjects = len(exact) // TEMPLATES_A_SUBJECT
    subjects = np.random.default_rng(5).integers(0, num_subjects, NUM_MATED)
    mated_QD, strangers_QD = mated_probes(subjects), strangers_probes(NUM_STRANGERS)
    figures: dict[str, object] = {}
    best: dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]] = {}
    for name, matrix in (("exact", exact), ("compressed", compressed)):
        started = time.perf_counter()
        best[name] = matrix.search(strangers_QD, 1)
        figures[f"{name}_batch_ms_a_query"] = (
            1000 * (time.perf_counter() - started) / NUM_STRANGERS
        )
        # The smallest threshold that at most this share of strangers reaches.
        threshold = np.nextafter(
            np.sort(best[name][0][:, 0])[-int(FPIR * NUM_STRANGERS) - 1], np.float32(2)
        )
        similarities_Q1, ids_Q1 = matrix.search(mated_QD, 1)
        found_Q = (ids_Q1[:, 0] // TEMPLATES_A_SUBJECT == subjects) & (
            similarities_Q1[:, 0] >= threshold
        )
        figures[f"{name}_threshold"] = float(threshold)
        figures[f"{name}_fnir_percent"] = 100 * float(1 - found_Q.mean())
    same_Q = best["exact"][1][:, 0] == best["compressed"][1][:, 0]
    return {**figures, "strangers_same_best_percent": 100 * float(same_Q.mean())}


def removal_ms(matrix: VectorMatrix) -> float:
    """Median milliseconds to remove one subject; other subjects for every engine."""
    subjects = iter(range(100, 200))

    def remove() -> None:
        first = next(subjects) * TEMPLATES_A_SUBJECT
        matrix.remove(range(first, first + TEMPLATES_A_SUBJECT))

    return median_ms(remove, num_runs=40)


def compaction(matrix: VectorMatrix, probes_QD: NDArray[np.float32]) -> dict[str, object]:
    """How long others wait while a matrix is compacted from which every hundredth was removed.

    The first time they only ask how many vectors there are, which waits for nothing but the lock;
    the second time they search.
    """
    figures: dict[str, object] = {}
    idle_ms = median_ms(lambda: matrix.search(probes_QD[:1], NUM_RESULTS), num_runs=5)
    others: dict[str, Callable[[], object]] = {
        "lock": lambda: len(matrix),
        "search": lambda: matrix.search(probes_QD[:1], NUM_RESULTS),
    }
    for turn, (name, other) in enumerate(others.items()):
        matrix.remove(range(1000 + turn, len(matrix), 100))
        worker = threading.Thread(target=matrix.compact)
        waits, started = [], time.perf_counter()
        worker.start()
        while worker.is_alive():
            waits.append(median_ms(other, num_runs=1, num_warm=0))
        figures[f"compaction_with_{name}_s"] = time.perf_counter() - started
        figures[f"longest_{name}_in_compaction_ms"] = max(waits)
        figures[f"median_{name}_in_compaction_ms"] = statistics.median(waits)
    return {**figures, "search_before_compaction_ms": idle_ms}


def large(num_templates: int, folder: Path) -> Iterator[dict[str, object]]:
    """Yield the figures of the compressed engine over vectors in a mapped file."""
    started = time.perf_counter()
    mapped_ND = write_float16(folder / "vectors", num_templates)
    yield {"writing_s": time.perf_counter() - started}
    before_mb, started = own_memory_mb(), time.perf_counter()
    matrix = CompressedMatrix(DIMENSION)
    matrix.adopt(np.arange(num_templates), mapped_ND)
    yield {"coding_s": time.perf_counter() - started}
    subjects = np.arange(200) * 97 % (num_templates // TEMPLATES_A_SUBJECT)
    probes_QD = mated_probes(subjects)
    probes = iter(np.tile(probes_QD, (2, 1)))
    one = median_ms(lambda: matrix.search(next(probes)[np.newaxis], NUM_RESULTS), num_runs=200)
    found_Q = matrix.search(probes_QD, 1)[1][:, 0] // TEMPLATES_A_SUBJECT == subjects
    yield {
        "compressed_ms": one,
        "compressed_16_callers_qps": 1000 / callers_ms(matrix, probes_QD, num_each=20),
        "mates_first_percent": 100 * float(found_Q.mean()),
        "removal_compressed_ms": removal_ms(matrix),
        "compressed_extra_mb": own_memory_mb() - before_mb,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=1_000_000, help="templates in the gallery")
    parser.add_argument("--ten-million", action="store_true", help="the compressed engine at ten")
    parser.add_argument("--folder", type=Path, help="where the mapped file is written")
    arguments = parser.parse_args()
    size = 10_000_000 if arguments.ten_million else arguments.size
    figures: dict[str, object] = {"templates": size, "threads": faiss.omp_get_max_threads()}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.ten_million:
            parts = large(size, Path(folder))
        else:
            mapped_ND = write_float16(Path(folder) / "vectors", size)
            vectors_ND = np.empty((size, DIMENSION), dtype=np.float32)
            start = 0
            for piece_ND in gallery_pieces(size):
                vectors_ND[start : start + len(piece_ND)] = piece_ND
                start += len(piece_ND)
            parts = speed(size, vectors_ND, mapped_ND)
        for part in parts:
            figures |= part
            print(part, flush=True)
    rounded = {
        name: float(f"{each:.4g}") if isinstance(each, float) else each
        for name, each in figures.items()
    }
    print_report("search", ("what", "figure"), list(rounded.items()), rounded)


if __name__ == "__main__":
    main()
