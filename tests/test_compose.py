"""The compose file, its secrets, and what Prometheus and Grafana are given, without an engine."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from service.metrics import Metrics
from service.metrics_state import GallerySize, Health, Load

REPOSITORY = Path(__file__).parents[1]
COMPOSE = REPOSITORY / "docker-compose.yml"
DASHBOARD = REPOSITORY / "docker" / "grafana" / "dashboards" / "facegallery.json"
RULES = REPOSITORY / "docker" / "prometheus" / "alerts.yml"
PROMETHEUS = REPOSITORY / "docker" / "prometheus" / "prometheus.yml"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with what compose reads, and without secrets."""
    shutil.copy(COMPOSE, tmp_path)
    shutil.copytree(REPOSITORY / "docker", tmp_path / "docker")
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A finished command."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def compose() -> str:
    """The program that checks the file; no engine is needed for that."""
    found = shutil.which("docker-compose")
    if found is None:
        pytest.skip("needs docker-compose; Debian has a package of this name")
    return found


def promtool() -> str:
    """Prometheus' own check of its files."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool; Debian's package prometheus has it")
    return found


def measured() -> Metrics:
    """Metrics with a value each."""
    gallery = GallerySize(
        name="g", num_subjects=1, num_templates=2, threshold_age_s=3.0, threshold_stale=False
    )
    health = Health(staleness_s=0.0, upkeep_failing_s=0.0)
    metrics = Metrics(lambda: [gallery], lambda: health, version="1")
    metrics.watch_load(lambda: Load(num_working=1, num_queued=0, num_runs=1, num_crops=2))
    metrics.answered(method="GET", route="/", status=200, seconds=0.1)
    return metrics


@cache
def series() -> dict[str, set[str]]:
    """The labels of every series that Prometheus can ask for."""
    metrics = measured()
    metrics._stages({"embed": 1.0})
    found: dict[str, set[str]] = {"up": set()}
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    """What the dashboard and the alerts ask Prometheus for."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    return asked + re.findall(
        r"expr: (?:>-\n)?((?:.+\n)+?)\s+(?:for|annotations):", RULES.read_text()
    )


@pytest.mark.parametrize("profile", [None, "metrics", "dashboard"])
def test_the_compose_file_is_valid_with_secrets(copy: Path, profile: str | None) -> None:
    """After `docker/secrets` the file is accepted, with each of its profiles."""
    program = compose()
    assert run(copy, "docker/secrets").returncode == 0
    chosen = ["--profile", profile] if profile else []
    answer = run(copy, program, *chosen, "config")
    assert answer.returncode == 0, answer.stderr
    assert "image: postgres:" in answer.stdout
    assert "facegallery@postgres/facegallery" in answer.stdout


def test_without_secrets_nothing_starts(copy: Path) -> None:
    """No password is made up: the file that is missing is named."""
    answer = run(copy, compose(), "config")
    assert answer.returncode != 0
    assert "database.env" in answer.stderr


def test_no_secret_has_a_default() -> None:
    """Passwords and tokens come from files that the repository does not hold."""
    text = COMPOSE.read_text()
    set_here = re.findall(r"^ +(\w*(?:PASSWORD|TOKEN|SECRET|_KEY)\w*): *(.+)$", text, re.MULTILINE)
    assert set_here
    assert [name for name, value in set_here if not value.startswith("/run/secrets/")] == []
    assert "secrets/" in (REPOSITORY / ".gitignore").read_text().splitlines()
    assert re.findall(r"://[^@\s]*:[^@\s]*@", text) == []


def test_secrets_are_made_once_at_random_for_the_owner(copy: Path) -> None:
    """Nobody else enters the folder; a second run keeps what is there; two makes differ."""
    assert run(copy, "docker/secrets").returncode == 0
    folder = copy / "secrets"
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert made.keys() == {"metrics-token", "grafana-admin-password", "database.env"}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "database.env").stat().st_mode & 0o777 == 0o600
    assert run(copy, "docker/secrets").stdout == ""
    assert {path.name: path.read_text() for path in folder.iterdir()} == made
    assert len(set(made.values())) == 3
    password = re.fullmatch(
        r"POSTGRES_PASSWORD=([0-9a-f]{64})\nPGPASSWORD=([0-9a-f]{64})\n", made["database.env"]
    )
    assert password
    assert password[1] == password[2]
    shutil.rmtree(folder)
    run(copy, "docker/secrets")
    assert (folder / "metrics-token").read_text() != made["metrics-token"]


def test_only_loopback_is_published() -> None:
    """No service of the file can be reached from other hosts."""
    published = re.findall(r'^ +- "([\d.]*):?\d+:\d+"$', COMPOSE.read_text(), re.MULTILINE)
    assert len(published) == 3
    assert set(published) == {"127.0.0.1"}


def test_dashboard_and_alerts_ask_for_what_there_is() -> None:
    """Every series and label in an expression is one that the service has."""
    assert len(expressions()) > 20
    for expression in expressions():
        without = re.sub(r'"[^"]*"', '""', expression)
        names = re.findall(r"\b(?:facegallery_\w+|process_\w+|up)\b", without)
        assert names, expression
        assert [name for name in names if name not in series()] == []
        allowed = {"le", "job", "instance"}.union(*(series()[name] for name in names))
        labels = re.findall(r"(\w+)=~?\"", without)
        grouped = ",".join(re.findall(r"by \(([^)]*)\)", without)).split(",")
        assert {each.strip() for each in (*labels, *grouped)} - {""} <= allowed, expression


def test_every_metric_is_on_the_dashboard() -> None:
    """What is measured can be looked at."""
    asked = " ".join(expressions())
    own = {re.sub(r"_(bucket|sum|count)$", "", name) for name in series()}
    wanted = {name for name in own if name.startswith("facegallery_")}
    assert {name for name in wanted if name not in asked} == {"facegallery_build_info"}


def test_the_dashboard_finds_its_source() -> None:
    """Panels ask the source that is provisioned, have ids of their own and do not overlap."""
    source = REPOSITORY / "docker" / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    uid = re.search(r"uid: (\w+)", source.read_text())
    assert uid
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert {each["datasource"]["uid"] for each in (panel, *panel["targets"])} == {uid[1]}
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert "prometheus:9090" in source.read_text()


def test_prometheus_accepts_its_files(tmp_path: Path) -> None:
    """Its own tool finds no fault in configuration, alerts and metrics."""
    program = promtool()
    token = tmp_path / "token"
    token.write_text("x")
    shutil.copy(RULES, tmp_path)
    config = tmp_path / "prometheus.yml"
    config.write_text(PROMETHEUS.read_text().replace("/run/secrets/metrics-token", str(token)))
    checked = run(tmp_path, program, "check", "config", str(config))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "5 rules" in checked.stdout
    answer = subprocess.run(
        [program, "check", "metrics"],
        input=measured().text("")[0],
        capture_output=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr.decode()
