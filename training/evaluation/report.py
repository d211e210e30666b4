"""All figures of one model as one report, and the report as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from embedding.error_rates import RULE_OF_THIRTY, RateAtThreshold
from training.evaluation.identification import SetIdentification
from training.evaluation.images import ModelInfo
from training.evaluation.points import OperatingPoint
from training.evaluation.verification import SetVerification

FORMAT = 1
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """What was measured.

    Attributes:
        model: of which.
        created: day, YYYY-MM-DD.
        verification: one entry a set of pairs.
        identification: one entry a set of identities and fusion.
        warnings: sentences on what the figures cannot say.
    """

    model: ModelInfo
    created: str
    verification: tuple[SetVerification, ...]
    identification: tuple[SetIdentification, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> _Json:
        """The content of ``report.json``: nothing but what JSON knows, every number finite."""
        return {
            "format": FORMAT,
            "model": {
                "name": self.model.name,
                "fingerprint": self.model.fingerprint,
                "mirrored": self.model.mirrored,
                "licence": self.model.licence,
                "norm_floor": self.model.norm_floor,
            },
            "created": self.created,
            "verification": [_verification(one) for one in self.verification],
            "identification": [_identification(one) for one in self.identification],
            "warnings": list(self.warnings),
        }


def warnings_of(
    verification: Sequence[SetVerification], identification: Sequence[SetIdentification]
) -> Iterator[str]:
    """Sentences on figures with fewer than thirty errors and on what was left out."""
    for pairs in verification:
        if pairs.num_left_out:
            yield f"{pairs.name}: {pairs.num_left_out:,} pairs were left out for missing images."
        for tar in pairs.tar:
            if not pairs.is_reliable(tar):
                yield (
                    f"{pairs.name}: FAR {tar.far_wanted:g} "
                    + _too_few(tar.far_wanted, pairs.num_different, "pairs of two people")
                )
    # What is said of a set is the same under each fusion.
    for people in {one.name: one for one in identification}.values():
        if people.num_left_out:
            yield (
                f"{people.name}: {people.num_left_out:,} images cannot be read and were left out."
            )
        for point in people.points:
            if not point.is_reliable:
                yield (
                    f"{people.name}: FPIR {100 * point.fpir_wanted:g} % "
                    + _too_few(point.fpir_wanted, people.num_strangers, "strangers' searches")
                )


def _too_few(rate: float, num_trials: int, what: str) -> str:
    return (
        f"of {num_trials:,} {what} means {rate * num_trials:.3g} errors; a firm figure needs "
        f"{RULE_OF_THIRTY} (about {round(RULE_OF_THIRTY / rate):,} {what}), so trust its "
        "interval, not its digits."
    )


def _verification(found: SetVerification) -> _Json:
    return {
        "set": found.name,
        "num_same": found.num_same,
        "num_different": found.num_different,
        "num_left_out": found.num_left_out,
        "accuracy": {
            "mean": found.accuracy.mean,
            "deviation": found.accuracy.deviation,
            "folds": list(found.accuracy.folds),
        },
        "tar_at_far": [
            {
                "far_wanted": point.far_wanted,
                "threshold": point.threshold,
                "tar": _rate(point.tar),
                "far": _rate(point.far),
                "is_reliable": found.is_reliable(point),
            }
            for point in found.tar
        ],
        "roc": {
            "far": found.roc.far.tolist(),
            "tar": found.roc.tar.tolist(),
            "threshold": found.roc.threshold.tolist(),
        },
    }


def _identification(found: SetIdentification) -> _Json:
    return {
        "set": found.name,
        "fusion": found.fusion,
        "protocol": found.protocol,
        "num_subjects": found.num_subjects,
        "num_templates": found.num_templates,
        "num_mated": found.num_mated,
        "num_strangers": found.num_strangers,
        "num_stranger_identities": found.num_stranger_people,
        "num_left_out": found.num_left_out,
        "rank1": _rate(found.rank1),
        "rank1_interval": list(found.rank1_interval),
        "points": [_point(point) for point in found.points],
        "det": {
            "fpir": found.det.fpir.tolist(),
            "fnir": found.det.fnir.tolist(),
            "fnir_low": found.det.fnir_low.tolist(),
            "fnir_high": found.det.fnir_high.tolist(),
            "threshold": found.det.threshold.tolist(),
        },
        "by_size": [
            {
                "num_subjects": size.num_subjects,
                "rank1": size.rank1,
                "points": [_point(point) for point in size.points],
            }
            for size in found.by_size
        ],
        "discard": {
            "quality": "length of the raw embedding",
            "fpir_wanted": found.discard.fpir_wanted,
            "threshold": found.discard.threshold,
            "share": list(found.discard.share),
            "fnir": list(found.discard.fnir),
            "num_left": list(found.discard.num_left),
        },
        "groups": [
            {
                "name": group.name,
                "num_subjects": group.num_subjects,
                "fnir": None if group.fnir is None else _rate(group.fnir),
                "fpir": None if group.fpir is None else _rate(group.fpir),
                "refusals": _rate(group.refusals),
                "is_reliable": group.is_reliable,
            }
            for group in found.groups
        ],
    }


def _point(point: OperatingPoint) -> _Json:
    return {
        "fpir_wanted": point.fpir_wanted,
        "threshold": point.threshold,
        "threshold_interval": list(point.threshold_interval),
        "fpir": _rate(point.fpir),
        "fnir": _rate(point.fnir),
        "fnir_interval": list(point.fnir_interval),
        "is_reliable": point.is_reliable,
    }


def _rate(rate: RateAtThreshold) -> _Json:
    return {
        "num_errors": rate.num_errors,
        "num_trials": rate.num_trials,
        "rate": rate.rate,
        "low": rate.low,
        "high": rate.high,
    }
