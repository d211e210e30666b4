"""On a full disk and in a folder that cannot be written every command fails clearly."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from index.backup.saving import save
from index.galleries import Galleries
from index.key_ring import KeyRing
from index.place import Place
from index.transfer import export_gallery
from tests.index.cli.conftest import Run
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_NUM = 60
_VECTORS = unit_vectors(_NUM, seed=41)
_ROOT = Path(__file__).parents[3]
_READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'

# For each command a limit that lets it begin, and stops it before it is done.
_COMMANDS = {
    "backup": ("backup {}/another", 100_000),
    "restore": ("restore {}/backup --replace", 100_000),
    "export": ("export people {}/another.parquet --clear-text", 100_000),
    "import": (
        "import {}/people.parquet -g people -d {}/empty --removal-ledger {}/empty.ledger",
        150_000,
    ),
    "seal": ("seal --sealing-key-file {}/keys", 100_000),
    "purge": ("purge", 5_000),
    "keys new": ("keys new {}/another.keys", 0),
    "keys rotate": ("keys rotate --sealing-key-file {}/keys", 0),
}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a filled and an empty data folder, a backup, a key and an exchange file."""
    folder = tmp_path_factory.mktemp("start")
    place = _place(folder)
    with _opened(place) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        for number, vector in enumerate(_VECTORS):
            gallery.enroll([new_template(vector)], external_id=f"secret-{number}")
    with place.opened() as store:
        export_gallery(store, "people", folder / "people.parquet")
    save(place.data_folder, folder / "backup", database_url=None)
    _opened(Place(data_folder=folder / "empty", ledger=folder / "empty.ledger")).close()
    KeyRing.generate(folder / "keys")
    return folder


@pytest.fixture
def folder(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which the environment names for the commands."""
    copy = tmp_path / "copy"
    shutil.copytree(start, copy)
    for name in list(os.environ):
        if name.startswith("FACEGALLERY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(copy / "data"))
    monkeypatch.setenv("FACEGALLERY_REMOVAL_LEDGER", str(copy / "removals.ledger"))
    return copy


def _place(folder: Path) -> Place:
    return Place(data_folder=folder / "data", ledger=folder / "removals.ledger")


def _opened(place: Place) -> Galleries:
    return Galleries.open(place.data_folder, ledger=place.ledger, upkeep_s=3600)


def _arguments(folder: Path, command: str) -> list[str]:
    return [word.format(folder) for word in command.split()]


def _names(folder: Path) -> set[str]:
    """All files but what SQLite leaves of a log that it could not write, which is empty."""
    return {
        str(each.relative_to(folder))
        for each in folder.rglob("*")
        if not each.name.endswith((".sqlite-shm", ".sqlite-wal"))
    }


def _failed(command: Sequence[str]) -> str:
    """Run a command that must fail; returns its one line, after what the log may say."""
    ran = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 3, ran.stderr
    assert ran.stdout == ""
    assert "secret-" not in ran.stderr
    assert "Traceback" not in ran.stderr
    line = ran.stderr.splitlines()[-1]
    assert line.startswith("facegallery-index: ")
    return line


def _check_people(place: Place) -> None:
    with _opened(place) as galleries:
        gallery = galleries.get("people")
        assert gallery.num_templates == _NUM
        assert all(identify(gallery, each).decision == "match" for each in _VECTORS)


@pytest.mark.parametrize("name", _COMMANDS)
def test_a_command_on_a_full_disk(folder: Path, run: Run, name: str) -> None:
    """It says what to do, leaves nothing behind and loses nothing; with room it goes on."""
    command, limit = _COMMANDS[name]
    arguments = _arguments(folder, command)
    before = _names(folder)
    child = [sys.executable, "-m", "tests.index.cli.limited_child", str(limit), *arguments]
    assert "free space" in _failed(child)
    assert _names(folder) == before
    if name != "seal":
        _check_people(_place(folder))
    ran = run(*arguments)
    assert ran.code == 0, ran.err
    if name == "import":
        _check_people(Place(data_folder=folder / "empty", ledger=folder / "empty.ledger"))
    options = ["--sealing-key-file", str(folder / "keys")] if name == "seal" else []
    assert run("check", *options).code == 0


@pytest.mark.parametrize("name", _COMMANDS)
def test_a_command_in_a_folder_that_cannot_be_written(folder: Path, name: str) -> None:
    """It says what to do, and all files stay as they are."""
    command = [sys.executable, "-m", "index.cli.main", *_arguments(folder, _COMMANDS[name][0])]
    before = _names(folder)
    if os.geteuid() == 0:
        # Rights do not bind root: the file system itself has to refuse.
        prefix = ["unshare", "--mount", "sh", "-c", _READ_ONLY, "sh", str(folder)]
        if shutil.which("unshare") is None or not _works([*prefix, "true"]):
            pytest.skip("nothing can be mounted here, and rights do not bind root")
        line = _failed([*prefix, *command])
    else:
        folders = [folder, *(each for each in folder.rglob("*") if each.is_dir())]
        for each in folders:
            each.chmod(0o500)
        line = _failed(command)
        for each in folders:
            each.chmod(0o700)
    assert "this user" in line
    assert _names(folder) == before
    _check_people(_place(folder))


def _works(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
