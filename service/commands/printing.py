"""How commands print: JSON, tables and lines on stdout, progress and errors on stderr."""

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

errors_console = Console(stderr=True, highlight=False)


def print_json(answer: BaseModel) -> None:
    """Prints an answer for machines."""
    typer.echo(answer.model_dump_json(indent=2))


def print_line(answer: BaseModel, line: str, *, as_json: bool) -> None:
    """Prints a line for people that says what was done, or the answer for machines."""
    if as_json:
        print_json(answer)
    else:
        typer.echo(line)


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
