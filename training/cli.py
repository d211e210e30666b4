"""The commands behind ``python -m training``."""

import dataclasses
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from embedding.errors import DataInvalid, FaceGalleryError
from embedding.model import ModelDirectory
from embedding.runtime import EmbeddingNet
from training.aligning import align_photos
from training.cleaning import MAX_ANGLE_DEG, find_strays
from training.config import TrainConfig, with_field
from training.config_checks import check_values
from training.data.opening import open_store
from training.data.split import split_store
from training.data.tar_shards import pack as pack_store
from training.device import choose_device
from training.distill import write_teacher
from training.evaluate import holdout_evaluator, torch_embedder
from training.export import export_model, load_network, split_of_run
from training.presets import PRESETS, preset
from training.protocols import EmbedCrops, holdout_figures, verify_bin, verify_lfw
from training.ranks import Ranks, leave_ranks, start_ranks
from training.trainer import Trainer

NUM_CORES = os.cpu_count() or 1
INTERRUPTED = 130  # what a shell expects after Ctrl-C

app = typer.Typer(
    name="training",
    help="Learn an embedding model from identity folders and export it for the service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


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
def evaluate(
    model: Annotated[Path, typer.Argument(help="a model directory, or the folder of a run")],
    lfw: Annotated[Path | None, typer.Option(help="folder with pairs.txt and aligned/")] = None,
    bin_set: Annotated[
        list[Path] | None, typer.Option("--bin", help="InsightFace verification set")
    ] = None,
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
        network, _ = load_network(model)
        embed = torch_embedder(network.to(choose_device("auto")), mirrored=mirrored)
        holdout = split_of_run(model).holdout
        report["holdout"] = holdout_figures(embed, holdout) if len(holdout) else "nobody held out"
    if lfw is not None:
        report["lfw"] = dataclasses.asdict(verify_lfw(embed, lfw))
    for file in bin_set or []:
        report[file.stem] = dataclasses.asdict(verify_bin(embed, file))
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
    data: Annotated[Path, typer.Option(help="the crops that will train")],
    out: Annotated[Path, typer.Option(help="file to write, .npz")],
    onnx: Annotated[
        Path | None, typer.Option(help="the teacher; without it the network of face_recognition")
    ] = None,
    processes: Annotated[int, typer.Option(help="worker processes")] = NUM_CORES,
) -> None:
    """Embed every training crop with a teacher, once, for distillation."""
    num_images = write_teacher(data, out, onnx=onnx, num_processes=processes)
    typer.echo(f"{num_images} images -> {out}")


@app.command()
def align(
    source: Annotated[Path, typer.Argument(help="photos: one subfolder a person")],
    target: Annotated[Path, typer.Argument(help="folder for the crops; resumes there")],
    annotations: Annotated[
        Path | None,
        typer.Option("--list", help="CSV or .mat that names photo, identity and box"),
    ] = None,
    processes: Annotated[int, typer.Option(help="worker processes")] = NUM_CORES,
    largest: Annotated[bool, typer.Option(help="of several faces take the largest")] = False,
    jpeg: Annotated[bool, typer.Option(help="write JPEG instead of PNG")] = False,
    retry_failed: Annotated[bool, typer.Option(help="try again what failed before")] = False,
) -> None:
    """Make aligned crops from photographs; a report says what failed and why."""
    report = align_photos(
        source,
        target,
        annotations=annotations,
        num_processes=processes,
        retry_failed=retry_failed,
        largest=largest,
        jpeg=jpeg,
    )
    typer.echo(f"{report.num_done} crops made, {report.num_skipped} were dealt with before")
    for reason, count in report.failures.most_common():
        typer.echo(f"{count} failed: {reason}")


@app.command()
def pack(
    source: Annotated[Path, typer.Argument(help="identity folders or an InsightFace .rec")],
    target: Annotated[Path, typer.Argument(help="new folder for the shards")],
    shard_mb: Annotated[int, typer.Option(help="size of a shard")] = 512,
) -> None:
    """Write crops into tar shards, for sets that are too many files."""
    report = pack_store(open_store(source), target, shard_mb=shard_mb)
    typer.echo(
        f"{report.num_images} images of {report.num_identities} identities in "
        f"{report.num_shards} shards; {len(report.skipped)} could not be read"
    )


@app.command()
def clean(
    run: Annotated[Path, typer.Argument(help="folder of a run, best with sub-centres")],
    out: Annotated[Path, typer.Option(help="list to write, for --set data.exclude=LIST")],
    max_angle: Annotated[
        float, typer.Option(help="degrees from the dominant centre")
    ] = MAX_ANGLE_DEG,
) -> None:
    """List training images that do not look like their own identity."""
    if not 0.0 <= max_angle <= 180.0:
        raise DataInvalid(f"--max-angle is {max_angle:g}; it must be from 0 to 180 degrees")
    if not out.parent.is_dir():
        raise DataInvalid(f"there is no folder {out.parent} to write the list to")
    strays = find_strays(run, max_angle_deg=max_angle)
    out.write_text("".join(f"{stray.key}\n" for stray in strays))
    typer.echo(f"{len(strays)} images are farther than {max_angle:g} degrees; see {out}")


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
    from training.figures import draw_angles

    draw_angles(run, out)
    typer.echo(str(out))
