"""schemathesis over the whole OpenAPI of a real server: all checks, some 20,000 cases.

The server runs in a process of its own on loopback. The operations are those of its own document,
so a new route is part of the next run. Wanted: no answer that the document does not name, no
5xx, nothing wrong accepted and nothing right refused. The seed is printed.
"""

import argparse
import json
import math
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.report import print_report
from benchmarks.samples import find_samples
from benchmarks.schemathesis_hooks import PORTRAIT_VARIABLE
from benchmarks.server import running_server
from service.auth import Role

STREAMS: Final = ("/v1/events",)
"""Paths whose answers do not end."""

MAY_REFUSE: Final[Mapping[str, str]] = {
    "enroll": "a face, the box around it, and whom it shows",
    "identify": "a rate or a threshold, one gallery or several, and not both",
    "verify": "two photos, or a photo and whom it shows; a face in each",
    "calibrate": "at least two people, or photos of strangers",
    "import_gallery": "a file of the exchange format",
    "patch_gallery": "another name comes without other changes",
    "move_templates": "whose they become",
    "merge_subjects": "two people who are not the same one",
    "change_subject": "the rules of a name, a consent reference and an end in the future",
    "create_key": "a time in the future",
}
"""Operations that may answer 422 to what fits their schema, and what no schema can say of them."""

OPAQUE: Final = frozenset({"cursor", "idempotency-key"})
"""Parameters that are good only where they came from: operations that have one may do so, too."""

_REPOSITORY = Path(__file__).parents[1]
_KEY, _TOKEN = "SCHEMATHESIS_KEY", "SCHEMATHESIS_TOKEN"
_TAKEN: Final = ("2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx")
_MAX_LINE: Final = 600
"""Of what is printed: a request may hold a photo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What schemathesis found.

    Attributes:
        num_cases: that were sent.
        num_operations: that were tested, and that were to be: all but streams.
        accepted: operations to which something valid was sent that they accepted.
        failures: kinds with the operations concerned, errors of the run among them.
        output: what it printed, with requests that show each failure.
    """

    num_cases: int
    num_operations: tuple[int, int]
    accepted: frozenset[str]
    failures: tuple[str, ...]
    output: str


def attack(
    url: str,
    document: Mapping[str, Any],
    *,
    key: str,
    token: str,
    seed: int | None,
    num_examples: int,
    folder: Path,
    portrait: Path | None = None,
) -> Verdict:
    """Runs schemathesis once against a service.

    Args:
        url: of the service.
        document: its OpenAPI.
        key: that is sent.
        token: of /metrics.
        seed: of all that is chosen; None for the same choices each time.
        num_examples: for each operation and phase, at most.
        folder: for its configuration and report.
        portrait: a photo with one face, so that enrolls succeed.

    Raises:
        RuntimeError: it did not come to an end.
    """
    config, report = folder / "schemathesis.toml", folder / "report.json"
    config.write_text(_configuration(document))
    command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={config}", "run"]
    command += [f"{url}/openapi.json", "--checks=all", "--continue-on-failure", "--no-color"]
    command += [f"--max-examples={num_examples}", f"--report-json-path={report}"]
    command += ["--generation-deterministic"] if seed is None else [f"--seed={seed}"]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "benchmarks.schemathesis_hooks",
        "PYTHONPATH": os.pathsep.join([str(_REPOSITORY), os.environ.get("PYTHONPATH", "")]),
        _KEY: key,
        _TOKEN: token,
        PORTRAIT_VARIABLE: str(portrait or ""),
    }
    # It keeps what it found where it runs.
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if not report.is_file():
        raise RuntimeError(f"schemathesis ended with {run.returncode}: {run.stdout}{run.stderr}")
    said = json.loads(report.read_text())
    if not said["complete"]:
        raise RuntimeError(f"schemathesis stopped early: {said['stop_reason']}")
    failures = [f"{each['title']}: {', '.join(each['operations'])}" for each in said["failures"]]
    return Verdict(
        num_cases=said["test_cases"]["generated"],
        num_operations=(said["operations"]["tested"], said["operations"]["selected"]),
        accepted=frozenset(
            operation
            for operation, phases in said["valid_rates"].items()
            if any(each["accepted"] for each in phases.values())
        ),
        failures=(*failures, *(f"error: {each}" for each in said["errors"])),
        output=run.stdout,
    )


def _configuration(document: Mapping[str, Any]) -> str:
    lines = [
        "[auth.openapi.key]",
        f'bearer = "${{{_KEY}}}"',
        '[auth.openapi."metrics token"]',
        f'bearer = "${{{_TOKEN}}}"',
    ]
    everywhere = ", ".join(f'"{status}"' for status in _TAKEN)
    lines += ["[checks]", f"positive_data_acceptance.expected-statuses = [{everywhere}]"]
    for path in STREAMS:
        lines += ["[[operations]]", f'include-path = "{path}"', "enabled = false"]
    taken = ", ".join(f'"{status}"' for status in (*_TAKEN, "422"))
    for operation in sorted({*MAY_REFUSE, *_with_opaque(document)}):
        lines += [
            "[[operations]]",
            f'include-operation-id = "{operation}"',
            f"checks.positive_data_acceptance.expected-statuses = [{taken}]",
        ]
    return "\n".join([*lines, ""])


def _with_opaque(document: Mapping[str, Any]) -> set[str]:
    return {
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
        if OPAQUE & {each["name"].lower() for each in operation.get("parameters", ())}
    }


def main() -> None:
    """Runs, prints, and fails where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000, help="at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--role", type=Role, default=Role.ADMIN, help="of the key that is sent")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    face = find_samples()["hopper"]
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile(mode="w+") as log:
        folder = Path(name)
        token_file = folder / "token"
        token = secrets.token_urlsafe(32)
        token_file.write_text(f"{token}\n")
        token_file.chmod(0o600)
        variables = {
            "FACEGALLERY_METRICS_TOKEN_FILE": str(token_file),
            "FACEGALLERY_HTTP_EXPORT": "true",
        }
        with running_server(folder / "data", log=log, variables=variables) as server:
            server.api.enroll([face.read_bytes()], gallery="default", subject="the person")
            document = server.client.get("/openapi.json").raise_for_status().json()
            key = server.client.headers["Authorization"].removeprefix("Bearer ")
            if options.role is not Role.ADMIN:
                made = server.client.post("/v1/keys", json={"role": options.role.value})
                key = made.raise_for_status().json()["key"]
            num_operations = sum(len(each) for each in document["paths"].values())
            num_cases, rounds, verdicts = 0, 0, []
            while num_cases < options.cases:
                left = (options.cases - num_cases) / num_operations
                verdict = attack(
                    server.url,
                    document,
                    key=key,
                    token=token,
                    seed=options.seed + rounds,
                    num_examples=max(10, min(500, math.ceil(left))),
                    folder=folder,
                    portrait=face,
                )
                verdicts.append(verdict)
                num_cases, rounds = num_cases + verdict.num_cases, rounds + 1
            lives = server.client.get("/readyz").status_code == 200
        log.seek(0)
        faults = [line for line in log if "fault request" in line or "error code=" in line]
    failures = sorted({each for verdict in verdicts for each in verdict.failures})
    for verdict in verdicts:
        if verdict.failures:
            print("\n".join(line[:_MAX_LINE] for line in verdict.output.splitlines()))
    accepted = frozenset[str]().union(*(verdict.accepted for verdict in verdicts))
    held = lives and not failures and not faults
    print_report(
        "schemathesis",
        (f"role {options.role.value}", "figure"),
        [
            ("cases", num_cases),
            ("operations", f"{verdicts[0].num_operations[0]} of {num_operations}"),
            ("operations that accepted something", len(accepted)),
            ("failures", len(failures)),
            ("faults in the log", len(faults)),
        ],
        {
            "cases": num_cases,
            "seed": options.seed,
            "rounds": rounds,
            "role": options.role.value,
            "operations": num_operations,
            "operations_tested": verdicts[0].num_operations[0],
            "operations_accepting": len(accepted),
            "failures": failures,
            "faults_in_log": len(faults),
            "held": held,
        },
    )
    if not held:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
