"""``facegallery-index keys``, ``seal`` and ``reseal``."""

from pathlib import Path
from typing import Annotated

import typer

from embedding.errors import SettingsInvalid
from index.cli.options import (
    DATA_FOLDER,
    EXIT_CODES,
    DataFolderOption,
    JsonOption,
    KeyFileOption,
    LedgerOption,
    audit_anchor,
    database_url,
    memory_options,
    place_of,
    sealer_of,
    show,
)
from index.key_ring import KeyRing
from index.place import Place
from index.places import check_outside
from index.sealed_places import reseal, retire_key, seal

keys_app = typer.Typer(no_args_is_help=True, help="Keys that templates are sealed with.")


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    app.add_typer(keys_app, name="keys")
    app.command("seal", epilog=EXIT_CODES)(seal_command)
    app.command("reseal", epilog=EXIT_CODES)(reseal_command)


@keys_app.command("new", epilog=EXIT_CODES)
def new_command(
    file: Annotated[Path, typer.Argument(help="New key file, outside the data folder.")],
    data_folder: DataFolderOption = DATA_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Make a key file with one new key."""
    check_outside(file, data_folder=data_folder, what="the key file")
    ring = KeyRing.generate(file)
    lines = [
        f"made key {ring.current.id}; keep a copy of {file}, never beside the data or its "
        f"backups: without it the templates are lost"
    ]
    show(_ring(ring), as_json=as_json, lines=lines)


@keys_app.command("rotate", epilog=EXIT_CODES)
def rotate_command(key_file: KeyFileOption = None, as_json: JsonOption = False) -> None:
    """Put a new key in front of the key file; services take it up within a minute."""
    ring = KeyRing.rotate(_needed(key_file))
    lines = [
        f"key {ring.current.id} is current now; copy the key file again",
        "a running service seals everything anew by itself; without one run reseal",
    ]
    show(_ring(ring), as_json=as_json, lines=lines)


@keys_app.command("retire", epilog=EXIT_CODES)
def retire_command(
    key_id: Annotated[str, typer.Argument(help="Id of the old key.")],
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an old key out of the key file, once nothing is sealed with it."""
    place = Place(
        data_folder=data_folder, database_url=database_url(), audit_anchor=audit_anchor()
    )
    ring = retire_key(place, _needed(key_file), key_id)
    lines = [
        f"key {key_id} is out of the key file",
        "backups from before are still sealed with it: keep a copy of it as long as you keep them",
    ]
    show(_ring(ring), as_json=as_json, lines=lines)


def seal_command(
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Seal templates that lie in the clear, for the first time; stop all services before."""
    sealer = sealer_of(data_folder, key_file)
    if sealer is None:
        raise SettingsInvalid(
            "sealing needs a key; make one with facegallery-index keys new, and give its file "
            "with FACEGALLERY_SEALING_KEY_FILE"
        )
    place = Place(
        data_folder=data_folder,
        database_url=database_url(),
        ledger=ledger,
        audit_anchor=audit_anchor(),
    )
    num_changed = seal(place, sealer)
    lines = [
        f"sealed {num_changed} templates",
        "backups from before are still in the clear: delete them",
    ]
    show({"num_templates": num_changed}, as_json=as_json, lines=lines)


def reseal_command(
    data_folder: DataFolderOption = DATA_FOLDER,
    key_file: KeyFileOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Seal everything with the current key now; a running service does it by itself."""
    num_changed = reseal(place_of(data_folder, key_file, ledger), options=memory_options())
    show(
        {"num_templates": num_changed},
        as_json=as_json,
        lines=[f"sealed {num_changed} templates anew"],
    )


def _needed(key_file: Path | None) -> Path:
    if key_file is None:
        raise SettingsInvalid(
            "give the key file with --sealing-key-file or FACEGALLERY_SEALING_KEY_FILE"
        )
    return key_file


def _ring(ring: KeyRing) -> dict[str, object]:
    return {"current": ring.current.id, "keys": [each.id for each in ring.keys]}
