"""A place whose templates are sealed, for tests."""

from pathlib import Path

import psycopg

from index.encryption import sealed_start
from index.galleries import Galleries
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.memory import MemoryOptions
from index.sealing import Sealer
from index.snapshot.key_use import SNAPSHOTS_NAME, sealed_snapshots
from index.store.key_use import sealed_with


class SealedPlace:
    """Where galleries are opened, with a key file beside the data folder."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.data = folder / "data"
        self.key_file = folder / "keys" / "sealing.keys"
        self.url = url
        self.snapshot_from = 20_000
        self.key_file.parent.mkdir()
        KeyRing.generate(self.key_file)

    def open(self, *, sealed: bool = True, sealer: Sealer | None = None) -> Galleries:
        """Open them, sealed with the key file unless told otherwise; `maintain` is called."""
        if sealer is None and sealed:
            sealer = KeyFileSealer(self.key_file, data_folder=self.data)
        return Galleries.open(
            self.data,
            database_url=self.url,
            sealer=sealer,
            options=MemoryOptions(snapshot_from=self.snapshot_from),
            upkeep_s=None,
        )

    def bytes(self) -> bytes:
        """All that lies on disk: the folder's files and, from PostgreSQL, every template."""
        content = b"".join(each.read_bytes() for each in self.data.rglob("*") if each.is_file())
        if self.url is not None:
            with psycopg.connect(self.url) as connection:
                rows = connection.execute("SELECT sealed_embedding FROM templates").fetchall()
            content += b"".join(bytes(row[0]) for row in rows)
        return content

    def sealed_with(self, galleries: Galleries, key_id: str) -> list[str]:
        """What a key is still needed for: in the database, then names of snapshots."""
        with galleries._store.database.transaction() as connection:
            found = sealed_with(connection, key_id)
        start = sealed_start(key_id)
        return found + [
            snapshot.path.name
            for snapshot in sealed_snapshots(self.data / SNAPSHOTS_NAME)
            if any(each.startswith(start) for each in snapshot.starts)
        ]
