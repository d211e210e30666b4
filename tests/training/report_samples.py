"""A report as an evaluation makes it, of an invented model: two sets of pairs, three of people.

Similarities are normal: rates follow from means, so the curves look as those of real models.
"""

from statistics import NormalDist
from typing import Any

import numpy as np

from embedding.error_rates import rate_with_interval

Json = dict[str, Any]
SAME, DIFFERENT = NormalDist(0.62, 0.11), NormalDist(0.04, 0.09)
SIZES = (10, 30, 100, 300)


def rate(num_errors: int, num_trials: int) -> Json:
    """A RATE with Wilson's interval."""
    found = rate_with_interval(num_errors, num_trials)
    return {
        "num_errors": num_errors,
        "num_trials": num_trials,
        "rate": found.rate,
        "low": found.low,
        "high": found.high,
    }


def sample_report() -> Json:
    """Everything that a report can hold, groups and figures with few errors included."""
    return {
        "format": 1,
        "model": {
            "name": "sample-r50",
            "fingerprint": "5b1f0c9d" * 8,
            "mirrored": True,
            "licence": "CC BY-NC 4.0",
            "norm_floor": 14.25,
        },
        "created": "2026-03-01",
        "verification": [
            verification("LFW", num_pairs=3000),
            verification("pairs of the gate", num_pairs=240, num_left_out=12),
        ],
        "identification": [
            identification("LFW", "maximum", num_subjects=439, groups=()),
            identification("LFW", "centroid", num_subjects=439, groups=(), spread=0.02),
            identification(
                "staff, 2025",
                "maximum",
                num_subjects=1210,
                groups=("18 to 39", "40 to 59", "60 and older", "(none)"),
                num_left_out=3,
            ),
        ],
        "warnings": ["LFW: FPIR 0.001 of 2,722 strangers' searches means 2.72 errors."],
    }


def verification(name: str, *, num_pairs: int, num_left_out: int = 0) -> Json:
    """As many pairs of one person as of different people."""
    thresholds = np.linspace(0.8, -0.3, 200)
    tar = np.round([num_pairs * (1 - SAME.cdf(one)) for one in thresholds]) / num_pairs
    far = np.round([num_pairs * (1 - DIFFERENT.cdf(one)) for one in thresholds]) / num_pairs
    rows = []
    for wanted in (0.01, 0.001):
        threshold = DIFFERENT.inv_cdf(1 - wanted)
        num_accepted = round(num_pairs * (1 - SAME.cdf(threshold)))
        rows.append(
            {
                "far_wanted": wanted,
                "threshold": threshold,
                "tar": rate(num_accepted, num_pairs),
                "far": rate(int(wanted * num_pairs), num_pairs),
                "is_reliable": wanted * num_pairs >= 30,
            }
        )
    folds = [0.9917, 0.9933, 0.9883, 0.9950, 0.9900, 0.9967, 0.9917, 0.9900, 0.9983, 0.9933]
    return {
        "set": name,
        "num_same": num_pairs,
        "num_different": num_pairs,
        "num_left_out": num_left_out,
        "accuracy": {"mean": 0.99283, "deviation": 0.0031, "folds": folds},
        "tar_at_far": rows,
        "roc": {"far": far.tolist(), "tar": tar.tolist(), "threshold": thresholds.tolist()},
    }


def identification(
    name: str,
    fusion: str,
    *,
    num_subjects: int,
    groups: tuple[str, ...],
    spread: float = 0.0,
    num_left_out: int = 0,
) -> Json:
    """Strangers' best similarity grows with the gallery; `spread` moves the searchers' own."""
    num_mated, num_strangers = 3 * num_subjects - 20, 9 * num_subjects
    points = [point(wanted, num_subjects, spread, num_strangers) for wanted in (0.01, 0.001)]
    fpir = np.geomspace(1 / num_strangers, 1 - 1e-3, 120)
    fnir = np.array([_fnir(one, num_subjects, spread) for one in fpir])
    share = np.linspace(0.0, 0.5, 21)
    kept = points[0]["fnir"]["rate"] * (1 - 0.8 * share)
    return {
        "set": name,
        "fusion": fusion,
        "protocol": f"{num_subjects:,} people are enrolled with 3 images and searched for with "
        f"{num_mated:,}; {num_strangers:,} strangers search once each",
        "num_subjects": num_subjects,
        "num_templates": 3,
        "num_mated": num_mated,
        "num_strangers": num_strangers,
        "num_stranger_identities": num_strangers,
        "num_left_out": num_left_out,
        "rank1": rate(round(0.991 * num_mated), num_mated),
        "rank1_interval": [0.984, 0.995],
        "points": points,
        "det": {
            "fpir": fpir.tolist(),
            "fnir": fnir.tolist(),
            "fnir_low": (fnir * 0.75 - 0.002).clip(0.0).tolist(),
            "fnir_high": (fnir * 1.35 + 0.004).clip(max=1.0).tolist(),
            "threshold": [_threshold(one, num_subjects) for one in fpir],
        },
        "by_size": [
            {
                "num_subjects": size,
                "rank1": 0.998 - 0.005 * np.log10(size),
                "points": [point(one, size, spread, num_strangers) for one in (0.01, 0.001)],
            }
            for size in (*SIZES, num_subjects)
        ],
        "discard": {
            "quality": "length of the raw embedding",
            "fpir_wanted": 0.01,
            "threshold": points[0]["threshold"],
            "share": share.tolist(),
            "fnir": kept.tolist(),
            "num_left": [round(num_mated * (1 - one)) for one in share],
        },
        "groups": [group(one, place) for place, one in enumerate(groups)],
    }


def point(fpir: float, num_subjects: int, spread: float, num_strangers: int) -> Json:
    """An operating point; small galleries are drawn ever again, and their counts are summed."""
    num_mated = 3 * num_subjects - 20 if num_subjects > SIZES[-1] else 300 * num_subjects
    threshold, fnir = _threshold(fpir, num_subjects), _fnir(fpir, num_subjects, spread)
    return {
        "fpir_wanted": fpir,
        "threshold": threshold,
        "threshold_interval": [threshold - 0.021, threshold + 0.034],
        "fpir": rate(int(fpir * num_strangers), num_strangers),
        "fnir": rate(round(fnir * num_mated), num_mated),
        "fnir_interval": [fnir * 0.8, fnir * 1.3],
        "is_reliable": fpir * num_strangers >= 30,
    }


def group(name: str, place: int) -> Json:
    """The later, the fewer people; the last has no strangers, the last two few errors."""
    num_trials = 1800 // (1 + 2 * place)
    is_small = place == 3
    return {
        "name": name,
        "num_subjects": num_trials // 3,
        "fnir": rate(round(num_trials * (0.035 + 0.02 * place)), num_trials),
        "fpir": None if is_small else rate(round(4 * num_trials * 0.011), 4 * num_trials),
        "refusals": rate(3 * place, num_trials),
        "is_reliable": place < 2,
    }


def _threshold(fpir: float, num_subjects: int) -> float:
    """Of the best of that many others: independent, each as a pair of different people."""
    return DIFFERENT.inv_cdf((1 - min(fpir, 1 - 1e-9)) ** (1 / num_subjects))


def _fnir(fpir: float, num_subjects: int, spread: float) -> float:
    return SAME.cdf(_threshold(fpir, num_subjects) - spread)
