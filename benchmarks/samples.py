"""Finds the sample photos that ship inside packages, without importing those packages.

`make` unpacks the packages, and nothing that they depend on, into a folder of the environment.
"""

import sys
from pathlib import Path

SAMPLES = {
    # A publicity photo of six actors that InsightFace ships as its test picture.
    "t1": "insightface/data/images/t1.jpg",
    # Rear Admiral Grace Hopper, official portrait, public domain.
    "hopper": "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
    # Astronaut Eileen Collins, official portrait, public domain.
    "astronaut": "skimage/data/astronaut.png",
}


def find_samples() -> dict[str, Path]:
    """The sample photos by short name.

    Raises:
        FileNotFoundError: a package is not there; the message says how to fetch it.
    """
    folders = [Path(sys.prefix) / "samples", *(Path(entry) for entry in sys.path if entry)]
    found = {}
    for name, relative in SAMPLES.items():
        candidates = [folder / relative for folder in folders if (folder / relative).is_file()]
        if not candidates:
            raise FileNotFoundError(
                f"the sample photo {relative} is missing; run `make demo` once, which fetches it"
            )
        found[name] = candidates[0]
    return found
