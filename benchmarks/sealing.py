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
NUM_TEMPLATES = 250
NUM_ROUNDS = 400
NUM_TURNED = 8192
BULK_ENROLL_PER_S = 20_000  # what a gallery's bulk load must reach
PIECE_BYTES = 4 * 2**20
NUM_TARGETS = 300
CHUNK = 64


def _vectors(num: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(0).standard_normal((num, D))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors.astype(np.float32)
    return unit


IDS = [f"{number:032x}" for number in range(NUM_TEMPLATES)]
GALLERY_ID, FINGERPRINT = "0123456789abcdef", "a" * 64


def _context(template_id: str) -> TemplateContext:
    return TemplateContext(
        gallery_id=GALLERY_ID,
        subject_id=template_id,
        template_id=template_id,
        fingerprint=FINGERPRINT,
    )


def _per_second(work: Callable[[], object], num: int, *, num_rounds: int = NUM_ROUNDS) -> float:
    """The best of many short rounds: others on the machine only slow down."""
    return 1000 * num / min(median_ms(work, num_runs=1, num_warm=0) for _ in range(num_rounds))


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
        AesGcmSealer(ring).seal(vector, context=_context(each))
        for vector, each in zip(clear, IDS, strict=True)
    ]
    rates["aes_unseal_each_salt"] = _per_second(
        lambda: _unseal_all(AesGcmSealer(ring), many), NUM_TEMPLATES
    )
    return rates


def _seal_all(sealer: Sealer, clear: list[bytes]) -> list[bytes]:
    return [
        sealer.seal(vector, context=_context(each))
        for vector, each in zip(clear, IDS, strict=True)
    ]


def _unseal_all(sealer: Sealer, sealed: list[bytes]) -> None:
    for vector, each in zip(sealed, IDS, strict=True):
        sealer.unseal(vector, context=_context(each))


def bare_inserts_per_s() -> float:
    """SQLite rows a second without anything of ours, each acknowledged after its fsync."""
    blobs = [vector.tobytes() for vector in _vectors(NUM_TEMPLATES)]
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "bare.sqlite", isolation_level=None)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)",
        ):
            database.execute(statement)

        def insert() -> None:
            for blob in blobs:
                database.execute("INSERT INTO t (v) VALUES (?)", (blob,))

        rate = _per_second(insert, len(blobs), num_rounds=10)
        database.close()
    return rate


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
    vectors = _vectors(NUM_TURNED)
    return {
        "make_s": made_s,
        "probe_ms": median_ms(lambda: space.rotate(vectors[:1]), num_runs=300),
        "bulk_per_s": _per_second(lambda: space.rotate(vectors), NUM_TURNED, num_rounds=10),
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
    templates, inserts_per_s = template_rates(), bare_inserts_per_s()
    pieces, spaces = piece_rates(), space_times()
    seal_s = 1 / templates["aes_seal"] - 1 / templates["clear_seal"]
    ratios = {
        "bare_insert": 1 + seal_s * inserts_per_s,
        "bulk_enroll": 1 + seal_s * BULK_ENROLL_PER_S,
    }
    all_vectors = {"random": _vectors(max(NUM_PAIRS) + NUM_TARGETS), **face_vectors()}
    attacks = {
        name: mean_cosines(vectors, num_targets=NUM_TARGETS)
        for name, vectors in all_vectors.items()
    }
    rows: list[tuple[str, object]] = [
        *((f"templates a second: {name}", round(rate)) for name, rate in templates.items()),
        ("bare SQLite inserts a second", round(inserts_per_s)),
        ("insert and seal / bare insert", f"{ratios['bare_insert']:.3f}"),
        ("bulk load at 20,000 a second, with seal / without", f"{ratios['bulk_enroll']:.3f}"),
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
            "bare_inserts_per_s": round(inserts_per_s),
            "with_seal_over_without": {name: round(ratio, 4) for name, ratio in ratios.items()},
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
