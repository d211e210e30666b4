"""A place whose live bytes are looked at for what was removed."""

from collections.abc import Iterator
from pathlib import Path

import psycopg

from index.galleries import Galleries
from index.memory import MemoryOptions

_NEVER_S = 3600.0


class ErasedPlace:
    """Where galleries are opened, with a ledger beside the data folder."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.data = folder / "data"
        self.ledger: Path | None = folder / "removals.ledger"
        self.url = url

    def open(self) -> Galleries:
        """Open them; the upkeep runs when it is called."""
        return Galleries.open(
            self.data,
            database_url=self.url,
            ledger=self.ledger,
            options=MemoryOptions(snapshot_from=1),
            upkeep_s=_NEVER_S,
        )

    def live_bytes(self) -> Iterator[bytes]:
        """All that lies in live storage, file by file."""
        folders = [self.data]
        if self.url is not None:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("CHECKPOINT")
                row = connection.execute(
                    "SELECT current_setting('data_directory'), oid FROM pg_database"
                    " WHERE datname = current_database()"
                ).fetchone()
                assert row is not None
                folders.append(Path(row[0]) / "base" / str(row[1]))
        for folder in folders:
            for path in folder.rglob("*"):
                if path.is_file():
                    yield path.read_bytes()
