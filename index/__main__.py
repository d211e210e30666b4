"""``python -m index``: many photos at once, into a gallery or against it."""

import logging
import sys
from collections.abc import Sequence

import typer

from embedding.errors import FaceGalleryError
from index.batch import commands
from index.batch.heaps import share_heaps
from index.batch.options import EXIT_CODES
from index.cli.options import EXIT_ERROR

app = typer.Typer(
    name="python -m index",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
    help="Builds galleries of many photos, and identifies many photos.",
)
commands.add_to(app)


@app.callback()
def _together() -> None:
    """Builds galleries of many photos, and identifies many photos."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; leaves with its exit code, and with one line for the project's errors."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    share_heaps()
    try:
        app(args=None if arguments is None else list(arguments))
    except FaceGalleryError as error:
        message = " ".join(str(error).split())
        typer.echo(f"python -m index: {message} [{error.code}]", err=True)
        sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    main()
