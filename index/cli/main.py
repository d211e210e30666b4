"""Where ``facegallery-index`` begins: every command, and what becomes of an error."""

import sys
from collections.abc import Sequence

import typer

from embedding.errors import FaceGalleryError
from index.cli import auditing, calibrating, deciding, keeping, moving, receipts, sealing
from index.cli.options import EXIT_CODES, EXIT_ERROR

app = typer.Typer(
    name="facegallery-index",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
    help="Keeps, moves, checks and calibrates galleries. The PostgreSQL database, if any, is "
    "named by FACEGALLERY_DATABASE_URL alone, since the address holds a password.",
)
keeping.add_to(app)
moving.add_to(app)
sealing.add_to(app)
auditing.add_to(app)
receipts.add_to(app)
calibrating.add_to(app)
deciding.add_to(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; leaves with its exit code, and with one line for the project's errors."""
    try:
        app(args=None if arguments is None else list(arguments))
    except FaceGalleryError as error:
        message = " ".join(str(error).split())
        typer.echo(f"facegallery-index: {message} [{error.code}]", err=True)
        sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    main()
