"""The whole `POST /v1/identify`: how quick, at what price beside the bare work, and under stress.

A photo of 640x480 with one face, a gallery of 10,000 synthetic people and that person. In one run:

- median and 99th percentile at 1, 8 and 32 callers;
- CPU seconds of the server a request, beside those of a bare loop that decodes, detects, embeds
  and searches with as many threads, both taking turns;
- memory of the server over many requests of mixed sizes, bad ones among them;
- ten times the load that it can do: what is answered, how late, and what is refused;
- enrolls, each identified by the very next request.

Quote nothing while something else computes. ``--memory-requests 100000`` takes an hour and more.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.face_vectors import strangers_probes
from benchmarks.http_bare import bare_identify, looped
from benchmarks.http_callers import Caller, Prepared, address_of, closed_loop, open_loop, prepare
from benchmarks.http_photos import mixed_requests
from benchmarks.report import print_report, resident_mb
from benchmarks.samples import find_samples
from benchmarks.server import RunningServer, running_server
from benchmarks.stages import portrait_640x480
from benchmarks.store import template
from embedding.cores import num_cores
from index.records import NewSubject
from service.assembly import DEFAULT_GALLERY, open_parts
from service.settings import Settings

NUM_SUBJECTS = 10_000
NUM_CALLERS = (1, 8, 32)
OVERLOAD = 10


def fill(folder: Path, vectors_ND: NDArray[np.float32]) -> None:
    """A data folder whose default gallery holds one template of each synthetic person."""
    with open_parts(Settings(data_folder=folder)) as parts:
        gallery = parts.galleries.get(DEFAULT_GALLERY)
        new = [
            NewSubject(
                name=f"Subject {number}",
                templates=(replace(template(vector_D), fingerprint=gallery.fingerprint),),
            )
            for number, vector_D in enumerate(vectors_ND)
        ]
        for start in range(0, len(new), 1000):
            gallery.enroll_many(new[start : start + 1000])


def cpu_s_of(server: RunningServer) -> float:
    """CPU seconds of the server's process so far, by all its threads."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def speed(
    server: RunningServer,
    identify: Prepared,
    photo: bytes,
    vectors_ND: NDArray[np.float32],
    *,
    num_rounds: int,
    num_requests: int,
) -> dict[str, float]:
    """Times at each number of callers, and CPU beside bare loops with as many threads.

    One loop has all cores look for faces in one photo, the usual way; the other, as the service,
    has each in a photo of its own. Callers and loops take turns, round by round, so that what
    else the machine does meets all; ratios are of the same round.
    """
    loops = {
        "bare": bare_identify(vectors_ND),
        "bare_streams": bare_identify(vectors_ND, num_streams=num_cores()),
    }
    for loop in loops.values():
        looped(loop, photo, num_threads=num_cores(), num_runs=16)
    closed_loop(server.url, [identify], num_callers=8, num_requests=16)
    times_ms: dict[int, list[float]] = {num: [] for num in NUM_CALLERS}
    cpu_ms: dict[int, list[float]] = {num: [] for num in NUM_CALLERS}
    rates: dict[int, list[float]] = {num: [] for num in NUM_CALLERS}
    bare_ms: dict[tuple[str, int], list[float]] = {
        (name, num): [] for name in loops for num in NUM_CALLERS
    }
    num_unwanted = 0
    for _ in range(num_rounds):
        for num in NUM_CALLERS:
            for name, loop in loops.items():
                bare_s, _ = looped(
                    loop, photo, num_threads=min(num, num_cores()), num_runs=num_requests
                )
                bare_ms[name, num].append(1000 * bare_s)
            before_s = cpu_s_of(server)
            seen = closed_loop(server.url, [identify], num_callers=num, num_requests=num_requests)
            cpu_ms[num].append(1000 * (cpu_s_of(server) - before_s) / num_requests)
            times_ms[num] += [1000 * each for each in seen.times_s]
            rates[num].append(num_requests / seen.seconds)
            num_unwanted += seen.num_unwanted
    figures: dict[str, float] = {"speed_unwanted": num_unwanted}
    for num in NUM_CALLERS:
        figures |= {
            f"median_ms_{num}": statistics.median(times_ms[num]),
            f"p99_ms_{num}": percentile(times_ms[num], 99),
            f"per_s_{num}": statistics.median(rates[num]),
            f"cpu_ms_{num}": statistics.median(cpu_ms[num]),
        }
        for name in loops:
            theirs = bare_ms[name, num]
            figures[f"{name}_cpu_ms_{num}"] = statistics.median(theirs)
            figures[f"cpu_of_{name}_{num}"] = statistics.median(
                np.divide(cpu_ms[num], theirs).tolist()
            )
    return figures


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed; 0 of nothing."""
    return float(np.percentile(values, percent)) if values else 0.0


def memory(
    server: RunningServer, requests: Sequence[Prepared], *, num_requests: int
) -> dict[str, float]:
    """Resident memory after a tenth, half and all of the requests, and its growth.

    The growth is the slope over the second half, where caches are full.
    """
    every = max(1, num_requests // 100)
    sampled: list[tuple[int, float]] = []

    def sample(number: int) -> None:
        if number % every == 0:
            sampled.append((number, resident_mb(server.pid)))

    seen = closed_loop(
        server.url, requests, num_callers=8, num_requests=num_requests, on_progress=sample
    )
    sampled.sort()
    numbers, sizes_mb = np.array(sampled).T
    late = numbers >= num_requests / 2
    slope = np.polyfit(numbers[late], sizes_mb[late], 1)[0] if late.sum() > 1 else 0.0
    return {
        "memory_requests": num_requests,
        "memory_unwanted": seen.num_unwanted,
        **{f"memory_{got}_where_{wanted}": num for (wanted, got), num in seen.unwanted.items()},
        "memory_mb_at_10_percent": float(np.interp(num_requests / 10, numbers, sizes_mb)),
        "memory_mb_at_half": float(np.interp(num_requests / 2, numbers, sizes_mb)),
        "memory_mb_at_end": float(sizes_mb[-1]),
        "memory_mb_most": float(sizes_mb.max()),
        "memory_mb_growth_per_10000": float(10_000 * slope),
    }


def overload(
    server: RunningServer, identify: Prepared, *, capacity_per_s: float, seconds: float
) -> dict[str, float]:
    """Ten times the capacity: what is answered and when, what is refused, what breaks."""
    settings = Settings()
    refused_before = server.client.get("/readyz").status_code != 200
    seen = open_loop(server.url, identify, rate_per_s=OVERLOAD * capacity_per_s, seconds=seconds)
    num_sent, num_refused = sum(seen.statuses.values()), seen.statuses[429]
    num_answered = len(seen.times_s)
    return {
        "overload_sent_per_s": num_sent / seconds,
        "overload_answered": num_answered,
        "overload_refused_429": num_refused,
        "overload_other": num_sent - num_answered - num_refused + refused_before,
        "overload_answered_of_capacity": num_answered / seen.seconds / capacity_per_s,
        "overload_median_s": percentile(seen.times_s, 50),
        "overload_p99_s": percentile(seen.times_s, 99),
        "overload_most_s": max(seen.times_s, default=0.0),
        "overload_stated_s": settings.deadline_s + 1.0,
    }


def fresh_enrolls(server: RunningServer, photo: bytes, *, num: int) -> dict[str, float]:
    """Enrolls that the very next request did not find, and removals that it still found."""
    num_missed = num_risen = 0
    address = address_of(server.url)
    identify = prepare(
        server.url,
        "/v1/identify",
        headers=dict(server.client.headers),
        files=[("photo", ("photo", photo))],
    )
    for number in range(num):
        enrolled = server.client.post(
            "/v1/enroll",
            files={"photos": ("photo", photo)},
            data={"subject": f"New {number}"},
        )
        subject_id = enrolled.raise_for_status().json()["subject_id"]
        num_missed += subject_id not in _named(address, identify)
        path = f"/v1/galleries/{DEFAULT_GALLERY}/subjects/{subject_id}"
        server.client.delete(path).raise_for_status()
        num_risen += subject_id in _named(address, identify)
    return {"enrolls": num, "enrolls_missed": num_missed, "removals_found": num_risen}


def _named(address: tuple[str, int], identify: Prepared) -> set[str]:
    """Ids of the subjects that match, asked over a new connection."""
    caller = Caller(address)
    status, body = caller.ask(identify)
    caller.close()
    if status != 200:
        raise RuntimeError(f"identify answered {status}")
    faces = json.loads(body)["faces"]
    return {face["subject"]["id"] for face in faces if face["decision"] == "match"}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400, help="in a round, at each level")
    parser.add_argument("--memory-requests", type=int, default=5000)
    parser.add_argument("--overload-seconds", type=float, default=20.0)
    parser.add_argument("--enrolls", type=int, default=50)
    options = parser.parse_args()
    samples, photo = find_samples(), portrait_640x480()
    vectors_ND = strangers_probes(NUM_SUBJECTS)
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder) / "data", vectors_ND)
        with running_server(Path(folder) / "data") as server:
            headers = {"Authorization": server.client.headers["Authorization"]}
            person = server.client.post(
                "/v1/enroll",
                files={"photos": ("photo", photo)},
                data={"subject": "the person"},
            ).raise_for_status()
            identify = prepare(
                server.url,
                "/v1/identify",
                headers=headers,
                files=[("photo", ("photo", photo))],
            )
            if _named(address_of(server.url), identify) != {person.json()["subject_id"]}:
                raise RuntimeError("the person is not identified")
            figures = speed(
                server,
                identify,
                photo,
                vectors_ND,
                num_rounds=options.rounds,
                num_requests=options.requests,
            )
            figures |= fresh_enrolls(server, samples["hopper"].read_bytes(), num=options.enrolls)
            mixed = mixed_requests(server.url, samples, headers=headers)
            random.Random(0).shuffle(mixed)  # noqa: S311 (an order, no secret)
            figures |= memory(server, mixed, num_requests=options.memory_requests)
            figures |= overload(
                server,
                identify,
                capacity_per_s=figures[f"per_s_{NUM_CALLERS[-1]}"],
                seconds=options.overload_seconds,
            )
    print_report(
        "http",
        ("identify, 640x480, one face, 10,000 people", "figure"),
        [(name, float(value)) for name, value in figures.items()],
        {
            **{name: round(value, 3) for name, value in figures.items()},
            "rounds": options.rounds,
            "requests_a_round": options.requests,
            "cores": num_cores(),
        },
    )


if __name__ == "__main__":
    main()
