"""Commands that make a model: train, export, import, teacher."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from training.cli.app import app
from training.config import TrainConfig, with_field
from training.config_checks import check_values
from training.data.opening import open_store
from training.data.split import split_store
from training.device import choose_device
from training.distill import write_teacher
from training.evaluate import holdout_evaluator
from training.export import export_model
from training.importing.command import import_command
from training.presets import PRESETS, preset
from training.ranks import Ranks, leave_ranks, start_ranks
from training.trainer import Trainer

INTERRUPTED = 130  # what a shell expects after Ctrl-C

app.command("import")(import_command)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="identity folders, an InsightFace .rec, or tars")],
    # Under torchrun --run would be taken for one of its own options, so there is a second name.
    run: Annotated[
        Path,
        typer.Option(
            "--run", "--run-folder", help="folder for checkpoints and logs; resumes there"
        ),
    ],
    preset_name: Annotated[
        str, typer.Option("--preset", help=f"named run: {', '.join(PRESETS)}")
    ] = "few",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="field=value, such as optim.lr=0.05")
    ] = None,
) -> None:
    """Learn a model; an interrupted run goes on where it stopped.

    With torchrun, several processes share the classes and the batch.
    """
    config = preset(preset_name, data=data, run_folder=run)
    for assignment in settings or []:
        config = with_field(config, assignment)
    device = choose_device(config.device, local_rank=int(os.environ.get("LOCAL_RANK", "0")))
    ranks = start_ranks(device)
    try:
        is_finished = _train(config, ranks)
    finally:
        leave_ranks()
    if not is_finished:
        raise typer.Exit(INTERRUPTED)


def _train(config: TrainConfig, ranks: Ranks) -> bool:
    """Whether the run came to its end."""
    check_values(config)
    split = split_store(open_store(config.data.source), config.data)
    evaluate = None
    if ranks.is_first and len(split.holdout):
        evaluate = holdout_evaluator(split.holdout.without_unreadable())
    trainer = Trainer(config, split, evaluate=evaluate, ranks=ranks)
    if ranks.is_first:
        typer.echo(
            f"{split.train.num_identities} identities, {len(split.train)} images, "
            f"{trainer.num_steps} steps on {trainer.device} in {trainer.config.precision}, "
            f"{ranks.world_size} processes; {split.holdout.num_identities} held out"
        )
    figures = trainer.run()
    if ranks.is_first and trainer.is_finished:
        typer.echo(json.dumps(figures))
    elif ranks.is_first:
        typer.echo(
            f"stopped at step {trainer.step_number} of {trainer.num_steps}; the same command "
            "goes on from there",
            err=True,
        )
    return trainer.is_finished


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
    data: Annotated[Path, typer.Option(help="the crops that will train")],
    out: Annotated[Path, typer.Option(help="file to write, .npz")],
    onnx: Annotated[
        Path | None, typer.Option(help="the teacher; without it dlib's face network")
    ] = None,
) -> None:
    """Embed every training crop with a teacher, once, for distillation."""
    num_images = write_teacher(data, out, onnx=onnx)
    typer.echo(f"{num_images} images -> {out}")
