"""``facegallery``: the command line."""

import sys
from collections.abc import Sequence

import typer
from rich.text import Text

from embedding.detect import Detector
from embedding.errors import FaceGalleryError
from service.commands import deciding, faces, identifying, server
from service.commands.asking import detector_in_use
from service.commands.events import events_app, reviews_app
from service.commands.galleries import galleries_app, models_app
from service.commands.keys import keys_app
from service.commands.options import EXIT_CODES, EXIT_ERROR
from service.commands.people import subjects_app
from service.commands.printing import errors_console
from service.commands.templates import look_alikes_app, templates_app

app = typer.Typer(
    name="facegallery",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
    help="Enroll people from photos and tell who is in other photos: a match, one to review, or "
    "unknown. Works on a data folder; where a service runs on it, through that service. Every "
    "setting is an environment variable FACEGALLERY_...; there is no liveness detection.",
)
server.add_to(app)
faces.add_to(app)
identifying.add_to(app)
deciding.add_to(app)
app.add_typer(subjects_app, name="subjects")
app.add_typer(templates_app, name="templates")
app.add_typer(look_alikes_app, name="look-alikes")
app.add_typer(galleries_app, name="galleries")
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")
app.add_typer(events_app, name="events")
app.add_typer(reviews_app, name="reviews")


def main(arguments: Sequence[str] | None = None, *, detector: Detector | None = None) -> None:
    """Runs a command; leaves with its exit code, and with one line for the project's errors.

    Args:
        arguments: of the command line; None for this process's own.
        detector: finds faces instead of the built-in one.
    """
    detector_in_use.set(detector)
    try:
        app(args=None if arguments is None else list(arguments))
    except FaceGalleryError as error:
        message = " ".join(str(error).split())
        errors_console.print(Text(f"facegallery: {message} [{error.code}]"), soft_wrap=True)
        sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    main()
