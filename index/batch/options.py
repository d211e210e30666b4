"""Options that the commands of ``python -m index`` share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

EXIT_CODES = (
    "Exit codes: 0 all done; 1 some photos failed; 2 wrong usage; 3 stopped by an error, which "
    "is on stderr."
)


class FaceOption(StrEnum):
    """Which face of several becomes a template."""

    ONLY = "only"
    LARGEST = "largest"


class SubjectsAre(StrEnum):
    """What the name of a folder is to the gallery."""

    NAME = "name"
    EXTERNAL_ID = "external-id"


SourceArgument = Annotated[
    Path,
    typer.Argument(
        metavar="SRC",
        help="Folder with a folder of photos a subject, manifest, tar files, embeddings.",
    ),
]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", help="Folder that a manifest's paths are relative to; default: its."),
]
GalleryOption = Annotated[str, typer.Option("--gallery", "-g", help="Name of the gallery.")]
FolderOption = Annotated[
    Path,
    typer.Option(
        "--data-folder",
        "--data",
        "-d",
        envvar="FACEGALLERY_DATA_FOLDER",
        help="Folder of the galleries.",
    ),
]
AlignedOption = Annotated[
    bool,
    typer.Option("--aligned", help="Photos are aligned crops of 112x112; nothing is detected."),
]
TurnsOption = Annotated[
    bool,
    typer.Option(
        "--turns/--no-turns", help="Look again in quarter turns of a photo that may lie."
    ),
]
NamesOption = Annotated[
    Path | None,
    typer.Option("--names", help="CSV or JSON lines: whose the rows of a .npy file are."),
]
MadeByOption = Annotated[
    str | None,
    typer.Option(
        "--made-by", help="Model that made the embeddings: its name, folder or fingerprint."
    ),
]
OutsideOption = Annotated[
    bool, typer.Option("--allow-outside", help="Follow links and paths that lead out of SRC.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Threads that decode and detect; default: all cores."),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        envvar="FACEGALLERY_MODEL",
        help="Name or folder of the model, for a gallery that is made.",
    ),
]
ModelsFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--models-folder",
        envvar="FACEGALLERY_MODELS_FOLDER",
        help="Folder with more model directories.",
    ),
]
