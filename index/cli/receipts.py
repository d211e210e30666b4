"""``facegallery-index receipt``."""

from pathlib import Path
from typing import Annotated

import typer

from embedding.errors import RequestInvalid
from index.cli.options import (
    DATA_FOLDER,
    EXIT_CODES,
    EXIT_WRONG,
    DataFolderOption,
    JsonOption,
    show,
)
from index.receipts import is_genuine, read_receipt
from index.signing import Signer
from index.store.folder import read_secret

receipt_app = typer.Typer(no_args_is_help=True, help="Erasure receipts.")


@receipt_app.command("key", epilog=EXIT_CODES)
def key_command(
    data_folder: DataFolderOption = DATA_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Print the public key that receipts of this data folder are checked with."""
    public_key = _signer(data_folder).public_key
    show({"public_key": public_key}, as_json=as_json, lines=[public_key])


@receipt_app.command("verify", epilog=EXIT_CODES)
def verify_command(
    file: Annotated[Path, typer.Argument(help="Receipt, or the answer that it came in, as JSON.")],
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key",
            help="Key to check with, as `receipt key` printed it; that of the data folder if "
            "absent.",
        ),
    ] = None,
    data_folder: DataFolderOption = DATA_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Tell whether a receipt is genuine, and whether it is final."""
    try:
        receipt = read_receipt(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RequestInvalid(f"{file} cannot be read as a receipt") from error
    if public_key is None:
        public_key = _signer(data_folder).public_key
    genuine = is_genuine(receipt, public_key=public_key)
    final = genuine and receipt.content.get("final") is True
    lines = ["the receipt is genuine" if genuine else "the receipt was changed, or is another's"]
    if genuine:
        lines.append("it is final" if final else "it is not final: ask for it again later")
    show({"genuine": genuine, "final": final}, as_json=as_json, lines=lines)
    if not genuine:
        raise typer.Exit(EXIT_WRONG)


def _signer(data_folder: Path) -> Signer:
    return Signer(read_secret(data_folder, "receipt"))


def add_to(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    app.add_typer(receipt_app, name="receipt")
