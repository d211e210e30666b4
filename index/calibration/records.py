"""What a calibration found, as it is kept: JSON, strict on the way back."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, get_args

from embedding.errors import RequestInvalid, StoreCorrupt
from embedding.model import ModelCard
from embedding.thresholds import Threshold
from index.calibration.floor import card_threshold
from index.calibration.judging import Judgement
from index.calibration.strangers import Unit

FORMAT = 1

Source = Literal["gallery", "strangers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedPoint:
    """The threshold for one wanted FPIR, and what it is worth.

    Attributes:
        fpir: wanted.
        value: the threshold: match when similarity >= value.
        low: lower end of the 95 % interval of the measured threshold.
        high: upper end of it; 1 where the searches are too few for one.
        measured: the (1 - FPIR) quantile of the searches, before anything raised it.
        floor: the model card's threshold at this gallery size, below which ``value`` never is;
            None where the searches are enough to do without.
        floor_fpir: the card's FPIR that the floor is of: the wanted one, or a smaller one.
        num_errors: searches at or above ``value``.
        num_missed: mated searches below it, or closer to somebody else.
        predicted_low: lower end of the 95 % interval that will hold the FPIR measured on
            ``num_future`` new searches at ``value``.
        predicted_high: upper end of it.
        num_future: new searches that the prediction is for.
        design_effect: how many searches of these weigh as much as one independent one.
        slope: by how much the threshold rises when ln N rises by one.
        supported: whether false positives of thirty people or more stand behind ``measured``.
    """

    fpir: float
    value: float
    low: float
    high: float
    measured: float
    floor: float | None
    floor_fpir: float | None
    num_errors: int
    num_missed: int
    predicted_low: float
    predicted_high: float
    num_future: int
    design_effect: float
    slope: float
    supported: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Thresholds of one gallery, with what they were measured on.

    Attributes:
        made_at: UTC.
        fingerprint: of the gallery's model.
        rule: name of the fusion rule.
        source: whether the gallery searched itself or strangers were searched for.
        num_subjects: gallery size N that the thresholds hold for.
        num_templates: of all subjects.
        num_probes: non-mated searches.
        num_people: whose searches they are; two of a gallery's people who are each other's
            nearest count once.
        num_mated: searches of enrolled people, each without its own template.
        num_close: searches so close to somebody that they may be of the same person.
        unit: what one search, and so one decision, is made of.
        left_out: photos that gave no search, counted by reason.
        points: by descending FPIR, each FPIR once; their thresholds never fall.
        normalisation: what a cohort's normalisation did; None where none was tried. If it is
            kept, thresholds are for figures and no similarities; see `normalisation`.
        cohort_digest: of what is kept of the cohort; empty where similarities decide.
    """

    made_at: datetime
    fingerprint: str
    rule: str
    source: Source
    num_subjects: int
    num_templates: int
    num_probes: int
    num_people: int
    num_mated: int
    num_close: int
    points: tuple[CalibratedPoint, ...]
    unit: Unit = "photo"
    left_out: Mapping[str, int] = field(default_factory=dict)
    normalisation: Judgement | None = None
    cohort_digest: str = ""

    def holds(self, *fpirs: float) -> bool:
        """Whether there is a threshold for each FPIR."""
        return all(
            any(math.isclose(each.fpir, fpir, rel_tol=1e-9) for each in self.points)
            for fpir in fpirs
        )

    def threshold(self, *, fpir: float, num_subjects: int, card: ModelCard) -> Threshold:
        """Return the threshold for a gallery that may have grown since.

        Up to the size of the calibration it is the calibrated one, which for fewer people is on
        the safe side. Beyond, it is continued over ln N and marked as extrapolated. It never
        falls with N, nor with a smaller FPIR. Searches that were too few stay at or above the
        card's threshold at the new size too.

        Args:
            fpir: one of the points'.
            num_subjects: N now.
            card: of the gallery's model.

        Raises:
            RequestInvalid: not calibrated for this FPIR.
        """
        wanted = [each for each in self.points if each.fpir >= fpir * (1 - 1e-9)]
        if not self.holds(fpir):
            held = ", ".join(f"{each.fpir:g}" for each in self.points)
            raise RequestInvalid(
                f"the gallery is not calibrated for FPIR {fpir:g}, but for {held}; calibrate it"
            )
        value = max(self._value(each, num_subjects, card) for each in wanted)
        point = wanted[-1]
        return Threshold(
            value=value,
            low=min(point.low, value),
            high=max(point.high, value),
            fpir=point.fpir,
            num_subjects=num_subjects,
            num_probes=self.num_probes,
            extrapolated=num_subjects > self.num_subjects or not point.supported,
        )

    def _value(self, point: CalibratedPoint, num_subjects: int, card: ModelCard) -> float:
        growth = math.log(max(num_subjects, self.num_subjects) / self.num_subjects)
        value = max(point.value, point.measured + growth * point.slope)
        if point.floor is not None and point.floor_fpir is not None and growth:
            then, now = (
                card_threshold(card, fpir=point.floor_fpir, num_subjects=size).value
                for size in (self.num_subjects, num_subjects)
            )
            value = max(value, point.floor + now - then)
        return min(1.0, value)

    def to_json(self) -> bytes:
        """Return the calibration as it is kept."""
        content = {"format": FORMAT, **asdict(self), "made_at": self.made_at.isoformat()}
        return json.dumps(content, allow_nan=False, sort_keys=True).encode()


def calibration_of_json(content: bytes) -> Calibration:
    """Return the calibration that `Calibration.to_json` wrote.

    Raises:
        StoreCorrupt: anything else.
    """
    try:
        values = json.loads(content)
        if values.pop("format") != FORMAT:
            raise ValueError("format")
        points = tuple(_point(each) for each in values.pop("points"))
        made_at = datetime.fromisoformat(values.pop("made_at"))
        judged = values.pop("normalisation")
        calibration = Calibration(
            made_at=made_at,
            points=points,
            normalisation=None if judged is None else Judgement(**judged),
            **values,
        )
        _check(calibration)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StoreCorrupt(
            "the kept calibration of the gallery cannot be read; calibrate it again"
        ) from error
    return calibration


def _point(values: Mapping[str, Any]) -> CalibratedPoint:
    point = CalibratedPoint(**values)
    for each in fields(point):
        value = getattr(point, each.name)
        if value is None and each.name in ("floor", "floor_fpir"):
            continue
        if isinstance(value, bool) != (each.name == "supported") or not math.isfinite(value):
            raise ValueError(each.name)
    return point


def _check(calibration: Calibration) -> None:
    texts = (calibration.fingerprint, calibration.rule, calibration.cohort_digest)
    judged = calibration.normalisation
    counts = (
        calibration.num_subjects,
        calibration.num_templates,
        calibration.num_probes,
        calibration.num_people,
        calibration.num_mated,
        calibration.num_close,
        *calibration.left_out.values(),
    )
    if (
        calibration.made_at.tzinfo is None
        or not all(isinstance(each, str) for each in texts)
        or not all(isinstance(each, int) and each >= 0 for each in counts)
        or calibration.num_subjects < 1
        or calibration.source not in get_args(Source)
        or calibration.unit not in get_args(Unit)
        or not calibration.points
        or (judged is not None and judged.kept) != bool(calibration.cohort_digest)
    ):
        raise ValueError("fields")
