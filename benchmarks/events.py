"""What events cost an identification: processor and wall time with and without them, in turn.

Beside it, what commits in which many share cost each. The last line is JSON.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.stages import portrait_640x480
from index.events import NewEvent
from service.assembly import Parts, open_parts
from service.choosing import SubjectChoice
from service.recording import Recorder, Telling
from service.settings import Settings


def main() -> None:
    """Measures on SQLite in a temporary folder, with the shipped model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identifies", type=int, default=200)
    parser.add_argument("--threads", type=int, default=16)
    args = parser.parse_args()
    photo = portrait_640x480()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_folder=Path(folder) / "data", events=True)
        with open_parts(settings) as parts:
            parts.recognizer.enroll([photo], gallery="default", subject=SubjectChoice(name="a"))
            cpu_ms, wall_ms = _identifies(parts, photo, args.identifies)
            alone_ms, alone_cpu_ms = _records(parts, num_threads=1, num_each=500)
            shared_ms, shared_cpu_ms = _records(parts, num_threads=args.threads, num_each=100)
    print(
        json.dumps(
            {
                "identify_cpu_ms": round(cpu_ms[True], 2),
                "identify_without_cpu_ms": round(cpu_ms[False], 2),
                "cpu_ratio": round(cpu_ms[True] / cpu_ms[False], 4),
                "identify_ms": round(wall_ms[True], 2),
                "identify_without_ms": round(wall_ms[False], 2),
                "event_ms": round(alone_ms, 3),
                "event_cpu_ms": round(alone_cpu_ms, 3),
                "threads": args.threads,
                "event_of_many_ms": round(shared_ms, 3),
                "event_of_many_cpu_ms": round(shared_cpu_ms, 3),
            }
        )
    )


def _identifies(
    parts: Parts, photo: bytes, count: int
) -> tuple[dict[bool, float], dict[bool, float]]:
    """Mean processor and median wall time of an identify, with events and without."""
    recorders = {
        kept: Recorder(
            parts.galleries, settings=parts.settings.model_copy(update={"events": kept})
        )
        for kept in (True, False)
    }
    cpu: dict[bool, list[float]] = {True: [], False: []}
    wall: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * count + 20):
        kept = number % 2 == 0
        parts.recognizer._identifying._recorder = recorders[kept]
        begun, begun_cpu = time.perf_counter(), time.process_time()
        parts.recognizer.identify(photo, gallery="default", telling=Telling(source="door-1"))
        if number >= 20:
            wall[kept].append((time.perf_counter() - begun) * 1000)
            cpu[kept].append((time.process_time() - begun_cpu) * 1000)
    return (
        {kept: statistics.median(each) for kept, each in cpu.items()},
        {kept: statistics.median(each) for kept, each in wall.items()},
    )


def _records(parts: Parts, *, num_threads: int, num_each: int) -> tuple[float, float]:
    """Wall time of all for each event, and its processor time, where threads write at once."""
    gallery = parts.galleries.get("default")
    (person,) = gallery.subjects().subjects
    event = NewEvent(
        kind="identified",
        gallery_id=gallery.id,
        subject_id=person.id,
        decision="match",
        face=0,
        source="door-1",
    )

    def write() -> None:
        for _ in range(num_each):
            parts.galleries.events.record([event])

    threads = [threading.Thread(target=write) for _ in range(num_threads)]
    begun, begun_cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = num_threads * num_each
    return (
        (time.perf_counter() - begun) / total * 1000,
        (time.process_time() - begun_cpu) / total * 1000,
    )


if __name__ == "__main__":
    main()
