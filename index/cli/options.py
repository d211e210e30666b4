"""What commands share: options, the place that they work on, printing."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import typer

from embedding.errors import SettingsInvalid
from index.encryption import AesGcmSealer
from index.galleries import Galleries
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.matrix.opening import Kind, Storage
from index.memory import MemoryOptions
from index.place import Place
from index.sealing import Sealer
from index.upkeep import UPKEEP_S

EXIT_WRONG = 1
EXIT_ERROR = 3

EXIT_CODES = (
    "Exit codes: 0 all done; 1 something is wrong, as the check says; 2 wrong usage; 3 stopped by "
    "an error, which is on stderr."
)

DATABASE_VARIABLE = "FACEGALLERY_DATABASE_URL"
ANCHOR_VARIABLE = "FACEGALLERY_AUDIT_ANCHOR"
KEYS_VARIABLE = "FACEGALLERY_SEALING_KEYS"
ENGINE_VARIABLE = "FACEGALLERY_SEARCH_ENGINE"
STORAGE_VARIABLE = "FACEGALLERY_VECTOR_STORAGE"

_Choice = TypeVar("_Choice", bound=str)

DataFolderOption = Annotated[
    Path,
    typer.Option(
        "--data-folder",
        "-d",
        envvar="FACEGALLERY_DATA_FOLDER",
        help="Folder of the galleries.",
    ),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--sealing-key-file",
        envvar="FACEGALLERY_SEALING_KEY_FILE",
        help="File with the keys that templates are sealed with.",
    ),
]
LedgerOption = Annotated[
    Path | None,
    typer.Option(
        "--removal-ledger",
        envvar="FACEGALLERY_REMOVAL_LEDGER",
        help="File that remembers what was removed.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
DATA_FOLDER = Path("facegallery-data")


def database_url() -> str | None:
    """Return the address of the PostgreSQL database, from the environment alone."""
    return os.environ.get(DATABASE_VARIABLE) or None


def place_of(data_folder: Path, key_file: Path | None, ledger: Path | None) -> Place:
    """Return the place that options and environment name.

    Raises:
        SealKeyMissing: there is no such key file, or no key in it.
        SettingsInvalid: a key file and keys are given, or the file cannot be used.
    """
    return Place(
        data_folder=data_folder,
        database_url=database_url(),
        sealer=sealer_of(data_folder, key_file),
        ledger=ledger,
        audit_anchor=audit_anchor(),
    )


def audit_anchor() -> Path | None:
    """Return the file that remembers how far the audit log went, from the environment alone."""
    given = os.environ.get(ANCHOR_VARIABLE)
    return Path(given) if given else None


def sealer_of(data_folder: Path, key_file: Path | None) -> Sealer | None:
    """Return what seals; None in the clear. Raises as `place_of`."""
    in_environment = bool(os.environ.get(KEYS_VARIABLE))
    if key_file is not None and in_environment:
        raise SettingsInvalid(f"give a key file or {KEYS_VARIABLE}, not both")
    if key_file is not None:
        return KeyFileSealer(key_file, data_folder=data_folder)
    if in_environment:
        return AesGcmSealer(KeyRing.from_environment(os.environ, variable=KEYS_VARIABLE))
    return None


@contextmanager
def opened_galleries(place: Place, *, upkeep: bool = True) -> Iterator[Galleries]:
    """Open the galleries of a place, their vectors held as the service holds them.

    Args:
        place: of the galleries.
        upkeep: have a thread keep them in order.

    Raises:
        As `Galleries.open` and `memory_options`.
    """
    with Galleries.open(
        place.data_folder,
        database_url=place.database_url,
        sealer=place.sealer,
        ledger=place.ledger,
        audit_anchor=place.audit_anchor,
        options=memory_options(),
        upkeep_s=UPKEEP_S if upkeep else None,
    ) as galleries:
        yield galleries


def memory_options() -> MemoryOptions:
    """Return how the service holds vectors, so that the snapshots that it left fit.

    Raises:
        SettingsInvalid: the environment names none of the ways.
    """
    return MemoryOptions(
        engine=_one_of(get_args(Kind), ENGINE_VARIABLE, default="auto"),
        storage=_one_of(get_args(Storage), STORAGE_VARIABLE, default="float32"),
    )


def _one_of(choices: Sequence[_Choice], variable: str, *, default: _Choice) -> _Choice:
    given = os.environ.get(variable) or default
    for each in choices:
        if each == given:
            return each
    raise SettingsInvalid(f"{variable} must be one of {', '.join(choices)}")


def show(answer: Mapping[str, object], *, as_json: bool, lines: list[str]) -> None:
    """Prints an answer, as JSON or as lines for people."""
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        for line in lines:
            typer.echo(line)
