"""``facegallery serve``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from service.commands.asking import detector_in_use
from service.commands.options import EXIT_CODES, DataFolderOption, JsonOption
from service.processes import serve as run_service
from service.serving import Started
from service.settings import load_settings


def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on (FACEGALLERY_HOST; default 127.0.0.1)."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="0 takes a free one (FACEGALLERY_PORT; default 8321)."
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM file; HTTPS (FACEGALLERY_TLS_CERTIFICATE).")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file (FACEGALLERY_TLS_KEY).")] = None,
    insecure_listen: Annotated[
        bool,
        typer.Option(
            "--insecure-listen",
            help="A proxy in front terminates TLS (FACEGALLERY_INSECURE_LISTEN).",
        ),
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="Processes behind the address, on PostgreSQL (FACEGALLERY_NUM_PROCESSES; "
            "default 1).",
        ),
    ] = None,
    data_folder: DataFolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve HTTP on the data folder until interrupted.

    Prints the address, where a page opens, and that of the API docs; at the first start also one
    admin key, this once. All other settings are environment variables FACEGALLERY_...
    """
    settings = load_settings(
        host=host,
        port=port,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        insecure_listen=insecure_listen or None,
        num_processes=processes,
        data_folder=data_folder,
    )
    run_service(
        settings,
        on_started=_print_json if as_json else _print,
        detector=detector_in_use.get(),
    )


def _print(started: Started) -> None:
    typer.echo(f"FaceGallery serves at {started.url}")
    typer.echo(f"API docs           {started.url}/docs")
    if started.admin_key is not None:
        typer.echo(f"admin key          {started.admin_key}")
        typer.echo("                   shown this once: keep it safe")


def _print_json(started: Started) -> None:
    docs = f"{started.url}/docs"
    content = {"url": started.url, "docs": docs, "admin_key": started.admin_key}
    typer.echo(json.dumps(content))


def add_to(app: typer.Typer) -> None:
    """Adds this command."""
    app.command(epilog=EXIT_CODES)(serve)
