"""Calibrations that lie with their gallery: made, kept, read back, and found stale.

A calibration is a fact of the gallery (`index.store.facts`), written over the one before and
deleted with the gallery in the same transaction.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from embedding.errors import ModelInvalid, ModelNotFound
from embedding.model import CARD_FILE, ModelCard, read_card, shipped_models
from index.calibration.calibrating import Measurement, Wanted, measure
from index.calibration.normalisation import CohortNormalisation, normalisation_of_bytes
from index.calibration.records import Calibration, calibration_of_json
from index.calibration.rules import rule_for_many
from index.calibration.strangers import Strangers, Unit
from index.calibration.templates import read_templates
from index.store.facts import GalleryFact
from index.store.gallery_store import GalleryStore

MAX_GROWTH: Final = 2
"""From twice the size on a calibration is stale. A threshold rises with ln N, so it lags by its
slope times ln 2 then, and the real FPIR, which grows with N, is about twice the wanted one; up to
there one point of the wanted rate at most is lost, beyond a continued line is all there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCalibration:
    """The calibration of a gallery, beside what the gallery is now.

    Attributes:
        calibration: as it was kept.
        num_subjects: N now.
        num_templates: now.
        reasons: why it no longer holds, in words; empty when it does.
    """

    calibration: Calibration
    num_subjects: int
    num_templates: int
    reasons: tuple[str, ...]

    @property
    def stale(self) -> bool:
        """Whether the gallery should be calibrated again."""
        return bool(self.reasons)


def calibrate_gallery(
    store: GalleryStore,
    *,
    card: ModelCard,
    strangers: Strangers | None = None,
    wanted: Wanted | None = None,
) -> Calibration:
    """Calibrate a gallery as it is now, and keep the result with it; see `measure_gallery`."""
    return measure_gallery(store, card=card, strangers=strangers, wanted=wanted).calibration


def measure_gallery(
    store: GalleryStore,
    *,
    card: ModelCard,
    strangers: Strangers | None = None,
    wanted: Wanted | None = None,
) -> Measurement:
    """Calibrate a gallery as it is now, keep the result, and return it with what it was made of.

    Args:
        store: of the gallery.
        card: of the gallery's model.
        strangers: see `measure`.
        wanted: see `measure`; None for the usual rates under the gallery's own fusion rule.

    Raises:
        As `measure` and `read_templates`.
        GalleryNotFound: the gallery was deleted meanwhile.
    """
    measured = measure(
        read_templates(store),
        card=card,
        fingerprint=store.gallery.fingerprint,
        strangers=strangers,
        wanted=wanted or Wanted(rule=rule_for_many(store.rules().fusion)),
    )
    made, normalisation = measured.calibration, measured.normalisation
    store.write_facts(
        {
            fact_of(made.unit): made.to_json(),
            normalisation_fact_of(made.unit): normalisation.to_bytes() if normalisation else None,
        }
    )
    return measured


def fact_of(unit: Unit) -> GalleryFact:
    """Under which name calibrations for photos, or for tracks, are kept: one of each."""
    return "calibration" if unit == "photo" else "track_calibration"


def normalisation_fact_of(unit: Unit) -> GalleryFact:
    """Under which name the cohort of a calibration for photos, or for tracks, is kept."""
    return "normalisation" if unit == "photo" else "track_normalisation"


def read_normalisation(store: GalleryStore, calibration: Calibration) -> CohortNormalisation:
    """Return the normalisation that a calibration's thresholds are for.

    Args:
        store: of the gallery.
        calibration: of the gallery, whose normalisation was kept.

    Raises:
        StoreCorrupt: it is missing, of another calibration, or damaged.
        SealKeyMissing: it is sealed with a key that is not at hand.
    """
    content = store.fact(normalisation_fact_of(calibration.unit))
    return normalisation_of_bytes(content, digest=calibration.cohort_digest)


def read_calibration(
    store: GalleryStore, *, rule: str | None = None, unit: Unit = "photo"
) -> KeptCalibration | None:
    """Return the calibration that is kept with a gallery; None where it was never calibrated.

    Args:
        store: of the gallery.
        rule: name of the fusion rule in use; None for whatever it was calibrated with.
        unit: what a decision is made of.

    Raises:
        GalleryNotFound: the gallery was deleted.
        StoreCorrupt: what is kept cannot be read.
    """
    state = store.state()
    content = store.fact(fact_of(unit))
    if content is None:
        return None
    calibration = calibration_of_json(content)
    return KeptCalibration(
        calibration=calibration,
        num_subjects=state.num_subjects,
        num_templates=state.num_templates,
        reasons=stale_reasons(
            calibration,
            num_subjects=state.num_subjects,
            num_templates=state.num_templates,
            fingerprint=store.gallery.fingerprint,
            rule=rule,
        ),
    )


def stale_reasons(
    calibration: Calibration,
    *,
    num_subjects: int,
    num_templates: int,
    fingerprint: str,
    rule: str | None,
) -> tuple[str, ...]:
    """Return why a calibration no longer holds for a gallery; nothing when it does.

    Args:
        calibration: of the gallery, some time ago.
        num_subjects: N now.
        num_templates: now; a rule that takes the closest of more templates finds closer ones.
        fingerprint: of the gallery's model.
        rule: name of the fusion rule in use; None to leave it out.
    """
    reasons = []
    for now, then, what in (
        (num_subjects, calibration.num_subjects, "people"),
        (num_templates, calibration.num_templates, "templates"),
    ):
        if now > MAX_GROWTH * then:
            reasons.append(
                f"it was calibrated with {then} {what} and has {now} now, more than "
                f"{MAX_GROWTH} times as many: the FPIR grows with them, to about "
                f"{now / then:.1f} times the wanted one, and the threshold should rise with "
                f"their logarithm"
            )
    if fingerprint != calibration.fingerprint:
        reasons.append(
            f"it was calibrated for model {calibration.fingerprint[:12]}, but the gallery is of "
            f"model {fingerprint[:12]}"
        )
    if rule is not None and rule != calibration.rule:
        reasons.append(f"it was calibrated with the rule {calibration.rule}, but {rule} is in use")
    return tuple(reasons)


def model_of(fingerprint: str, *, models_folder: Path | None = None) -> tuple[Path, ModelCard]:
    """Return the directory and card of a gallery's model, shipped or in a folder of models.

    Args:
        fingerprint: the gallery's.
        models_folder: with a model directory in each of its folders.

    Raises:
        ModelNotFound: it is not installed.
    """
    paths = list(shipped_models().values())
    if models_folder is not None:
        paths += sorted(card.parent for card in models_folder.glob(f"*/{CARD_FILE}"))
    unfit = []
    for path in paths:
        try:
            card = read_card(path / CARD_FILE)
        except ModelInvalid as error:
            unfit.append(str(error))
            continue
        if card.fingerprint == fingerprint:
            return path, card
    raise ModelNotFound(
        f"the gallery was made with model {fingerprint[:12]}, which is not installed; give the "
        f"folder that holds its directory (FACEGALLERY_MODELS_FOLDER)"
        + (f"; cannot be used: {'; '.join(unfit)}" if unfit else "")
    )
