"""What sealing costs, and what a gallery space hides from a thief who knows some photos.

Seals and unseals templates of 512 float32 numbers one by one, with their context made anew each
time as a store does it, beside writing the same templates to SQLite; and large pieces of a file.
Spaces turn single probes and many vectors. The attack on a space runs on random vectors and, where
../shared/data has LFW's aligned crops, on the shipped models' vectors of as many people. One
thread, apart from the models.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import median_ms, print_report
from benchmarks.space_attack import NUM_PAIRS, mean_cosines
from embedding.model import ModelDirectory, shipped_models
from embedding.runtime import EmbeddingNet
from index.encryption import AesGcmSealer
from index.key_ring import KeyRing, SealKey
from index.sealing import ChunkContext, ClearSealer, Sealer, TemplateContext
from index.space import GallerySpace

LFW = Path(__file__).parents[2] / "shared" / "data" / "lfw" / "aligned"
D = 512
NUM_TEMPLATES = 20_000
NUM_ROUNDS = 5
PIECE_BYTES = 4 * 2**20
NUM_TARGETS = 300
CHUNK = 64


def _vectors(num: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(0).standard_normal((num, D))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors.astype(np.float32)
    return unit


def _context(number: int) -> TemplateContext:
    return TemplateContext(
        gallery_id="0123456789abcdef",
        subject_id=f"{number // 3:032x}",
        template_id=f"{number:032x}",
        fingerprint="a" * 64,
    )


def _per_second(work: Callable[[], object], num: int) -> float:
    """The best of some rounds: others on the machine only slow down."""
    return 1000 * num / min(median_ms(work, num_runs=1, num_warm=0) for _ in range(NUM_ROUNDS))


def template_rates() -> dict[str, float]:
    """Templates a second, sealed and unsealed, from one process run and from as many as there are.

    A sealer takes one salt a run; `unseal_each_salt` reads templates whose runs all differ, the
    slowest that a database can be.
    """
    clear = [vector.tobytes() for vector in _vectors(NUM_TEMPLATES)]
    ring = KeyRing((SealKey.random(),))
    sealers: dict[str, Sealer] = {"aes": AesGcmSealer(ring), "clear": ClearSealer()}
    rates = {}
    for name, sealer in sealers.items():
        sealing = partial(_seal_all, sealer, clear)
        unsealing = partial(_unseal_all, sealer, sealing())
        rates[f"{name}_seal"] = _per_second(sealing, NUM_TEMPLATES)
        rates[f"{name}_unseal"] = _per_second(unsealing, NUM_TEMPLATES)
    many = [
        AesGcmSealer(ring).seal(each, context=_context(number))
        for number, each in enumerate(clear)
    ]
    reader = AesGcmSealer(ring)
    rates["aes_unseal_each_salt"] = _per_second(lambda: _unseal_all(reader, many), NUM_TEMPLATES)
    return rates


def _seal_all(sealer: Sealer, clear: list[bytes]) -> list[bytes]:
    return [sealer.seal(each, context=_context(number)) for number, each in enumerate(clear)]


def _unseal_all(sealer: Sealer, sealed: list[bytes]) -> None:
    for number, each in enumerate(sealed):
        sealer.unseal(each, context=_context(number))


def bare_insert_rates() -> dict[str, float]:
    """SQLite rows a second without anything of ours: acknowledged one by one, and in bulk."""
    blobs = [vector.tobytes() for vector in _vectors(5000)]
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "bare.sqlite", isolation_level=None)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)",
        ):
            database.execute(statement)

        def single() -> None:
            for blob in blobs[:300]:
                database.execute("INSERT INTO t (v) VALUES (?)", (blob,))

        def bulk() -> None:
            database.execute("BEGIN")
            database.executemany("INSERT INTO t (v) VALUES (?)", ((each,) for each in blobs))
            database.execute("COMMIT")

        rates = {"single": _per_second(single, 300), "bulk": _per_second(bulk, len(blobs))}
        database.close()
    return rates


def piece_rates() -> dict[str, float]:
    """MB a second for pieces of a file, such as a snapshot's."""
    sealer = AesGcmSealer(KeyRing((SealKey.random(),)))
    context = ChunkContext(purpose="snapshot", owner_id="0" * 32, file="1", chunk=0, last=False)
    piece = os.urandom(PIECE_BYTES)
    sealed = sealer.seal(piece, context=context)
    size_mb = PIECE_BYTES / 1e6
    return {
        "seal": size_mb * _per_second(lambda: sealer.seal(piece, context=context), 1),
        "unseal": size_mb * _per_second(lambda: sealer.unseal(sealed, context=context), 1),
    }


def space_times() -> dict[str, float]:
    """Milliseconds to turn one probe, vectors a second in bulk, seconds to make a space."""
    start = time.perf_counter()
    space = GallerySpace.random(D)
    made_s = time.perf_counter() - start
    vectors = _vectors(NUM_TEMPLATES)
    return {
        "make_s": made_s,
        "probe_ms": median_ms(lambda: space.rotate(vectors[:1]), num_runs=300),
        "bulk_per_s": _per_second(lambda: space.rotate(vectors), NUM_TEMPLATES),
    }


def face_vectors() -> dict[str, NDArray[np.float32]]:
    """One vector a person of LFW, by shipped model; empty where the crops are not there."""
    people = sorted(LFW.iterdir()) if LFW.is_dir() else []
    chosen = np.random.default_rng(0).permutation(len(people))[: max(NUM_PAIRS) + NUM_TARGETS]
    files = [min(people[place].glob("*.jpg")) for place in chosen]
    vectors = {}
    for name, folder in shipped_models().items() if files else ():
        net = EmbeddingNet(ModelDirectory.open(folder))
        parts = []
        for start in range(0, len(files), CHUNK):
            crops = [np.asarray(Image.open(file)) for file in files[start : start + CHUNK]]
            parts.append(net.embed(np.stack(crops)).vectors)
        vectors[name] = np.concatenate(parts)
    return vectors


def main() -> None:
    """Measures and prints."""
    templates, inserts, pieces, spaces = (
        template_rates(),
        bare_insert_rates(),
        piece_rates(),
        space_times(),
    )
    seal_s = 1 / templates["aes_seal"] - 1 / templates["clear_seal"]
    ratios = {name: 1 + seal_s * rate for name, rate in inserts.items()}
    all_vectors = {"random": _vectors(max(NUM_PAIRS) + NUM_TARGETS), **face_vectors()}
    attacks = {
        name: mean_cosines(vectors, num_targets=NUM_TARGETS)
        for name, vectors in all_vectors.items()
    }
    rows: list[tuple[str, object]] = [
        *((f"templates a second: {name}", round(rate)) for name, rate in templates.items()),
        *((f"bare SQLite inserts a second: {name}", round(r)) for name, r in inserts.items()),
        *((f"bare insert and seal / bare insert: {n}", f"{r:.3f}") for n, r in ratios.items()),
        *((f"4 MiB pieces, MB a second: {name}", round(rate)) for name, rate in pieces.items()),
        *((f"gallery space: {name}", f"{value:.4g}") for name, value in spaces.items()),
    ]
    for name, cosines in attacks.items():
        shown = "  ".join(f"{num}: {cosine:.3f}" for num, cosine in cosines.items())
        rows.append((f"known pairs: cosine of the others, {name}", shown))
    print_report(
        "sealing",
        ("512 float32 numbers", "rate, ratio or cosine"),
        rows,
        {
            "templates_per_s": {name: round(rate) for name, rate in templates.items()},
            "bare_inserts_per_s": {name: round(rate) for name, rate in inserts.items()},
            "with_seal_over_bare": {name: round(ratio, 4) for name, ratio in ratios.items()},
            "pieces_mb_per_s": {name: round(rate) for name, rate in pieces.items()},
            "space": {name: round(value, 4) for name, value in spaces.items()},
            "attack_cosine_by_pairs": {
                name: {str(num): round(cosine, 4) for num, cosine in cosines.items()}
                for name, cosines in attacks.items()
            },
        },
    )


if __name__ == "__main__":
    main()
