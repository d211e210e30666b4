"""Commands that measure and draw: evaluate, figure3, angles."""

import json
from pathlib import Path
from typing import Annotated

import typer

from embedding.model import ModelDirectory, find_model, shipped_models
from embedding.runtime import EmbeddingNet
from training.cli.app import app
from training.data.split import Selection
from training.device import choose_device
from training.evaluate import torch_embedder_with_lengths
from training.evaluation.images import Embed, ModelInfo, net_embedder
from training.evaluation.measure import NUM_TEMPLATES, evaluate_model
from training.export import load_network, split_of_run


@app.command()
def evaluate(
    model: Annotated[
        str, typer.Argument(help="a model directory, a shipped model, or the folder of a run")
    ],
    lfw: Annotated[
        Path | None, typer.Option(help="folder with pairs.txt and aligned/: pairs and people")
    ] = None,
    pairs: Annotated[
        list[Path] | None,
        typer.Option(help="list of pairs: path TAB path TAB 0 or 1, perhaps TAB fold"),
    ] = None,
    bin_set: Annotated[
        list[Path] | None, typer.Option("--bin", help="InsightFace verification set")
    ] = None,
    folder: Annotated[
        list[Path] | None, typer.Option(help="identities to search among: folders, .rec or tars")
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(help="CSV file identity,group: figures by group")
    ] = None,
    templates: Annotated[
        int, typer.Option(help="images of a person that are enrolled")
    ] = NUM_TEMPLATES,
    strangers_up_to: Annotated[
        int | None,
        typer.Option(
            help="who has at most so many images is a stranger; without it 1 for LFW, else as "
            "many as templates"
        ),
    ] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="leave out pairs whose images are missing")
    ] = False,
    mirrored: Annotated[
        bool, typer.Option(help="for a run: add the mirror image's embedding")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="folder for report.json and report.html; else prints JSON")
    ] = None,
) -> None:
    """Measure 1:1 and open-set 1:N, with counts, intervals and what they cannot say."""
    embed, info, holdout = _model_to_measure(model, mirrored=mirrored)
    report = evaluate_model(
        embed,
        model=info,
        lfw=lfw,
        pairs=pairs or [],
        bins=bin_set or [],
        folders=folder or [],
        holdout=holdout,
        groups=groups,
        num_templates=templates,
        stranger_max_images=strangers_up_to,
        skip_missing=skip_missing,
    ).to_json()
    if out is None:
        typer.echo(json.dumps(report, indent=2))
    else:
        from training.report import write_report

        typer.echo(str(write_report(report, out)))


def _model_to_measure(model: str, *, mirrored: bool) -> tuple[Embed, ModelInfo, Selection | None]:
    """A model directory as it is served, or a run's averaged weights with whom it held out."""
    if model in shipped_models() or (Path(model) / "card.json").exists():
        directory = ModelDirectory.open(find_model(model))
        return net_embedder(EmbeddingNet(directory)), ModelInfo.of_card(directory.card), None
    run = Path(model)
    network, _ = load_network(run)
    embed = torch_embedder_with_lengths(network.to(choose_device("auto")), mirrored=mirrored)
    info = ModelInfo(
        name=run.resolve().name,
        fingerprint=None,
        mirrored=mirrored,
        licence="none stated: a run's checkpoint",
        norm_floor=0.0,
    )
    return embed, info, split_of_run(run).holdout


@app.command()
def figure3(
    data: Annotated[Path, typer.Option(help="the crops; the eight largest identities are used")],
    out: Annotated[Path, typer.Option(help="folder for figure3.png and figure3.json")],
) -> None:
    """Draw the paper's toy: eight identities in two dimensions, softmax against ArcFace."""
    from training.figure3 import run_figure3

    typer.echo(json.dumps(run_figure3(data, out)))


@app.command()
def angles(
    run: Annotated[Path, typer.Argument(help="folder of a finished run")],
    out: Annotated[Path, typer.Option(help="picture to write, .png")],
) -> None:
    """Draw how far faces were from their centres at the start, middle and end of a run."""
    from training.figures.angles import draw_angles

    draw_angles(run, out)
    typer.echo(str(out))
