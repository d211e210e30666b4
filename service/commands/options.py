"""What commands share: options, opening a client, printing."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from embedding.detect import Detector
from embedding.errors import KeyMissing, StoreInUse
from service.assembly import DEFAULT_GALLERY, open_parts
from service.client import Client
from service.http_client import connect
from service.local_client import LocalClient
from service.settings import KEY_VARIABLE, load_settings

EXIT_OK = 0
EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_ERROR = 3

EXIT_CODES = (
    "Exit codes: 0 all done; 1 some photos failed, each with its reason; 2 wrong usage; "
    "3 stopped by an error, which is on stderr; what was done before is printed."
)

DataFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--data-folder",
        "-d",
        help="Folder of the galleries (FACEGALLERY_DATA_FOLDER; default facegallery-data).",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar=KEY_VARIABLE,
        show_envvar=True,
        help="Key, needed when a service holds the data folder. Prefer the variable: other users "
        "of the machine can see a command line.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")
]
GalleryOption = Annotated[str, typer.Option("--gallery", "-g", help="Name of the gallery.")]
GALLERY = DEFAULT_GALLERY

detector_in_use: ContextVar[Detector | None] = ContextVar("detector_in_use", default=None)
"""Finds faces instead of the built-in detector, where `main` was given one."""

errors_console = Console(stderr=True, highlight=False)


@contextmanager
def client_for(data_folder: Path | None, key: str | None) -> Iterator[Client]:
    """A client on a data folder: in process, or through the service that holds it.

    Raises:
        StoreInUse: another process that serves no HTTP holds the data folder.
        KeyMissing: a service holds it, and no key was given.
    """
    settings = load_settings(data_folder=data_folder)
    with ExitStack() as stack:
        client: Client
        try:
            client = LocalClient(
                stack.enter_context(open_parts(settings, detector=detector_in_use.get()))
            )
        except StoreInUse as error:
            if error.url is None:
                raise
            if key is None:
                raise KeyMissing(
                    f"the service at {error.url} holds the data folder, so a key is needed: give "
                    f"it with {KEY_VARIABLE} or --key"
                ) from error
            client = stack.enter_context(
                connect(error.url, key=key, certificate=settings.tls_certificate)
            )
        yield client


def leave(num_failed: int) -> None:
    """Ends the command with its code where photos failed."""
    if num_failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def print_json(answer: BaseModel) -> None:
    """Prints an answer for machines."""
    typer.echo(answer.model_dump_json(indent=2))


def new_table(*columns: str, title: str | None = None) -> Table:
    """A table whose cells are taken literally; ids stay in one piece, to be copied."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in {"id", "key id"})
    return table


def add_row(table: Table, *cells: object) -> None:
    """Adds a row; names may hold what looks like markup, so nothing is read as such."""
    table.add_row(*(Text("-" if cell is None else str(cell)) for cell in cells))


def print_table(table: Table) -> None:
    """Prints a table for people."""
    Console(highlight=False).print(table)


def progress_bar(*, quiet: bool) -> Progress:
    """A progress bar on stderr; nothing is drawn when stderr is not a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors_console,
        transient=True,
        disable=quiet or not errors_console.is_terminal,
    )
