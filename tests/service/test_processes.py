"""Tests of a service of several processes."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from embedding.cores import num_cores
from service.cli import main
from service.processes import shared_out
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo
from tests.index.waiting import wait_until
from tests.service.server_process import Server, start

LONG_S = 60.0
PEOPLE = ("ann", "ben", "cat", "dan")


def members_of(server: Server) -> set[int]:
    """Ids of the processes that serve; multiprocessing's own helper is none."""
    pids = set()
    for entry in Path("/proc").iterdir():
        try:
            stat = (entry / "stat").read_text().rpartition(") ")[2].split()
            command = (entry / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if int(stat[1]) == server.process.pid and stat[0] != "Z" and b"spawn_main" in command:
            pids.add(int(entry.name))
    return pids


def answers(server: Server) -> bool:
    """Whether a new connection is answered."""
    try:
        return httpx.get(f"{server.url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def test_several_need_postgresql(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On SQLite several processes are refused before anything is opened, with the way out."""
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(settings.data_folder))
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--port", "0", "--processes", "2"], detector=FakeDetector())
    said = capsys.readouterr().err
    assert caught.value.code == 3
    assert "[settings_invalid]" in said
    assert "PostgreSQL" in said
    assert not settings.data_folder.exists()


def test_processes_share_the_cores(settings: Settings) -> None:
    """Each process gets its share of the cores, at least one, where nothing was chosen."""
    many = settings.model_copy(update={"num_processes": 64})
    shared = shared_out(many)
    assert (shared.num_workers, shared.num_threads) == (max(1, num_cores() // 64),) * 2
    chosen = shared_out(many.model_copy(update={"num_workers": 5, "num_threads": 3}))
    assert (chosen.num_workers, chosen.num_threads) == (5, 3)


@pytest.mark.postgres
@pytest.mark.usefixtures("on_postgres")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_processes_answer_as_one(settings: Settings) -> None:
    """An enroll is found over any connection at once; one that dies is replaced; all end."""
    server = start(settings, "--processes", "2")
    try:
        members = members_of(server)
        assert len(members) == 2
        headers = {"Authorization": f"Bearer {server.key}"}
        for person in PEOPLE:
            enrolled = httpx.post(
                f"{server.url}/v1/enroll",
                headers=headers,
                data={"subject": person},
                files=[("photos", ("a.png", make_photo([person])))],
            )
            for _ in range(6):
                found = httpx.post(
                    f"{server.url}/v1/identify",
                    headers=headers,
                    files={"photo": make_photo([person])},
                )
                subject = found.json()["faces"][0]["subject"]
                assert subject["id"] == enrolled.json()["subject_id"]
        victim = members.pop()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in members_of(server) and len(members_of(server)) == 2)
        wait_until(lambda: answers(server))
        members = members_of(server)
        assert server.stop() == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in members)
    finally:
        server.process.kill()
        server.process.communicate()


@pytest.mark.postgres
@pytest.mark.usefixtures("on_postgres")
def test_a_failed_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What keeps the first process from serving is the command's error."""
    monkeypatch.setenv("FACEGALLERY_MODEL", "absent")
    arguments = ["--port", "0", "--processes", "2", "--data-folder", str(tmp_path / "new")]
    with pytest.raises(SystemExit) as caught:
        main(["serve", *arguments], detector=FakeDetector())
    assert caught.value.code == 3
    assert "[model_not_found]" in capsys.readouterr().err
