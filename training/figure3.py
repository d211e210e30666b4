"""The toy of figure 3 in the ArcFace paper (arXiv 1801.07698), learned anew from one's own faces.

Eight identities are learned with two outputs only, once with softmax and once with ArcFace, so
that all of what a network says of a face is a direction on a circle. Both begin from the same
network, which softmax has trained: from a random start ArcFace rarely finds an order of
identities around the circle, since a face cannot pass the centre of another identity on its way
to its own, and centres huddle together. Identities that the softmax start merged can stay so.

Shape legend: N faces, I identities, D = 2 outputs.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from embedding.errors import DataInvalid
from training.classifier import MarginClassifier
from training.config import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    HeadConfig,
    OptimConfig,
    StartConfig,
    TrainConfig,
)
from training.data.opening import open_store
from training.data.split import Selection, Split, select_all
from training.evaluate import torch_embedder
from training.figures.circles import CircleEmbeddings, draw_figure3
from training.trainer import Trainer

NUM_IDENTITIES = 8
MIN_IMAGES = 5  # fewer say nothing about how wide an identity spreads

# The last batch normalisation of the network sees two numbers a face, so the mix of identities in
# a batch shifts and stretches the whole circle. Batches that hold each identity equally often keep
# it still: with random batches fewer faces were learned.
MAX_IMAGES_PER_BATCH = 6  # of one identity; 8 x 6 = 48 images a step

# Softmax learns logits without a scale and wants a rate that is larger by far. ArcFace's slopes
# carry the factor s = 16: at a rate of 0.05 its centres ran into each other.
SOFTMAX = HeadConfig(name="softmax")
ARCFACE = HeadConfig(name="arcface", scale=16.0, margin_rad=0.5, margin_warmup=0.5)
START_LR, SOFTMAX_LR, ARCFACE_LR = 0.05, 0.02, 0.005

# Some 30 images an identity are learned by heart unless they change: then every arc is a point,
# whatever the loss.
AUGMENT = replace(AugmentConfig.mirror_only(), geometry=0.5, colour=0.5)


def run_figure3(
    data: Path, out: Path, *, start_steps: int = 300, steps: int = 200, seed: int = 0
) -> dict[str, float]:
    """Trains both toys and writes ``figure3.png`` and ``figure3.json``.

    The eight identities with most images take part, with all their images, which are then
    embedded without augmentation. Softmax trains `start_steps`; from there softmax and ArcFace
    each train `steps`, rounded up to whole epochs.

    Args:
        data: identity folders, a ``.rec`` or a folder of tar shards.
        out: folder for the two files; it is made.
        start_steps: optimizer steps of both together.
        steps: optimizer steps of each alone.
        seed: of weights, order and augmentation.

    Returns:
        For ``softmax`` and ``arcface``: the mean and the smallest gap between neighbouring arcs
        in degrees (see `training.figures.circles.angular_gaps`), and the share of faces whose
        nearest centre is their own.

    Raises:
        DataInvalid: fewer than eight identities with five images, or an image cannot be read.
    """
    faces = _largest_identities(data)
    toy = _Toy(faces, data, seed)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        start = toy.train(runs / "start", SOFTMAX, lr=START_LR, steps=start_steps)
        softmax = toy.train(runs / "softmax", SOFTMAX, lr=SOFTMAX_LR, steps=steps, start=start)
        arcface = toy.train(runs / "arcface", ARCFACE, lr=ARCFACE_LR, steps=steps, start=start)
    circles = {"softmax": toy.embed(softmax), "arcface": toy.embed(arcface)}
    out.mkdir(parents=True, exist_ok=True)
    gaps = draw_figure3(
        {
            "Softmax": circles["softmax"],
            f"ArcFace, margin {ARCFACE.margin_rad} rad": circles["arcface"],
        },
        out / "figure3.png",
    )
    figures: dict[str, float] = {}
    for (name, circle), gaps_I in zip(circles.items(), gaps.values(), strict=True):
        figures[f"{name}/mean_gap_deg"] = float(gaps_I.mean())
        figures[f"{name}/smallest_gap_deg"] = float(gaps_I.min())
        figures[f"{name}/accuracy"] = circle.accuracy
    (out / "figure3.json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _largest_identities(data: Path) -> Selection:
    everybody = select_all(open_store(data))
    counts_I = np.bincount(everybody.labels_N, minlength=everybody.num_identities)
    num_fit = int((counts_I >= MIN_IMAGES).sum())
    if num_fit < NUM_IDENTITIES:
        raise DataInvalid(
            f"the toy of figure 3 needs {NUM_IDENTITIES} identities with at least {MIN_IMAGES} "
            f"images; {data} has {num_fit}"
        )
    return everybody.of_identities(np.argsort(-counts_I, kind="stable")[:NUM_IDENTITIES].tolist())


class _Toy:
    """Runs over the same faces that differ in loss, rate and start.

    Args:
        faces: of all identities.
        source: where they come from.
        seed: of every run.
    """

    def __init__(self, faces: Selection, source: Path, seed: int) -> None:
        self._faces, self._source, self._seed = faces, source, seed
        # All are read before anything is trained, so that a bad image does not cost minutes.
        self._crops_NHWC = np.concatenate(list(faces.chunks()))

    def train(
        self, run: Path, head: HeadConfig, *, lr: float, steps: int, start: Trainer | None = None
    ) -> Trainer:
        """A finished run, from a random start or from another run's network and centres.

        Raises:
            KeyboardInterrupt: the run was asked to stop.
        """
        num_each = min(MAX_IMAGES_PER_BATCH, int(np.bincount(self._faces.labels_N).min()))
        batch_size = NUM_IDENTITIES * num_each
        config = TrainConfig(
            run_folder=run,
            data=DataConfig(source=self._source, images_per_identity=num_each, num_workers=0),
            augment=AUGMENT,
            # Half the depth and a quarter of the width of a ResNet-18: 100 images/s on one core.
            backbone=BackboneConfig(
                name="resnet10t", channels=(16, 32, 64, 128), head="e", dimension=2
            ),
            start=StartConfig(weights=start.config.run_folder if start else None),
            head=head,
            optim=OptimConfig(lr=lr, warmup=0.1, ema=0.99),
            epochs=-(-steps // (len(self._faces) // batch_size)),
            batch_size=batch_size,
            seed=self._seed,
            precision="float32",
            evaluate_every=1_000_000,
        )
        trainer = Trainer(config, Split(train=self._faces, holdout=self._faces.of_identities([])))
        if start is not None:
            _hand_over_centres(_classifier(start), _classifier(trainer))
        trainer.run()
        if not trainer.is_finished:
            raise KeyboardInterrupt
        return trainer

    def embed(self, trainer: Trainer) -> CircleEmbeddings:
        """All faces without augmentation, and the class centres, as directions."""
        labels_N = self._faces.labels_N
        embed = torch_embedder(trainer.state.average.module, mirrored=False)
        faces_ND = embed(self._crops_NHWC).astype(np.float64)
        with torch.no_grad():
            centres_ID = F.normalize(_classifier(trainer).centres_RD).cpu().double().numpy()
        return CircleEmbeddings(
            degrees_N=np.degrees(np.arctan2(faces_ND[:, 1], faces_ND[:, 0])),
            labels_N=labels_N,
            centres_I=np.degrees(np.arctan2(centres_ID[:, 1], centres_ID[:, 0])),
            accuracy=float(((faces_ND @ centres_ID.T).argmax(axis=1) == labels_N).mean()),
        )


def _classifier(trainer: Trainer) -> MarginClassifier:
    if trainer.losses.classifier is None:
        raise AssertionError("every run of the toy has class centres")
    return trainer.losses.classifier


@torch.no_grad()
def _hand_over_centres(source: MarginClassifier, target: MarginClassifier) -> None:
    """Softmax goes on with weights and biases; heads on cosines take the directions alone.

    With length 1 instead of softmax's 1 to 3, centres can still turn: their slope falls with
    their length.
    """
    if target.kind.unit_centres:
        target.centres_RD.copy_(F.normalize(source.centres_RD))
    else:
        target.load_state_dict(source.state_dict())
