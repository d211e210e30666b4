"""Where ``python -m training`` begins: every command, and what becomes of an error."""

import logging
import os
import sys

import typer

from embedding.errors import FaceGalleryError
from training.cli import crops, learning, measuring
from training.cli.app import app

# Importing them has made them join the application, in this order.
COMMANDS = (learning, measuring, crops)


def main() -> None:
    """Runs a command; a mistake of the caller's ends in one line and exit code 2."""
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(message)s")
    try:
        app()
    except (FaceGalleryError, OSError) as error:
        # An OSError names its file: a folder that may not be written, a disk that is full.
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
