"""Finds out which preprocessing a foreign network wants, by trying the usual ones.

A wrong colour order or scale gives no error, only worse embeddings, so the right one is the one
that tells the user's own people apart best. Shape legend: B images, D embedding dimension.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedding.error_rates import RateAtThreshold, tar_at_far
from embedding.runtime import OpenVinoNet
from training.importing.checks import run_rows, unit_rows
from training.importing.preprocessing import PIXELS, Channels, Color, Preprocessing

logger = logging.getLogger(__name__)

FAR = 0.01

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # of red, green and blue; 255 times 0.485, 0.456, 0.406
IMAGENET_STD = (58.395, 57.12, 57.375)
USUAL: tuple[tuple[Channels, Channels], ...] = (
    ((127.5,) * 3, (127.5,) * 3),  # InsightFace, and most who learned from it
    ((127.5,) * 3, (128.0,) * 3),  # the same, older
    ((0.0,) * 3, (255.0,) * 3),
    ((0.0,) * 3, (1.0,) * 3),  # the network scales by itself
    (IMAGENET_MEAN, IMAGENET_STD),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How well people are told apart with one preprocessing.

    Attributes:
        preprocessing: what was tried.
        tar: true accepts at FAR 1 %, over all pairs of the crops.
        separation: (mean mated - mean non-mated similarity) / their pooled standard deviation.
    """

    preprocessing: Preprocessing
    tar: RateAtThreshold
    separation: float

    def as_json(self) -> dict[str, Any]:
        """For the card."""
        return {
            "color": self.preprocessing.color,
            "mean": list(self.preprocessing.mean),
            "std": list(self.preprocessing.std),
            "tar_at_far_1e-2": round(self.tar.rate, 4),
            "pairs": self.tar.num_trials,
            "separation": round(self.separation, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What was tried, the best first.

    Attributes:
        trials: at least one; by TAR, then by separation.
    """

    trials: tuple[Trial, ...]

    @property
    def best(self) -> Preprocessing:
        """What is taken."""
        return self.trials[0].preprocessing

    @property
    def rivals(self) -> tuple[Preprocessing, ...]:
        """Others that the crops cannot tell from the best: in the interval of its TAR.

        A rival that does nearly the same to every value (a scale of 127.5 or 128) is none.
        """
        first = self.trials[0]
        return tuple(
            one.preprocessing
            for one in self.trials[1:]
            if one.tar.rate >= first.tar.low and not _is_nearly(one.preprocessing, self.best)
        )

    def lines(self) -> list[str]:
        """A table for people, and what to make of it."""
        num_pairs = self.trials[0].tar.num_trials
        rows = [f"{'tried':58} {'TAR':>7} {'separation':>11}"]
        rows += [
            f"{one.preprocessing!s:58} {one.tar.rate:7.4f} {one.separation:11.2f}"
            for one in self.trials
        ]
        rows.append(
            f"guessed: {self.best} (best TAR at FAR 1 % over {num_pairs} pairs of the same person)"
        )
        if self.rivals:
            rows.append(
                f"a close race: {'; '.join(map(str, self.rivals))} did as well within chance. "
                "Look into the network's own description and give --color, --mean and --std"
            )
        return rows


def candidates(
    *,
    color: Color | None,
    numbers: tuple[Channels, Channels] | None,
    takes_pixels: bool,
) -> list[Preprocessing]:
    """What there is to try, given what is known.

    Args:
        color: None if unknown.
        numbers: mean and standard deviation; None if unknown.
        takes_pixels: the network takes uint8, so there is no arithmetic to guess.
    """
    colors: Sequence[Color] = ("RGB", "BGR") if color is None else (color,)
    if takes_pixels:
        return [Preprocessing(color=one, mean=PIXELS.mean, std=PIXELS.std) for one in colors]
    if numbers is not None:
        return [Preprocessing(color=one, mean=numbers[0], std=numbers[1]) for one in colors]
    # The usual numbers belong to red, green and blue; they go along when the channels turn.
    turn = {"RGB": slice(None), "BGR": slice(None, None, -1)}
    return [
        Preprocessing(color=one, mean=mean[turn[one]], std=std[turn[one]])  # type: ignore[arg-type]
        for mean, std in USUAL
        for one in colors
    ]


def guess(
    net: OpenVinoNet,
    crops_BHWC: NDArray[np.uint8],
    labels_B: NDArray[np.int64],
    tries: Sequence[Preprocessing],
    *,
    after: Preprocessing,
) -> Guess:
    """Tries each preprocessing on crops of people and ranks them.

    Args:
        net: wrapped with `after`.
        crops_BHWC: uint8 RGB, several of each person.
        labels_B: who is on them.
        tries: at least one.
        after: what the net itself does to its input.
    """
    trials = []
    for one in tries:
        raw_BD = run_rows(net, one.images(crops_BHWC, after=after))
        trial = _trial(one, raw_BD, labels_B)
        logger.info("tried %s: TAR %.4f at FAR 1 %%", one, trial.tar.rate)
        trials.append(trial)
    return Guess(trials=tuple(sorted(trials, key=lambda t: (-t.tar.rate, -t.separation))))


def _trial(
    preprocessing: Preprocessing, raw_BD: NDArray[np.float32], labels_B: NDArray[np.int64]
) -> Trial:
    """One preprocessing's figures; embeddings without a direction resemble nobody."""
    unit_BD = unit_rows(raw_BD)
    left, right = np.triu_indices(len(labels_B), k=1)
    same = labels_B[left] == labels_B[right]
    # Rounded: equal embeddings must have equal similarities, whatever the order of the sums.
    cosines = np.round((unit_BD @ unit_BD.T)[left, right], 6)
    mated, others = cosines[same], cosines[~same]
    spread = np.sqrt((mated.var() + others.var()) / 2)
    return Trial(
        preprocessing=preprocessing,
        tar=tar_at_far(mated, others, FAR).tar,
        separation=float((mated.mean() - others.mean()) / spread) if spread > 0 else 0.0,
    )


def _is_nearly(one: Preprocessing, other: Preprocessing) -> bool:
    """Whether two preprocessings differ by no more than 2 % of the range of values."""
    if one.color != other.color:
        return False
    ends = np.array([[0.0], [255.0]])
    first = (ends - np.array(one.mean)) / np.array(one.std)
    second = (ends - np.array(other.mean)) / np.array(other.std)
    return bool(np.abs(first - second).max() <= 0.02 * np.ptp(second))
