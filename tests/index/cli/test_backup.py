"""Tests of `facegallery-index backup` and `restore`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from index.cli.main import main as cli_main
from tests.index.cli.conftest import VECTORS, Home, Run
from tests.index.samples import identify, new_template


def _start_anew(home: Home) -> None:
    shutil.rmtree(home.data)


@pytest.mark.parametrize("sealed", [False, True])
def test_a_backup_comes_back_without_those_removed_later(
    home: Home, run: Run, sealed: bool
) -> None:
    """Restored with the ledger, everybody is there but the one removed after the backup."""
    if sealed:
        home.use_key()
    people = home.fill(space=sealed)
    backup = home.folder / "backup"
    ran = run("backup", backup, "--json")
    assert ran.code == 0
    assert ran.json["not_in_it"] == ["sealing key", "removal ledger"]
    assert (ran.json["key_id"] is not None) == sealed
    with home.open() as galleries:
        galleries.get("people").remove_subject(people[2])
    _start_anew(home)
    ran = run("restore", backup, "--json")
    assert ran.code == 0, ran.err
    # Both templates and the person.
    assert ran.json["num_removals_carried_out"] == 3
    assert ran.json["num_templates"] == 10
    with home.open() as galleries:
        gallery = galleries.get("people")
        assert identify(gallery, VECTORS[4]).decision == "unknown"
        assert identify(gallery, VECTORS[0]).decision == "match"
    assert run("check").code == 0


def test_a_backup_is_made_beside_a_service(home: Home) -> None:
    """While one enrolls, another process saves a state that is whole."""
    home.fill()
    backup = home.folder / "backup"
    with home.open() as galleries:
        gallery = galleries.get("people")
        child = subprocess.Popen(
            [sys.executable, "-m", "index.cli.main", "backup", str(backup)], env=os.environ
        )
        num = 0
        while child.poll() is None:
            gallery.enroll([new_template(VECTORS[num % 12])])
            num += 1
        assert child.returncode == 0
    assert num > 0
    _start_anew(home)
    with pytest.raises(SystemExit) as caught:
        cli_main(["restore", str(backup)])
    assert not caught.value.code
    with home.open() as galleries:
        assert 12 <= galleries.get("people").num_templates <= 12 + num


def test_nothing_is_overwritten(home: Home, run: Run) -> None:
    """A target that exists, and a data folder that is not empty, are refused."""
    home.fill()
    backup = home.folder / "backup"
    assert run("backup", home.data / "inside").code == 3
    assert run("backup", backup).code == 0
    assert run("backup", backup).code == 3
    before = home.database.read_bytes()
    ran = run("restore", backup)
    assert (ran.code, "--replace" in ran.err) == (3, True)
    assert home.database.read_bytes() == before


def test_what_is_replaced_is_kept_aside(home: Home, run: Run) -> None:
    """With --replace the state of the backup is there, and the other one in a folder."""
    home.fill()
    backup = home.folder / "backup"
    run("backup", backup)
    with home.open() as galleries:
        galleries.get("people").enroll([new_template(VECTORS[0])])
    ran = run("restore", backup, "--replace", "--json")
    assert ran.code == 0, ran.err
    with home.open() as galleries:
        assert galleries.get("people").num_templates == 12
    kept = Path(ran.json["replaced"])
    assert (kept / "facegallery.sqlite").is_file()
    assert not (home.data / "restored").exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "manifest"])
def test_a_damaged_backup_changes_nothing(home: Home, run: Run, damage: str) -> None:
    """A flipped bit, a missing end or file: refused, and the old folder stays."""
    home.fill()
    backup = home.folder / "backup"
    run("backup", backup)
    name = "manifest.json" if damage == "manifest" else "facegallery.sqlite"
    content = bytearray((backup / name).read_bytes())
    if damage in {"flip", "manifest"}:
        content[len(content) // 2] ^= 1
    (backup / name).write_bytes(content[:-100] if damage == "cut" else content)
    if damage == "gone":
        (backup / name).unlink()
    before = sorted(each.name for each in home.data.iterdir())
    ran = run("restore", backup, "--replace")
    assert ran.code == 3
    assert "store_corrupt" in ran.err
    assert sorted(each.name for each in home.data.iterdir()) == before
    with home.open() as galleries:
        assert galleries.get("people").num_templates == 12


def test_a_restore_without_ledger_or_key_is_refused(
    home: Home, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is named, and the data folder stays empty."""
    home.use_key()
    home.fill()
    backup = home.folder / "backup"
    run("backup", backup)
    _start_anew(home)
    with monkeypatch.context() as patch:
        patch.delenv("FACEGALLERY_REMOVAL_LEDGER")
        assert "ledger_unfit" in run("restore", backup).err
    with monkeypatch.context() as patch:
        patch.delenv("FACEGALLERY_SEALING_KEY_FILE")
        assert "seal_key_missing" in run("restore", backup).err
    assert run("restore", backup).code == 0


def test_an_older_ledger_is_refused(home: Home, run: Run) -> None:
    """A ledger from before the backup lacks removals that the backup knows of."""
    people = home.fill()
    old = home.ledger.read_bytes()
    with home.open() as galleries:
        galleries.get("people").remove_subject(people[0])
    backup = home.folder / "backup"
    run("backup", backup)
    _start_anew(home)
    home.ledger.write_bytes(old)
    assert "ledger_unfit" in run("restore", backup).err
    assert not home.database.exists()


def test_a_restore_that_was_stopped_keeps_all_else_out(home: Home, run: Run) -> None:
    """With files half in place nothing opens or saves, until the restore is run again."""
    home.fill()
    backup = home.folder / "backup"
    run("backup", backup)
    (home.data / "restored").write_text('{"kept": "replaced-1", "old": ["facegallery.sqlite"]}')
    for command in (["purge"], ["check"], ["backup", home.folder / "another"]):
        ran = run(*command)
        assert (ran.code, "half-way" in ran.err) == (3, True)
    (backup / "facegallery.sqlite").rename(home.folder / "away")
    assert run("restore", backup, "--replace").code == 3
    assert "half-way" in run("purge").err
    (home.folder / "away").rename(backup / "facegallery.sqlite")
    assert run("restore", backup, "--replace").code == 0
    assert (home.data / "replaced-1" / "facegallery.sqlite").is_file()
    assert run("check").code == 0


def test_a_running_service_keeps_its_folder(home: Home, run: Run) -> None:
    """Nothing is restored under it."""
    home.fill()
    backup = home.folder / "backup"
    run("backup", backup)
    with home.open():
        assert "store_in_use" in run("restore", backup, "--replace").err


def test_a_damaged_database_is_not_saved(home: Home, run: Run) -> None:
    """A backup of it would be of no use and might push out a good one."""
    home.fill()
    content = bytearray(home.database.read_bytes())
    content[8192:12288] = b"\xa5" * 4096
    home.database.write_bytes(content)
    ran = run("backup", home.folder / "backup")
    assert ran.code == 3
    assert not (home.folder / "backup").exists()


@pytest.mark.postgres
def test_postgresql_saves_the_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str, run: Run
) -> None:
    """The tables are for pg_dump, which is said; the secrets come back and are those of before."""
    home = Home(tmp_path, monkeypatch, url=database_url)
    people = home.fill()
    backup = home.folder / "backup"
    ran = run("backup", backup)
    assert "pg_dump" in ran.out
    with home.open() as galleries:
        galleries.get("people").remove_subject(people[0])
    _start_anew(home)
    ran = run("restore", backup, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["num_templates"] == 10
    with home.open() as galleries:
        assert galleries.get("people").num_templates == 10
