"""Two services on one PostgreSQL database: how soon one sees what the other enrolled.

One process enrolls at a steady rate and writes when each was acknowledged, by the clock that all
processes of a machine share; the other notes when its memory has it. A removal must be answered by
neither from its acknowledgement on.
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.face_vectors import strangers_probes
from index.galleries import Galleries
from index.gallery import Gallery

ENROLLS_PER_S = 50
SECONDS = 20
NUM_REMOVED = 50
FINGERPRINT = "a" * 64


def two_services() -> dict[str, float]:
    """The figures; empty where no PostgreSQL is installed."""
    try:
        from tests.index.postgres import new_database, postgres_server
    except ImportError:
        return {}
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder:
        url = new_database(server)
        with Galleries.open(Path(folder), database_url=url) as galleries:
            gallery = galleries.create("people", fingerprint=FINGERPRINT)
            child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.two_services", folder, url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                return _watch(gallery, child)
            finally:
                child.kill()
                child.wait()


def _watch(gallery: Gallery, child: "subprocess.Popen[str]") -> dict[str, float]:
    seen: list[float] = []
    done = threading.Event()

    def note() -> None:
        while not done.is_set():
            while len(seen) < gallery.num_templates:
                seen.append(time.monotonic())
            time.sleep(0.001)

    watcher = threading.Thread(target=note)
    watcher.start()
    acknowledged: list[float] = []
    num_answered = num_removed = 0
    vectors_ND = strangers_probes(ENROLLS_PER_S * SECONDS, seed=9)
    if child.stdin is None or child.stdout is None:
        raise AssertionError("the other process was started without pipes")
    try:
        for line in child.stdout:
            kind, value = line.split()
            if kind == "enrolled":
                acknowledged.append(float(value))
            elif kind == "settled":
                # All must be seen before the other process removes again.
                while len(seen) < len(acknowledged):
                    time.sleep(0.01)
                done.set()
                child.stdin.write("go on\n")
                child.stdin.flush()
            else:
                num_removed += 1
                found = gallery.identify(
                    vectors_ND[int(value)],
                    fingerprint=FINGERPRINT,
                    match_threshold=0.9,
                    review_threshold=0.8,
                )
                num_answered += found.decision != "unknown"
    finally:
        done.set()
        watcher.join()
    late = np.array(seen[: len(acknowledged)]) - np.array(acknowledged)
    return {
        "two_services_enrolls": float(len(acknowledged)),
        "two_services_seen_median_s": float(np.median(late)),
        "two_services_seen_99_s": float(np.quantile(late, 0.99)),
        "two_services_removals": float(num_removed),
        "two_services_removals_answered": float(num_answered),
    }


def _enroll(folder: Path, url: str) -> None:
    """The other process."""
    from benchmarks.store import template

    vectors_ND = strangers_probes(ENROLLS_PER_S * SECONDS, seed=9)
    with Galleries.open(folder, database_url=url) as galleries:
        gallery = galleries.get("people")
        begun = time.monotonic()
        ids = []
        for number, vector in enumerate(vectors_ND):
            time.sleep(max(0.0, begun + number / ENROLLS_PER_S - time.monotonic()))
            ids.append(gallery.enroll([template(vector)]).subject_id)
            print("enrolled", time.monotonic(), flush=True)
        print("settled", 0, flush=True)
        sys.stdin.readline()
        for number in range(NUM_REMOVED):
            gallery.remove_subject(ids[number])
            print("removed", number, flush=True)


if __name__ == "__main__":
    _enroll(Path(sys.argv[1]), sys.argv[2])
