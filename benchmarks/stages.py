"""How long each stage takes on two cores, from a photo's bytes to the answer over HTTP.

The photo is a real portrait on a 640x480 canvas. The gallery holds 10,000 synthetic templates.
Everything is measured in one run; quote nothing while something else computes.
"""

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.report import median_ms, print_report
from benchmarks.samples import find_samples
from benchmarks.server import running_server
from embedding.align import align_face
from embedding.detect import MtcnnDetector
from embedding.embedder import FaceEmbedder
from embedding.photo import decode_photo
from index.matrix.exact import ExactMatrix

NUM_RUNS = 60
NUM_TEMPLATES = 10_000
SERVING_PACKAGES = ("torch", "timm", "torchvision", "tensorflow")


def portrait_640x480() -> bytes:
    """One face in a 640x480 JPEG."""
    with Image.open(find_samples()["astronaut"]) as image:
        canvas = Image.new("RGB", (640, 480), (96, 96, 96))
        canvas.paste(image.convert("RGB").resize((480, 480)), (80, 0))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def stage_times(photo: bytes) -> dict[str, float]:
    """Median milliseconds of each stage alone."""
    embedder, detector = FaceEmbedder.open(), MtcnnDetector()
    pixels_HWC = decode_photo(photo)
    face = detector.detect(pixels_HWC)[0]
    crop_BHWC = align_face(pixels_HWC, face.landmarks)[None]
    query_D = embedder.embed_crops(crop_BHWC).vectors
    matrix = ExactMatrix(query_D.shape[1])
    vectors_ND = np.random.default_rng(0).normal(size=(NUM_TEMPLATES, query_D.shape[1]))
    vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    matrix.add(np.arange(NUM_TEMPLATES), vectors_ND.astype(np.float32))
    work = {
        "decode": lambda: decode_photo(photo),
        "detect": lambda: detector.detect(pixels_HWC),
        "align": lambda: align_face(pixels_HWC, face.landmarks),
        "embed": lambda: embedder.embed_crops(crop_BHWC),
        "search_10k": lambda: matrix.search(query_D, 10),
        "whole_embedder": lambda: embedder.analyze(photo),
    }
    return {name: median_ms(one, num_runs=NUM_RUNS) for name, one in work.items()}


def http_times(photo: bytes) -> dict[str, float]:
    """Whole requests against the real service, and how long it takes to start."""
    samples = find_samples()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with running_server(data) as server:
            enroll = server.client.post(
                "/v1/enroll",
                files={"photos": ("a.jpg", samples["hopper"].read_bytes(), "image/jpeg")},
                data={"subject": "first"},
            )
            enroll.raise_for_status()

            def identify() -> None:
                answer = server.client.post("/v1/identify", files={"photo": ("p.jpg", photo)})
                answer.raise_for_status()

            times = {"http_identify": median_ms(identify, num_runs=NUM_RUNS)}
            times["start_to_readyz_s"] = server.seconds_to_ready
    return times


def install_size_mb() -> float:
    """Size of a base install in an environment of its own, in MB, made by the real installer."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        empty = _size_mb(Path(folder))
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        constraints = str(root / "constraints.txt")
        subprocess.run([*pip, "install", "--quiet", "-c", constraints, str(root)], check=True)
        found = subprocess.run(
            [*pip, "list", "--format=freeze"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        unwanted = [name for name in SERVING_PACKAGES if f"\n{name}==" in f"\n{found}"]
        if unwanted:
            raise SystemExit(f"the base install holds {', '.join(unwanted)}")
        return _size_mb(Path(folder)) - empty


def _size_mb(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """Measures and prints."""
    photo = portrait_640x480()
    times = stage_times(photo)
    times |= http_times(photo)
    started = time.perf_counter()
    size_mb = install_size_mb()
    install_s = time.perf_counter() - started
    rows: list[tuple[str, object]] = [
        (name, f"{value:.2f} s" if name.endswith("_s") else f"{value:.2f} ms")
        for name, value in times.items()
    ]
    rows += [("base install", f"{size_mb:.0f} MB"), ("base install", f"{install_s:.0f} s")]
    figures = {name: round(value, 3) for name, value in times.items()}
    print_report(
        "stages",
        ("640x480 photo, one face, median", "time or size"),
        rows,
        {**figures, "base_install_mb": round(size_mb), "base_install_s": round(install_s, 1)},
    )


if __name__ == "__main__":
    main()
