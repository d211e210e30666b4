"""The galleries that a command works on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.cli.options import audit_anchor, database_url, sealer_of
from index.galleries import Galleries


@contextmanager
def opened_galleries(
    data_folder: Path, key_file: Path | None, ledger: Path | None
) -> Iterator[Galleries]:
    """Open what options and environment name; raises as `Galleries.open`."""
    with Galleries.open(
        data_folder,
        database_url=database_url(),
        sealer=sealer_of(data_folder, key_file),
        ledger=ledger,
        audit_anchor=audit_anchor(),
    ) as galleries:
        yield galleries
