"""Photos a second against the package `face_recognition` (dlib) on the same photos, in one run.

Both decode the JPEG, find the faces and embed them, one photo after the other. The peer runs in
a process of its own, on packages that `make bench` puts into a folder for this benchmark only.
"""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from benchmarks.report import print_report
from benchmarks.samples import find_samples

PEER_PACKAGES = Path(sys.prefix) / "peers"
NUM_ROUNDS = 5


def add_peers() -> None:
    """Makes the peer's packages importable in this process.

    Raises:
        SystemExit: they are not there.
    """
    if not PEER_PACKAGES.is_dir():
        raise SystemExit("the peer's packages are missing; run make bench, which fetches them")
    if str(PEER_PACKAGES) not in sys.path:
        sys.path.insert(0, str(PEER_PACKAGES))


@cache
def peer_network() -> Any:  # noqa: ANN401 (the library is untyped)
    """The face network of dlib, which the peer uses."""
    add_peers()
    import dlib
    import face_recognition_models

    file = face_recognition_models.face_recognition_model_location()
    return dlib.face_recognition_model_v1(file)


def photos() -> list[bytes]:
    """Twelve 640x480 photos with one to six faces, made of the sample photos."""
    made = []
    for path in find_samples().values():
        with Image.open(path) as image:
            fitted = ImageOps.pad(image.convert("RGB"), (640, 480))
        for variant in (fitted, ImageOps.mirror(fitted)):
            for quality in (90, 75):
                buffer = io.BytesIO()
                variant.save(buffer, "JPEG", quality=quality)
                made.append(buffer.getvalue())
    return made


def ours() -> Callable[[bytes], int]:
    """Number of faces that we embedded."""
    from embedding.embedder import FaceEmbedder

    embedder = FaceEmbedder.open()
    return lambda photo: len(embedder.analyze(photo).faces)


def face_recognition() -> Callable[[bytes], int]:
    """Number of faces that the peer embedded, with its defaults."""
    add_peers()
    import face_recognition as peer

    def work(photo: bytes) -> int:
        pixels = peer.load_image_file(io.BytesIO(photo))
        return len(peer.face_encodings(pixels))

    return work


SYSTEMS = {"facegallery": ours, "face_recognition": face_recognition}


def measure(name: str) -> dict[str, float]:
    """Photos a second and faces found; the first round warms up and is left out."""
    work, batch = SYSTEMS[name](), photos()
    times, num_faces = [], 0
    for _ in range(1 + NUM_ROUNDS):
        started = time.perf_counter()
        num_faces = sum(work(photo) for photo in batch)
        times.append(time.perf_counter() - started)
    best = sorted(times[1:])[NUM_ROUNDS // 2]
    return {"photos_per_s": len(batch) / best, "num_faces": num_faces, "num_photos": len(batch)}


def main() -> None:
    """Measures each system in a process of its own, one after the other, and compares."""
    if len(sys.argv) == 2:
        print(json.dumps(measure(sys.argv[1])))
        return
    add_peers()
    results: dict[str, dict[str, float]] = {}
    for name in SYSTEMS:
        output = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.peers", name],
            check=True,
            capture_output=True,
            text=True,
            env=dict(os.environ),
        ).stdout
        results[name] = json.loads(output.splitlines()[-1])
    ratio = results["facegallery"]["photos_per_s"] / results["face_recognition"]["photos_per_s"]
    rows = [
        (name, one["photos_per_s"], int(one["num_faces"]), int(one["num_photos"]))
        for name, one in results.items()
    ]
    print_report(
        "peers",
        ("system", "photos a second", "faces embedded", "photos"),
        [*rows, ("ratio", ratio, "", "")],
        {"ratio": round(ratio, 2), **results},
    )


if __name__ == "__main__":
    main()
