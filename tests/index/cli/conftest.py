"""A place with galleries, and the command run on it."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from index.cli.main import main
from index.galleries import Galleries
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.memory import MemoryOptions
from tests.index.samples import FINGERPRINT, new_template, unit_vectors

# Others than those that tests of erasure look for on the server that all tests share.
VECTORS = unit_vectors(12, seed=77)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, which must be JSON and nothing else."""
        return json.loads(self.out)


Run = Callable[..., Ran]


class Home:
    """Where galleries are kept in a test; the environment names it for the command."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, *, url: str | None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.ledger = folder / "removals.ledger"
        self.key_file = folder / "sealing.keys"
        self.url = url
        self._patch = patch
        for name in list(os.environ):
            if name.startswith("FACEGALLERY_"):
                patch.delenv(name)
        patch.setenv("FACEGALLERY_DATA_FOLDER", str(self.data))
        patch.setenv("FACEGALLERY_REMOVAL_LEDGER", str(self.ledger))
        if url is not None:
            patch.setenv("FACEGALLERY_DATABASE_URL", url)
        self.sealed = False

    def use_key(self) -> None:
        """Seal from now on, with a new key file."""
        KeyRing.generate(self.key_file)
        self.set("FACEGALLERY_SEALING_KEY_FILE", str(self.key_file))
        self.sealed = True

    def set(self, variable: str, value: str) -> None:
        """Set a variable of the command's environment."""
        self._patch.setenv(variable, value)

    def open(
        self,
        *,
        snapshot_from: int = 20_000,
        options: MemoryOptions | None = None,
        audit_anchor: Path | None = None,
    ) -> Galleries:
        """Open the galleries as a service does."""
        sealer = KeyFileSealer(self.key_file, data_folder=self.data) if self.sealed else None
        return Galleries.open(
            self.data,
            database_url=self.url,
            sealer=sealer,
            ledger=self.ledger,
            audit_anchor=audit_anchor,
            options=options or MemoryOptions(snapshot_from=snapshot_from),
            upkeep_s=3600,
        )

    def fill(
        self,
        *,
        space: bool = False,
        snapshot_from: int = 20_000,
        options: MemoryOptions | None = None,
    ) -> list[str]:
        """Make a gallery of six people with two templates each; returns their ids."""
        with self.open(snapshot_from=snapshot_from, options=options) as galleries:
            gallery = galleries.create("people", fingerprint=FINGERPRINT, space=space)
            return [
                gallery.enroll(
                    [new_template(VECTORS[2 * person]), new_template(VECTORS[2 * person + 1])],
                    name=f"Secret Name {person}",
                    external_id=f"secret-{person}",
                ).subject_id
                for person in range(6)
            ]

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data / "facegallery.sqlite"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty one on SQLite."""
    return Home(tmp_path, monkeypatch, url=None)


@pytest.fixture
def any_home(
    any_database_url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Home:
    """An empty one on each kind of database."""
    return Home(tmp_path, monkeypatch, url=any_database_url)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the command; nothing that it prints may name a person."""

    def run_command(*arguments: str | Path) -> Ran:
        with pytest.raises(SystemExit) as caught:
            main([str(each) for each in arguments])
        captured = capfd.readouterr()
        assert not re.search(r"Secret Name|secret-\d", captured.out + captured.err)
        return Ran(code=int(caught.value.code or 0), out=captured.out, err=captured.err)

    return run_command
