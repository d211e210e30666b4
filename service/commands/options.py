"""The options and arguments that several commands take, and the exit codes of all."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.assembly import DEFAULT_GALLERY
from service.settings import KEY_VARIABLE

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
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing; show what would be done.")
]
GalleryOption = Annotated[str, typer.Option("--gallery", "-g", help="Name of the gallery.")]
GALLERY = DEFAULT_GALLERY
AnyGalleryOption = Annotated[
    str | None, typer.Option("--gallery", "-g", help="Only of this gallery; all if absent.")
]
GalleryArgument = Annotated[str, typer.Argument(help="Name of the gallery.")]
SubjectArgument = Annotated[
    str, typer.Argument(help="Id of a person, as `subjects list` shows it.")
]
FaceOption = Annotated[
    Literal["only", "largest"],
    typer.Option(help="Which face of each photo: the only one, or the largest."),
]
BoxOption = Annotated[
    str | None, typer.Option(help="Or the face at left,top,right,bottom in pixels (one photo).")
]


def leave(num_failed: int) -> None:
    """Ends the command with its code where photos failed."""
    if num_failed:
        raise typer.Exit(EXIT_SOME_FAILED)
