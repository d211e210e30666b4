"""What the audit log costs: time of a change, of a note and of a cut, bytes of an entry, memory.

SQLite keeps the newest pages of the log in a cache of 64 MiB at most: resident memory grows with
the first entries of a process, and then no more.

The last line is JSON.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from sqlalchemy import Connection

from benchmarks.report import resident_mb
from index.audit.entries import AuditEvent
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import EMBEDDING_DIMENSION, NewTemplate
from index.store.audit_log import AuditLog

_FINGERPRINT = "a" * 64


def main() -> None:
    """Measures on SQLite in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notes", type=int, default=20_000)
    parser.add_argument("--enrolls", type=int, default=200)
    parser.add_argument("--memory-notes", type=int, default=600_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Galleries.open(Path(folder)) as galleries:
        gallery = galleries.create("people", fingerprint=_FINGERPRINT)
        subject = gallery.enroll([_template(0)], name="0").subject_id
        with_ms, without_ms = _enrolls(gallery, args.enrolls)
        before = _size(galleries)
        begun, begun_cpu = time.perf_counter(), time.process_time()
        _note(galleries, gallery.id, subject, args.notes)
        wall, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
        # Before the verification, whose reading is no part of a note.
        bytes_an_entry = (_size(galleries) - before) / args.notes
        begun = time.perf_counter()
        report = galleries.audit.verify()
        verified = time.perf_counter() - begun
        cut_s, longest_ms = _cut(galleries, report.num_entries)
        sizes_mb = [resident_mb(os.getpid())]
        for _ in range(10):
            _note(galleries, gallery.id, subject, args.memory_notes // 10)
            sizes_mb.append(resident_mb(os.getpid()))
        print(
            json.dumps(
                {
                    "enroll_ms": round(with_ms, 3),
                    "enroll_without_ms": round(without_ms, 3),
                    "note_us": round(wall / args.notes * 1e6, 1),
                    "note_cpu_us": round(cpu / args.notes * 1e6, 1),
                    "bytes_an_entry": round(bytes_an_entry),
                    "verified_a_second": round(report.num_entries / verified),
                    "cut_a_second": round(report.num_entries / cut_s),
                    "longest_commit_of_a_cut_ms": round(longest_ms, 1),
                    "memory_notes": args.memory_notes,
                    "memory_mb_at_tenths": [round(each, 1) for each in sizes_mb],
                    "whole": report.whole and galleries.audit.verify().whole,
                }
            )
        )


def _note(galleries: Galleries, gallery_id: str, subject_id: str, count: int) -> None:
    """Enters so many identifications, and returns when they are in the database."""
    event = AuditEvent(
        action="identify",
        gallery_id=gallery_id,
        subject_ids=(subject_id,),
        facts={"num_match": 1, "num_review": 0, "num_unknown": 0},
        actor="0a1b2c3d4e5f",
    )
    for number in range(count):
        galleries.audit.note(event)
        if number % 1000 == 999:
            galleries.audit.settle()
    galleries.audit.settle()


def _enrolls(gallery: Gallery, count: int) -> tuple[float, float]:
    """Medians of an enroll of one template with and without its entry, in turn."""
    spent: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * count):
        audited = number % 2 == 0
        template = _template(number)
        begun = time.perf_counter()
        if audited:
            gallery.enroll([template], name=f"person {number}")
        else:
            with patch.object(AuditLog, "write"):
                gallery.enroll([template], name=f"person {number}")
        spent[audited].append((time.perf_counter() - begun) * 1000)
    return statistics.median(spent[True]), statistics.median(spent[False])


def _cut(galleries: Galleries, through: int) -> tuple[float, float]:
    """Seconds of cutting all entries off, and milliseconds of its longest commit."""
    database = galleries._store.database
    transaction, longest_s = database.transaction, 0.0

    @contextmanager
    def timed() -> Iterator[Connection]:
        nonlocal longest_s
        begun = time.perf_counter()
        with transaction() as connection:
            yield connection
        longest_s = max(longest_s, time.perf_counter() - begun)

    begun = time.perf_counter()
    with patch.object(database, "transaction", timed):
        galleries.audit.cuts.cut(file=None, through=through)
    return time.perf_counter() - begun, longest_s * 1000


def _size(galleries: Galleries) -> int:
    database = galleries._store.database
    database.purge()
    return database.size_bytes()


def _template(seed: int) -> NewTemplate:
    vector = np.random.default_rng(seed).standard_normal(EMBEDDING_DIMENSION)
    return NewTemplate(
        embedding=(vector / np.linalg.norm(vector)).astype(np.float32),
        norm=20.0,
        fingerprint=_FINGERPRINT,
        box=(0.0, 0.0, 100.0, 120.0),
        photo_size=(640, 480),
        landmarks=np.zeros((5, 2), dtype=np.float32),
        confidence=0.99,
        quality=0.8,
        face_id="face",
        image_id="image",
        image_hash=b"\1" * 32,
    )


if __name__ == "__main__":
    main()
