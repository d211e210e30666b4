"""Where galleries are kept: data folder, database, key and ledger, as an operator names them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from index.sealing import ClearSealer, Sealer
from index.store.folder import DataFolder
from index.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where galleries are kept.

    Attributes:
        data_folder: with the secrets, and the database where no URL is given.
        database_url: of a PostgreSQL database; holds a password.
        sealer: seals and unseals; None for templates in the clear.
        ledger: file of the removal ledger; None without one.
        audit_anchor: file that remembers how far the audit log went; None for one in the data
            folder.
    """

    data_folder: Path
    database_url: str | None = field(default=None, repr=False)
    sealer: Sealer | None = None
    ledger: Path | None = None
    audit_anchor: Path | None = None

    @property
    def sealer_in_use(self) -> Sealer:
        """The sealer; one that leaves everything in the clear where none is given."""
        return self.sealer or ClearSealer()

    def at(self, data_folder: Path) -> Self:
        """Return the same place with another data folder."""
        return replace(self, data_folder=data_folder)

    @contextmanager
    def folder(self) -> Iterator[DataFolder]:
        """Hold the data folder, alone unless a PostgreSQL database is shared.

        Raises:
            StoreInUse: another process holds it.
            StoreError: it cannot be created or written.
        """
        with ExitStack() as stack:
            folder = DataFolder.open(self.data_folder, shared=self.database_url is not None)
            stack.callback(folder.close)
            yield folder

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """Hold the data folder and open its store, no gallery loaded.

        Raises:
            As `Galleries.open`.
        """
        with self.folder() as folder, ExitStack() as stack:
            store = Store(
                folder,
                sealer=self.sealer_in_use,
                database_url=self.database_url,
                ledger=self.ledger,
                audit_anchor=self.audit_anchor,
            )
            stack.callback(store.close)
            yield store
