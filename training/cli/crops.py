"""Commands for the images that train: align, pack, clean, inspect."""

from pathlib import Path
from typing import Annotated

import typer

from embedding.errors import DataInvalid
from training.aligning import align_photos
from training.cleaning import MAX_ANGLE_DEG, find_strays
from training.cli.app import NUM_CORES, app
from training.data.opening import open_store
from training.data.tar_shards import pack as pack_store
from training.inspecting.inspection import NUM_SHOWN, InspectOptions, inspect_data


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
def inspect(
    data: Annotated[Path, typer.Argument(help="the set to be cleaned: aligned crops")],
    out: Annotated[Path, typer.Option(help="folder for the page and the lists")],
    against: Annotated[
        list[Path] | None, typer.Option(help="another set that must share no people; repeatable")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="a model directory or the name of a shipped model")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="similarity of a match; the card's at FPIR 1 % if absent")
    ] = None,
    pair_threshold: Annotated[
        float | None, typer.Option(help="the same for two given faces; the card's for one subject")
    ] = None,
    limit: Annotated[int, typer.Option(help="findings of each kind on the page")] = NUM_SHOWN,
    keep_embeddings: Annotated[
        bool, typer.Option("--keep-embeddings", help="store embeddings.npz, for a second look")
    ] = False,
) -> None:
    """List copies, shared and doubled people and mislabelled images, with a page to look at."""
    options = InspectOptions(
        model=model,
        threshold=threshold,
        pair_threshold=pair_threshold,
        num_shown=limit,
        keep_embeddings=keep_embeddings,
    )
    typer.echo(inspect_data(data, out, against=against or [], options=options).summary)
