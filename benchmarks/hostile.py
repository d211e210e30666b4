"""Hostile uploads to a real server: what it answers, and what that costs in memory.

Photos with flipped bits, cut off, spliced, as bombs and polyglots, turned by EXIF, animated, CMYK,
16-bit, palette, with huge dimensions or no bytes, and other formats under a photo's name go to
enroll, dry run and real, identify and detect of a server in a process of its own on loopback.
Wanted: each gets a clear answer of its kind, none a 5xx; the server lives and writes no fault to
its log; its memory stays under a bound that is stated before, and does not grow.

The bound: what the warm server takes, and for each worker a photo of as many pixels as are
accepted at 24 bytes a pixel. Pillow holds 4 bytes of a pixel with alpha, the same again to lay it
on white, 3 of white, 1 of mask and 3 of the result; the array is turned into another one of 3,
and what a 16-bit pixel passes through is 14. The rest is room for what the allocator keeps.

The seed is printed; the same seed sends the same bytes. Failing uploads are kept as files.
"""

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.hostile_attack import Seen, attack, keep
from benchmarks.hostile_photos import HostilePhotos
from benchmarks.report import print_report, print_table, resident_mb
from benchmarks.samples import find_samples
from benchmarks.server import RunningServer, running_server
from embedding.cores import num_cores
from service.settings import Settings

MiB = 1024 * 1024
BYTES_A_PIXEL = 24
FLAT_MB = 64.0
"""What the allocator may keep more of at the end than after the first quarter."""

NUM_BLOCKS = 20
NUM_WARM = 200
NUM_LARGE = 32
DEADLINE_S = 300.0
"""For one's turn: 503 where a photo waits longer is wanted under load, which is not the matter."""

_FAULTS = ("fault request", "Traceback", "error code=")
"""Words of the log that no upload may cause."""


def peak_mb_of(server: RunningServer) -> float:
    """The most that the server's process ever took, in MiB; Linux only."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not tell how much memory a process took")


def run(
    server: RunningServer, photos: HostilePhotos, *, num_uploads: int, num_callers: int
) -> tuple[Seen, dict[str, float]]:
    """Sends all uploads in blocks, and looks at the server's memory between them."""
    headers = {"Authorization": server.client.headers["Authorization"]}

    def send(numbers: Sequence[int]) -> Seen:
        return attack(server.url, photos, numbers, headers=headers, num_callers=num_callers)

    send(range(-NUM_WARM, 0))
    # The nets keep buffers of the largest photos that they met.
    earlier = (number for number in itertools.count(-NUM_WARM - 1, -1))
    large = (each for each in earlier if photos.upload(each).kind in {"bomb", "thin"})
    send(list(itertools.islice(large, NUM_LARGE)))
    warm_mb = resident_mb(server.pid)
    bound_mb = warm_mb + num_cores() * Settings().max_photo_pixels * BYTES_A_PIXEL / MiB
    print(f"memory: {warm_mb:.0f} MiB when warm, stated bound {bound_mb:.0f} MiB")
    seen, sizes_mb = Seen(), []
    edges = [num_uploads * block // NUM_BLOCKS for block in range(NUM_BLOCKS + 1)]
    for start, end in itertools.pairwise(edges):
        block = send(range(start, end))
        seen.statuses += block.statuses
        seen.codes += block.codes
        seen.kinds += block.kinds
        seen.failures += block.failures
        sizes_mb.append(resident_mb(server.pid))
        print(f"after {end} uploads: {sizes_mb[-1]:.0f} MiB")
    early, late = np.array_split(sizes_mb[NUM_BLOCKS // 4 :], 2)
    return seen, {
        "memory_mb_warm": warm_mb,
        "memory_mb_bound": bound_mb,
        "memory_mb_peak": peak_mb_of(server),
        "memory_mb_at_end": sizes_mb[-1],
        "memory_mb_growth": float(np.median(late) - np.median(early)),
    }


def main() -> None:
    """Sends, prints, and fails where an answer or the memory is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--uploads", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--keep", type=Path, default=Path("runs/hostile"))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with Image.open(find_samples()["hopper"]) as photo:
        portrait = photo.convert("RGB").resize((256, 300))
    face = find_samples()["astronaut"].read_bytes()
    photos = HostilePhotos(portrait, seed=options.seed, max_pixels=Settings().max_photo_pixels)
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile(mode="w+") as log,
    ):
        with running_server(
            Path(folder) / "data",
            log=log,
            variables={"FACEGALLERY_DEADLINE_S": str(DEADLINE_S)},
        ) as server:
            server.api.enroll([face], gallery="default", subject="the person")
            seen, memory = run(
                server, photos, num_uploads=options.uploads, num_callers=options.callers
            )
            lives = server.client.get("/readyz").status_code == 200
            num_subjects = server.api.galleries().galleries[0].num_subjects
        log.seek(0)
        faults = [line for line in log if any(each in line for each in _FAULTS)]
    for failure in seen.failures:
        path = keep(failure, options.keep, seed=options.seed)
        print(f"{failure.upload.kind}, {failure.route}: {failure.answer}; kept as {path}")
    for line in faults[:20]:
        print(line.rstrip())
    print_table("what became of each kind", ("upload", "answers"), sorted(seen.kinds.items()))
    good = {
        "every answer is one of its kind": not seen.failures,
        "the server lives": lives,
        "no fault in its log": not faults,
        "nobody is left in the gallery": num_subjects == 1,
        "memory under the bound": memory["memory_mb_peak"] < memory["memory_mb_bound"],
        "memory flat": memory["memory_mb_growth"] < FLAT_MB,
    }
    print_report(
        "hostile",
        (f"{options.uploads} uploads", "figure"),
        [*memory.items(), *((name, "yes" if held else "NO") for name, held in good.items())],
        {
            "uploads": options.uploads,
            "seed": options.seed,
            "statuses": {str(key): num for key, num in sorted(seen.statuses.items())},
            "codes": dict(sorted(seen.codes.items())),
            "num_5xx": sum(num for status, num in seen.statuses.items() if status >= 500),
            "failures": len(seen.failures),
            "faults_in_log": len(faults),
            **{name: round(value, 1) for name, value in memory.items()},
            "held": all(good.values()),
        },
    )
    if not all(good.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
