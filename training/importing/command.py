"""``python -m training import``: the options, and what is said of the result."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from embedding.errors import DataInvalid
from training.importing.importer import Imported, import_model
from training.importing.preprocessing import channels

LICENCE_HINT = (
    "the terms under which the weights may be used (InsightFace's packs, for one, are for "
    "non-commercial research only)"
)


def import_command(
    model: Annotated[Path, typer.Argument(help="the network, an ONNX file")],
    out: Annotated[Path, typer.Option(help="new folder for the model directory")],
    data: Annotated[
        Path, typer.Option(help="aligned crops of people of yours; they set the thresholds")
    ],
    licence: Annotated[str | None, typer.Option(help="terms of the weights, for the card")] = None,
    name: Annotated[str | None, typer.Option(help="name on the card; that of --out")] = None,
    description: Annotated[str, typer.Option(help="what is known of the network")] = "",
    color: Annotated[
        Literal["auto", "RGB", "BGR"], typer.Option(help="order of the channels it takes")
    ] = "auto",
    mean: Annotated[
        str | None, typer.Option(help="subtracted, one number or three, on the scale of 0..255")
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="divided by, one number or three, on the same scale")
    ] = None,
    layout: Annotated[
        Literal["auto", "NCHW", "NHWC"], typer.Option(help="axes of the input")
    ] = "auto",
    output: Annotated[
        str | None, typer.Option(help="the embedding, where there are several outputs")
    ] = None,
    mirrored: Annotated[bool, typer.Option(help="serve with the mirror image added")] = True,
    half: Annotated[bool, typer.Option("--half", help="store weights as float16")] = False,
    lfw: Annotated[Path | None, typer.Option(help="measure LFW for the card")] = None,
) -> None:
    """Write a model directory from a foreign ONNX network: checked, calibrated, with its card.

    What of --color, --mean and --std is not given is found out by trying.
    """
    imported = import_model(
        model,
        out,
        data=data,
        licence=_licence(licence),
        name=name,
        description=description,
        color=None if color == "auto" else color,
        mean=None if mean is None else channels(mean, option="--mean"),
        std=None if std is None else channels(std, option="--std"),
        layout=None if layout == "auto" else layout,
        output=output,
        mirrored=mirrored,
        half=half,
        lfw=lfw,
    )
    for line in report(imported):
        typer.echo(line)


def report(imported: Imported) -> list[str]:
    """What a user is told at the end, line by line."""
    card = imported.directory.card
    guessed = imported.guess.lines() if imported.guess else []
    sizes = sorted({one.num_subjects for one in card.thresholds})
    return [
        *guessed,
        f"thresholds for galleries of {', '.join(map(str, sizes))} people; beyond, extrapolated",
        f"{imported.directory.path}: fingerprint {card.fingerprint[:12]}",
    ]


def _licence(given: str | None) -> str:
    """The terms, asked for where somebody can answer.

    Raises:
        DataInvalid: not given, and nobody to ask.
    """
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise DataInvalid(f"give --licence TEXT: {LICENCE_HINT}")
    answer: str = typer.prompt(f"Licence, {LICENCE_HINT}")
    return answer
