"""The application that the commands join."""

import os

import typer

NUM_CORES = os.cpu_count() or 1

app = typer.Typer(
    name="training",
    help="Learn an embedding model from identity folders and export it for the service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
