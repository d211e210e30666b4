"""Thresholds, calibrations and models, as they are answered."""

from embedding.model import ModelCard
from embedding.thresholds import Threshold
from index.calibration.in_force import ThresholdsInForce
from service import schemas


def threshold_answer(threshold: Threshold) -> schemas.ThresholdAnswer:
    """A threshold and what it stands for."""
    return schemas.ThresholdAnswer(
        value=threshold.value,
        low=threshold.low,
        high=threshold.high,
        fpir=threshold.fpir,
        num_subjects=threshold.num_subjects,
        extrapolated=threshold.extrapolated,
    )


def calibration_answer(thresholds: ThresholdsInForce) -> schemas.CalibrationAnswer | None:
    """The gallery's calibration; None where it was never calibrated."""
    made = thresholds.calibration
    if made is None:
        return None
    return schemas.CalibrationAnswer(
        in_force=thresholds.source == "calibration",
        made_at=made.made_at,
        num_subjects=made.num_subjects,
        num_probes=made.num_probes,
        normalised=thresholds.normalisation is not None,
        stale=thresholds.stale,
        reasons=list(thresholds.reasons),
    )


def model_ref(card: ModelCard) -> schemas.ModelRef:
    """Which model."""
    return schemas.ModelRef(name=card.name, fingerprint=card.fingerprint)
