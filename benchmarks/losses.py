"""Losses, augmentations and a teacher compared on one small network and one small budget.

A thousand identities with at most four images each, four passes, a narrow ResNet-10 from nothing;
judged on 150 sharp identities that no run trains on. Each run appends a line to a file, and runs
that are in it are not repeated, so the comparison can be stopped and goes on later. Takes about
an hour on two cores; ``--table`` prints what there is as tables for the page of results.
"""

import argparse
import dataclasses
import json
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import numpy as np

from training.config import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    DistillConfig,
    HeadConfig,
    MetricConfig,
    OptimConfig,
    TrainConfig,
)

DATA = Path(__file__).parents[2] / "shared" / "data" / "train"
RUNS = Path(__file__).parents[1] / "runs" / "losses"
MAX_IMAGES, NUM_IDENTITIES, NUM_FEW = 4, 1000, 100
SCALED = ("norm-softmax", "sphereface", "cosface", "arcface", "adaface")
AUGMENTATIONS = ("geometry", "low_resolution", "jpeg", "blur", "colour", "grey", "erase")
FIGURES = ("sharp/rank1", "sharp/tar_at_far_1e-3", "sharp/fnir_at_fpir_1e-2")

ARCFACE = HeadConfig(name="arcface", scale=32.0, margin_rad=0.5, margin_cosine=0.35)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One run.

    Attributes:
        group: the table that it belongs to.
        name: its row.
        config: everything about it.
    """

    group: str
    name: str
    config: TrainConfig


def _base(name: str) -> TrainConfig:
    """ArcFace at s = 32, mirrored images only."""
    return TrainConfig(
        run_folder=RUNS / name.replace(" ", "-"),
        data=DataConfig(
            source=DATA,
            exclude=RUNS / "exclude.txt",
            min_images=3,
            max_identities=NUM_IDENTITIES,
            num_holdout_sharp=150,
            num_workers=0,
        ),
        augment=AugmentConfig.mirror_only(),
        backbone=BackboneConfig(name="resnet10t", channels=(16, 16, 32, 64), head="e"),
        head=ARCFACE,
        optim=OptimConfig(lr=0.05, ema=0.99),
        epochs=4,
        batch_size=64,
        evaluate_every=1000,
        checkpoint_minutes=1e6,
    )


def experiments(teacher: Path | None) -> Iterator[Experiment]:
    """All runs, in the order in which they are worth having."""

    def run(group: str, name: str, **changes: object) -> Experiment:
        config = dataclasses.replace(_base(name), **changes)  # type: ignore[arg-type]
        return Experiment(group=group, name=name, config=config)

    with_head = partial(dataclasses.replace, ARCFACE)

    def scaled(scale: float) -> Iterator[Experiment]:
        for name in SCALED:
            yield run("loss", f"{name} s={scale:g}", head=with_head(name=name, scale=scale))

    yield from scaled(32.0)
    yield run("loss", "softmax", head=with_head(name="softmax"))
    yield run(
        "loss",
        "triplet",
        head=with_head(name="none"),
        metric=MetricConfig(triplet=1.0),
        data=dataclasses.replace(_base("triplet").data, images_per_identity=4),
    )
    yield from scaled(16.0)
    if teacher is not None:
        distill = DistillConfig(teacher=teacher, direction_weight=16.0, relation_weight=1.0)
        yield run("teacher", "arcface + teacher", distill=distill)
        yield run("teacher", "teacher alone", head=with_head(name="none"), distill=distill)
    yield run("augmentation", "all", augment=AugmentConfig())
    yield run("augmentation", "none", augment=AugmentConfig.none())
    for change in AUGMENTATIONS:
        usual = {change: getattr(AugmentConfig(), change)}
        changed = dataclasses.replace(AugmentConfig.mirror_only(), **usual)
        yield run("augmentation", f"mirror + {change}", augment=changed)
    yield from scaled(64.0)
    for seed in (1, 2):
        yield run("noise", f"arcface s=32 seed={seed}", seed=seed)
    few = dataclasses.replace(_base("few").data, max_identities=NUM_FEW)
    for name, head in (
        ("s=64 m=0.5 at once", with_head(scale=64.0, margin_warmup=0.0)),
        ("s=64 m=0.5 warmed up", with_head(scale=64.0)),
        ("s=40 m=0.4 warmed up (few)", with_head(scale=40.0, margin_rad=0.4)),
        ("norm-softmax s=16", with_head(name="norm-softmax", scale=16.0)),
    ):
        yield run("few", f"{NUM_FEW} identities, {name}", head=head, data=few, epochs=24)
    # The recipe of the paper on the budget of all other runs, and what the preset makes of it.
    fast = dataclasses.replace(_base("fast").optim, lr=0.1, warmup=0.0)
    paper = with_head(scale=64.0, margin_warmup=0.0)
    yield run("few", "1000 identities, s=64 m=0.5 at once, lr 0.1", head=paper, optim=fast)
    gentle = with_head(scale=40.0, margin_rad=0.4)
    yield run("few", "1000 identities, s=40 m=0.4 warmed up (few)", head=gentle)


def write_exclude(file: Path) -> None:
    """The keys of all images beyond the fourth of an identity that may train."""
    from training.data.opening import open_store
    from training.data.split import split_store

    train = split_store(open_store(DATA), dataclasses.replace(_base("").data, exclude=None)).train
    first = np.searchsorted(train.labels_N, train.labels_N)
    beyond = np.flatnonzero(np.arange(len(train)) - first >= MAX_IMAGES)
    file.write_text("".join(f"{train.key(int(image))}\n" for image in beyond))


def measure(experiment: Experiment) -> dict[str, object]:
    """One run from its beginning to its figures on held-out people."""
    import torch

    from training.data.opening import open_store
    from training.data.split import split_store
    from training.evaluate import holdout_evaluator
    from training.trainer import Trainer

    torch.set_num_threads(1)
    config, started = experiment.config, time.monotonic()
    split = split_store(open_store(config.data.source), config.data)
    trainer = Trainer(config, split, evaluate=holdout_evaluator(split.holdout, mirrored=True))
    figures = trainer.run()
    log = (config.run_folder / "log.jsonl").read_text().splitlines()
    last = [json.loads(line) for line in log if "loss/head" in line or '"loss"' in line][-20:]
    cosines = [line["cosine/target"] for line in last if "cosine/target" in line]
    return {
        "group": experiment.group,
        "name": experiment.name,
        "num_images": len(split.train),
        **{name: figures[name] for name in FIGURES},
        "last_loss": round(sum(line["loss"] for line in last) / len(last), 3),
        "last_cosine": round(sum(cosines) / len(cosines), 3) if cosines else None,
        "minutes": round((time.monotonic() - started) / 60, 2),
    }


def table(results: list[dict[str, object]]) -> str:
    """The results as Markdown, a table a group."""
    lines = []
    for group in dict.fromkeys(str(one["group"]) for one in results):
        lines += [
            f"\n**{group}**\n",
            "| run | rank-1 | TAR at FAR 0.1 % | FNIR at FPIR 1 % | cosine to the centre |",
            "|---|---|---|---|---|",
        ]
        for one in results:
            if one["group"] == group:
                rank1, tar, fnir = (f"{100 * float(str(one[name])):.1f} %" for name in FIGURES)
                lines.append(
                    f"| {one['name']} | {rank1} | {tar} | {fnir} | {one['last_cosine']} |"
                )
    return "\n".join(lines)


def main() -> None:
    """Runs what is missing and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, help="file of python -m training teacher")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print what there is, run nothing")
    arguments = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    results_file = RUNS / "results.jsonl"
    lines = results_file.read_text().splitlines() if results_file.is_file() else []
    results = [json.loads(line) for line in lines]
    done = {one["name"] for one in results}
    if not arguments.table:
        if not (RUNS / "exclude.txt").is_file():
            write_exclude(RUNS / "exclude.txt")
        missing = [one for one in experiments(arguments.teacher) if one.name not in done]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(arguments.processes, mp_context=context) as pool:
            for future in as_completed([pool.submit(measure, one) for one in missing]):
                results.append(future.result())
                with results_file.open("a") as stream:
                    stream.write(json.dumps(results[-1]) + "\n")
                print(json.dumps(results[-1]), flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
