"""What each augmentation costs, and how far it moves a face for the shipped model.

Each change is applied alone, to every crop. The faces are people that the shipped model never
trained on, from the crops given as an argument (the team's data by default). A change that moves
nothing teaches nothing; one that moves a face as far as another person's teaches something wrong.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import print_report
from embedding.embedder import FaceEmbedder
from training.augment import augment
from training.config import AugmentConfig
from training.data.opening import open_store
from training.data.split import split_store
from training.presets import preset

CROPS = Path(__file__).parents[2] / "shared" / "data" / "train"
NUM_CROPS = 400
CHANGES = ("mirror", "geometry", "low_resolution", "blur", "jpeg", "colour", "grey", "erase")


def main() -> None:
    """Measures each change alone and all as they are in training."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else CROPS
    config = replace(preset("shipped", data=source, run_folder=Path()).data, num_holdout_soft=0)
    holdout = split_store(open_store(source), config).holdout
    crops_BHWC = holdout.crops(range(min(NUM_CROPS, len(holdout))))
    labels_B = holdout.labels_N[: len(crops_BHWC)]
    embedder = FaceEmbedder.open()
    clean_BD = embedder.embed_crops(crops_BHWC).vectors
    cosines_BB = clean_BD @ clean_BD.T
    strangers = cosines_BB[labels_B[:, None] != labels_B]
    nothing = AugmentConfig.none()
    alone: dict[str, Any] = {name: {name: 1.0} for name in CHANGES}
    settings = {name: replace(nothing, **change) for name, change in alone.items()}
    settings["all, as in training"] = AugmentConfig()
    rows, figures = [], {}
    for name, one in settings.items():
        started = time.perf_counter()
        changed_BHWC = np.stack(
            [augment(crop, np.random.default_rng(row), one) for row, crop in enumerate(crops_BHWC)]
        )
        cost_ms = 1000 * (time.perf_counter() - started) / len(crops_BHWC)
        moved_BD = embedder.embed_crops(changed_BHWC).vectors
        cosines = (clean_BD * moved_BD).sum(axis=1)
        mean, low = float(cosines.mean()), float(np.quantile(cosines, 0.05))
        rows.append((name, cost_ms, mean, low))
        figures[name] = {
            "ms": round(cost_ms, 3), "mean_cosine": round(mean, 3), "low_cosine": round(low, 3)
        }  # fmt: skip
    high = float(np.quantile(strangers, 0.95))
    rows.append(("another person, 95 % below", 0.0, float(strangers.mean()), high))
    print_report(
        "augment",
        ("change", "ms a crop", "cosine to the clean crop", "5 % are below"),
        rows,
        {"num_crops": len(crops_BHWC), "strangers_high": round(high, 3), "changes": figures},
    )


if __name__ == "__main__":
    main()
