"""The service needs no network and looks for none: no model, no page, no telemetry."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

NO_NETWORK = ["unshare", "--map-root-user", "--net"]
CHILD = [sys.executable, "-m", "tests.service.offline_child"]


def test_everything_works_with_the_network_blocked(
    tmp_path: Path, sample_photos: Mapping[str, Path]
) -> None:
    """In a network without any device all is answered, and nobody tried to reach anybody.

    Where such a network cannot be made, what is tried is still seen.
    """
    can = shutil.which("unshare") is not None
    blocked = can and subprocess.run([*NO_NETWORK, "true"], check=False).returncode == 0
    command = [*(NO_NETWORK if blocked else []), *CHILD, str(tmp_path / "data")]
    run = subprocess.run(
        [*command, str(sample_photos["hopper"])],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == {
        "tried": [],
        "enroll": 201,
        "identify": ["match"],
        "verify": "match",
        "pages": [200, 200, 200],
    }
