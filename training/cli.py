"""The commands behind ``python -m training``."""

import dataclasses
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from embedding.errors import FaceGalleryError
from embedding.model import ModelDirectory
from embedding.runtime import EmbeddingNet
from training.config import with_field
from training.data import split_identities
from training.distill import write_teacher
from training.evaluate import holdout_evaluator, torch_embedder
from training.export import export_model, load_network
from training.presets import PRESETS, preset
from training.protocols import EmbedCrops, holdout_figures, verify_lfw
from training.trainer import Trainer

app = typer.Typer(
    name="training",
    help="Learn an embedding model from identity folders and export it for the service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Runs a command; a mistake of the caller's ends in one line and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        app()
    except FaceGalleryError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="one subfolder a person, aligned 112x112 crops")],
    run: Annotated[Path, typer.Option(help="folder for checkpoints and logs; resumes there")],
    preset_name: Annotated[
        str, typer.Option("--preset", help=f"named run: {', '.join(PRESETS)}")
    ] = "few",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="field=value, such as optim.lr=0.05")
    ] = None,
) -> None:
    """Learn a model with the ArcFace head; an interrupted run goes on where it stopped."""
    config = preset(preset_name, data=data, run_folder=run)
    for assignment in settings or []:
        config = with_field(config, assignment)
    split = split_identities(config.data)
    evaluate = holdout_evaluator(split.holdout) if split.holdout else None
    trainer = Trainer(config, split, evaluate=evaluate)
    typer.echo(
        f"{trainer.data.num_classes} identities, {len(trainer.data)} images, "
        f"{trainer.num_steps} steps on {trainer.device}; {len(split.holdout)} held out"
    )
    figures = trainer.run()
    typer.echo(json.dumps(figures))


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="a model directory, or the folder of a run")],
    lfw: Annotated[Path | None, typer.Option(help="folder with pairs.txt and aligned/")] = None,
    mirrored: Annotated[
        bool, typer.Option(help="for a run: add the mirror image's embedding")
    ] = True,
) -> None:
    """Measure on LFW's folds and, for a run, on the people it held out; prints JSON."""
    report: dict[str, object] = {}
    embed: EmbedCrops
    if (model / "card.json").exists():
        net = EmbeddingNet(ModelDirectory.open(model))
        embed = lambda crops: net.embed(crops).vectors  # noqa: E731
    else:
        network, config = load_network(model)
        embed = torch_embedder(network, mirrored=mirrored)
        holdout = split_identities(config.data).holdout
        report["holdout"] = holdout_figures(embed, holdout) if holdout else "nobody held out"
    if lfw is not None:
        report["lfw"] = dataclasses.asdict(verify_lfw(embed, lfw))
    typer.echo(json.dumps(report, indent=2))


@app.command()
def export(
    run: Annotated[Path, typer.Option(help="folder of the run")],
    out: Annotated[Path, typer.Option(help="new folder for the model directory")],
    name: Annotated[str, typer.Option(help="name on the card")],
    licence: Annotated[str, typer.Option(help="terms of the weights, for the card")],
    description: Annotated[str, typer.Option(help="how and on what it was trained")],
    mirrored: Annotated[bool, typer.Option(help="serve with the mirror image added")] = True,
    lfw: Annotated[Path | None, typer.Option(help="measure LFW for the card")] = None,
) -> None:
    """Write a model directory: ONNX with float16 weights, checked, calibrated, with its card."""
    directory = export_model(
        run, out, name=name, licence=licence, description=description, mirrored=mirrored, lfw=lfw
    )
    typer.echo(f"{directory.path}: fingerprint {directory.card.fingerprint[:12]}")


@app.command()
def teacher(
    data: Annotated[Path, typer.Option(help="the folder that will train")],
    out: Annotated[Path, typer.Option(help="file to write, .npz")],
    processes: Annotated[int, typer.Option(help="worker processes")] = os.cpu_count() or 1,
) -> None:
    """Embed every training crop with the teacher network, once, for distillation."""
    num_images = write_teacher(data, out, num_processes=processes)
    typer.echo(f"{num_images} images -> {out}")
