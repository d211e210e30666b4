"""A calibration in plain words, for whoever has to decide whether to trust it."""

import math
from collections.abc import Iterator

from embedding.error_rates import RULE_OF_THIRTY, rate_with_interval
from embedding.model import ModelCard
from index.calibration.kept import KeptCalibration
from index.calibration.records import CalibratedPoint, Calibration
from index.calibration.rules import MaxFusion


def heading(calibration: Calibration) -> list[str]:
    """Return what was measured, and on whom."""
    searched = "its own people, each in the gallery without them"
    if calibration.source == "strangers":
        searched = "people who are not in it"
    lines = [
        f"calibrated {calibration.made_at:%Y-%m-%d %H:%M} UTC for {calibration.num_subjects} "
        f"people with {calibration.num_templates} templates, rule {calibration.rule}, model "
        f"{calibration.fingerprint[:12]}",
        f"searched for {searched}: {calibration.num_probes} searches of "
        f"{calibration.num_people} people, each search one {calibration.unit}",
    ]
    if calibration.left_out:
        reasons = ", ".join(f"{num} {reason}" for reason, num in calibration.left_out.items())
        lines.append(f"photos left out: {reasons}")
    lines += _of_normalisation(calibration)
    if calibration.num_close:
        lines.append(
            f"{calibration.num_close} searches came closer to somebody than strangers do once in "
            f"a thousand searches; if they show the same people, the threshold is too high: look "
            f"for people who are enrolled twice, or among the strangers"
        )
    return lines


def _of_normalisation(calibration: Calibration) -> list[str]:
    judged = calibration.normalisation
    if judged is None:
        return []
    kept = "kept: thresholds are for normalised figures" if judged.kept else judged.reason
    return [
        f"normalised against a cohort of {judged.num_cohort} people: at FPIR "
        f"{_percent(judged.fpir)}, on {judged.num_judging} other strangers, FNIR "
        f"{_percent(judged.fnir_normalised)} instead of {_percent(judged.fnir)} (difference "
        f"{100 * judged.low:+.2f} to {100 * judged.high:+.2f} points)",
        f"  {kept}" if judged.kept else f"  not kept: {kept}",
    ]


def of_point(point: CalibratedPoint, calibration: Calibration) -> list[str]:
    """Return what a threshold is worth."""
    return list(_of_point(point, calibration))


def _of_point(point: CalibratedPoint, calibration: Calibration) -> Iterator[str]:
    yield (
        f"FPIR {_percent(point.fpir)}: threshold {point.value:.4f} (measured "
        f"{point.measured:.4f}, 95 % interval {_end(point.low)} to {_end(point.high)})"
    )
    yield (
        f"  {point.num_errors} of {calibration.num_probes} searches reach it; among "
        f"{point.num_future} new searches the FPIR will be {_percent(point.predicted_low)} to "
        f"{_percent(point.predicted_high)} in 95 of 100 such cases"
    )
    yield (
        f"  a rate is per search, and a camera searches often: of 1000 strangers' searches a day "
        f"{1000 * point.predicted_low:.3g} to {1000 * point.predicted_high:.3g} name somebody by "
        f"this prediction"
    )
    if calibration.num_mated:
        missed = rate_with_interval(point.num_missed, calibration.num_mated)
        yield (
            f"  of {calibration.num_mated} searches of enrolled people, each without its own "
            f"template, {_percent(missed.rate)} are missed (FNIR, {_percent(missed.low)} to "
            f"{_percent(missed.high)})"
        )
    if point.floor is not None and point.floor_fpir is not None:
        rate = _percent(point.floor_fpir)
        taken = "which is taken" if point.floor == point.value else "which is lower"
        yield (
            f"  the searches are too few to do without the model card: the threshold is never "
            f"under the card's for {calibration.num_subjects} people (that of FPIR {rate}: "
            f"{point.floor:.4f}), {taken}"
        )
        if calibration.rule != MaxFusion.name:
            yield f"  the card was measured with the rule {MaxFusion.name}, not {calibration.rule}"
    if not point.supported:
        yield (
            f"  not supported by the searches: a rate needs false positives of {RULE_OF_THIRTY} "
            f"people, about {math.ceil(RULE_OF_THIRTY / point.fpir)} searches of different people"
        )
    if point.high >= 1.0:
        yield "  the searches are too few for an upper end of the threshold's interval"
    yield (
        f"  as the gallery grows the threshold is continued over ln N: twice as many people "
        f"raise it by {point.slope * math.log(2):.4f}; that is extrapolated, not measured"
    )


def of_kept(kept: KeptCalibration, *, card: ModelCard | None) -> list[str]:
    """Return a kept calibration, with what has become of it.

    Args:
        kept: as read back.
        card: of the gallery's model; None where it is not installed.
    """
    calibration = kept.calibration
    lines = heading(calibration)
    for point in calibration.points:
        lines += of_point(point, calibration)
        if card is not None and kept.num_subjects > calibration.num_subjects:
            now = calibration.threshold(fpir=point.fpir, num_subjects=kept.num_subjects, card=card)
            lines.append(
                f"  for the {kept.num_subjects} people of today: {now.value:.4f}, extrapolated"
            )
    lines += [f"stale: {reason}; calibrate it again" for reason in kept.reasons]
    return lines


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _end(value: float) -> str:
    """An end of an interval; -1 and 1 say that there is none."""
    return "unknown" if abs(value) >= 1.0 else f"{value:.4f}"
